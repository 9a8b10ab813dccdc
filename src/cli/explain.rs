//! `aisix explain`: what the gateway would do with a request, without sending it.
//!
//! The same code decides here and while serving: the snapshot of the configuration, the reading of the call, the
//! preparation for each target. Limits and budgets are shown as configured; how much of them is used only a running
//! gateway knows.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use clap::Args;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::config::Source;
use crate::config::snapshot::{ApiKey, Snapshot};
use crate::dialect::raw::RawObject;
use crate::dialect::{Body, Call};
use crate::endpoints::{ENDPOINTS, Endpoint, Intake, Operation};
use crate::pipeline::client_ip;
use crate::pipeline::route::Wish;
use crate::registry::Book;

mod cache;
mod report;
mod route;
mod target;
mod text;

use report::Explanation;

/// What `aisix explain` is told.
#[derive(Args)]
pub(super) struct ExplainArgs {
    /// The body of the request, as JSON; `-` is standard input.
    #[arg(value_name = "REQUEST.json")]
    request: PathBuf,
    /// The path that it would be sent to; absent, guessed from its members.
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// The caller's key, by its name or id; absent, the only one there is.
    #[arg(long = "as", value_name = "NAME")]
    caller: Option<String>,
    /// The caller's key itself.
    #[arg(
        long,
        value_name = "KEY",
        env = "AISIX_API_KEY",
        hide_env_values = true,
        conflicts_with = "caller"
    )]
    key: Option<String>,
    /// A header of the request, such as "x-aisix-routing-tags: eu"; may stand several times.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The address that the request comes from.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Prints what would happen: exit 0 where the request would be sent, 1 where it would be refused or cannot be read.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what the command is for")]
pub(super) fn run(source: &Source, arguments: &ExplainArgs) -> ExitCode {
    let explained = explain(source, arguments);
    match explained {
        Ok(explanation) if arguments.json => {
            println!("{}", serde_json::to_string_pretty(&explanation).unwrap_or_default());
            exit_code(&explanation)
        }
        Ok(explanation) => {
            print!("{}", text::of(&explanation));
            exit_code(&explanation)
        }
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn exit_code(explanation: &Explanation) -> ExitCode {
    if explanation.is_sent() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn explain(source: &Source, arguments: &ExplainArgs) -> Result<Explanation, String> {
    let (_, snapshot) = Book::load(source.clone()).map_err(|problems| problems.to_string())?;
    let bytes = read(&arguments.request)?;
    let body =
        RawObject::parse(bytes).map_err(|error| format!("{}: {error}", arguments.request.display()))?;
    let (endpoint, model) = endpoint(arguments.path.as_deref(), &body)?;
    let caller = caller(&snapshot, arguments)?;
    let call = Call::read(endpoint.operation, endpoint.dialect, Body::Json(body), model.as_deref())
        .map_err(|error| format!("400: {error}"))?;
    let headers: HeaderMap = arguments.headers.iter().cloned().collect();
    let address = client_ip::resolve(&snapshot.settings.proxy.real_ip, arguments.address, &headers);
    let wish = Wish { endpoint, headers: &headers, caller: &caller, address: Some(address) };
    Ok(Explanation::of(&snapshot, &wish, &call))
}

/// Reads a header.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parts = text.split_once(':').map(|(name, value)| (name.trim().parse(), value.trim().parse()));
    match parts {
        Some((Ok(name), Ok(value))) => Ok((name, value)),
        _ => Err("write \"name: value\"".to_owned()),
    }
}

fn read(path: &std::path::Path) -> Result<Bytes, String> {
    let read = match path.as_os_str() == "-" {
        true => {
            let mut text = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin(), &mut text).map(|_| text)
        }
        false => std::fs::read(path),
    };
    read.map(Bytes::from).map_err(|error| format!("{}: {error}", path.display()))
}

/// The endpoint of a path, and the model in it; guessed from the members of the body without a path.
fn endpoint(path: Option<&str>, body: &RawObject) -> Result<(&'static Endpoint, Option<String>), String> {
    let Some(path) = path else {
        let operation = guess(body);
        let row = ENDPOINTS.iter().find(|row| row.operation == operation);
        return row.map(|row| (row, None)).ok_or_else(|| format!("no endpoint answers {operation}"));
    };
    let rows = ENDPOINTS.iter().filter(|row| row.intake == Intake::Json);
    for row in rows {
        if row.path == path {
            return Ok((row, None));
        }
        let Some((before, after)) = row.path.split_once("{model}") else { continue };
        if let Some(model) = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)) {
            return Ok((row, Some(model.to_owned())));
        }
    }
    let known: Vec<&str> =
        ENDPOINTS.iter().filter(|row| row.intake == Intake::Json).map(|row| row.path).collect();
    Err(format!("no endpoint with a JSON body has the path {path:?}; there are {}", known.join(", ")))
}

fn guess(body: &RawObject) -> Operation {
    let has = |name: &str| body.member(name).is_some();
    match () {
        () if has("contents") => Operation::Generate,
        () if has("messages") && (has("system") || has("anthropic_version") || has("stop_sequences")) => {
            Operation::Messages
        }
        () if has("messages") => Operation::Chat,
        () if has("query") => Operation::Rerank,
        () if has("voice") => Operation::Speak,
        () if has("instructions") || has("max_output_tokens") || has("previous_response_id") => {
            Operation::Responses
        }
        () if has("encoding_format") || has("dimensions") => Operation::Embed,
        () if has("input") => Operation::Responses,
        () => Operation::Complete,
    }
}

fn caller(snapshot: &Snapshot, arguments: &ExplainArgs) -> Result<std::sync::Arc<ApiKey>, String> {
    let now = since_epoch();
    if let Some(key) = &arguments.key {
        let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        return snapshot.api_key(&digest, now).cloned().ok_or_else(|| "401: invalid API key".to_owned());
    }
    let keys: Vec<_> = snapshot.api_keys().collect();
    let names = || {
        let mut names: Vec<_> = keys.iter().map(|key| format!("\"{}\"", key.name)).collect();
        names.sort_unstable();
        names.truncate(20);
        names.join(", ")
    };
    match &arguments.caller {
        Some(wanted) => {
            let found = keys.iter().find(|key| *key.name == **wanted || *key.id == **wanted);
            found
                .map(|key| (*key).clone())
                .ok_or_else(|| format!("no API key is called {wanted:?}; there are {}", names()))
        }
        None => match keys.as_slice() {
            [only] => Ok((*only).clone()),
            [] => Err("there is no API key; add one to [[api_keys]]".to_owned()),
            _ => Err(format!("say with --as whose request it is: {}", names())),
        },
    }
}

/// The time as the keys' ends are told.
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}

/// The body of a request, to be shown as JSON; text where it is none.
fn shown(body: &[u8]) -> Option<Box<RawValue>> {
    serde_json::from_slice(body).ok()
}

#[cfg(test)]
mod tests;
