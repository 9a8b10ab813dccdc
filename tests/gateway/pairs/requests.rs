//! Each recorded request, read as a caller's and written for each provider: it asks for the same.

use aisix::dialect::Dialect;
use aisix::dialect::call::{Body, Call};
use aisix::dialect::chat::Dropped;
use aisix::dialect::codec::{self, Target};
use aisix::dialect::openai_chat::neutral::Manners;
use aisix::dialect::raw::RawObject;
use aisix::operation::{Operation, Task};
use bytes::Bytes;
use serde_json::Value;

use super::asked::{Asked, Said, Who, asked};
use super::corpus::{Recording, recordings};
use super::{PROVIDERS, assert_none, limits};

/// A request as the provider gets it.
pub struct Written {
    /// The body.
    pub body: Value,
    /// What the caller is told of.
    pub dropped: Vec<String>,
}

/// The model that a provider is asked for.
pub fn model_of(provider: Dialect) -> &'static str {
    match provider {
        Dialect::OpenAiChat | Dialect::OpenAiResponses => "gpt-5",
        Dialect::Anthropic => "claude-sonnet-4-5",
        Dialect::Gemini => "gemini-3-pro-preview",
        _ => "command-a-03-2025",
    }
}

/// Puts a recorded request into a provider's dialect.
///
/// # Errors
/// The caller is refused, in these words.
pub fn written(recording: &Recording, provider: Dialect) -> Result<Written, String> {
    let text = recording.request.clone().expect("a request");
    let object = RawObject::parse(Bytes::from(text)).map_err(|error| error.to_string())?;
    let (operation, path) = match recording.dialect {
        Dialect::OpenAiResponses => (Operation::Responses, None),
        Dialect::Anthropic => (Operation::Messages, None),
        Dialect::Gemini if recording.is_stream => (Operation::StreamGenerate, Some("gemini")),
        Dialect::Gemini => (Operation::Generate, Some("gemini")),
        _ => (Operation::Chat, None),
    };
    let call = Call::read(operation, recording.dialect, Body::Json(object), path);
    let call = call.map_err(|error| error.to_string())?;
    let mut dropped = Dropped::default();
    let caller = recording.dialect;
    let target = Target { model: model_of(provider), manners: Manners::default() };
    let body = codec::request(Task::Converse, caller, provider, &call, &target, &mut dropped);
    let body = body.map_err(|error| error.to_string())?;
    let body = serde_json::from_slice(&body).map_err(|error| format!("it wrote no JSON: {error}"))?;
    Ok(Written { body, dropped: dropped.names().map(str::to_owned).collect() })
}

/// The recorded requests of callers.
pub fn requests(all: &[Recording]) -> impl Iterator<Item = &Recording> {
    all.iter().filter(|one| one.request.is_some() && one.dialect != Dialect::Cohere)
}

#[test]
fn every_recorded_request_asks_every_provider_for_the_same() {
    let (all, mut problems, mut count) = (recordings(), Vec::new(), 0);
    for recording in requests(&all) {
        for provider in PROVIDERS {
            count += 1;
            let mut found = Vec::new();
            check(recording, provider, &mut found);
            let place = format!("{} for {provider:?}", recording.id);
            problems.extend(found.into_iter().map(|problem| format!("{place}: {problem}")));
        }
    }
    assert_none(&problems, count);
}

fn check(recording: &Recording, provider: Dialect, problems: &mut Vec<String>) {
    let body = recording.asked().expect("a request");
    let refusal = limits::refusal(recording.dialect, &body);
    let written = match (written(recording, provider), refusal) {
        (Ok(written), None) => written,
        (Ok(_), Some(words)) => return problems.push(format!("not refused: {words}")),
        (Err(error), Some(words)) if error.contains(words) => return,
        (Err(error), _) => return problems.push(format!("refused: {error}")),
    };
    let (wanted, found) = (asked(recording.dialect, &body), asked(provider, &written.body));
    let mut pair = Pair { caller: recording.dialect, provider, dropped: &written.dropped, problems };
    pair.system(&wanted, &found);
    pair.said(&wanted, &found);
    pair.tools(&wanted, &found);
    pair.settings(&wanted, &found);
    for name in wanted.foreign.iter().chain(&wanted.rest) {
        pair.reported(name, &[name]);
    }
}

struct Pair<'a> {
    caller: Dialect,
    provider: Dialect,
    dropped: &'a [String],
    problems: &'a mut Vec<String>,
}

impl Pair<'_> {
    fn wrong(&mut self, what: &str, wanted: &impl std::fmt::Debug, found: &impl std::fmt::Debug) {
        let dropped = self.dropped.join(", ");
        let cut = |text: String| text.chars().take(1200).collect::<String>();
        let (wanted, found) = (cut(format!("{wanted:?}")), cut(format!("{found:?}")));
        self.problems.push(format!("{what}:\n   wanted {wanted}\n   found  {found}\n   dropped {dropped}"));
    }

    /// Whether the caller is told of one of these names, or of something inside it.
    fn is_told(&self, names: &[&str]) -> bool {
        let is = |told: &String, name: &str| {
            told == name || told.starts_with(&format!("{name}.")) || told.ends_with(&format!(".{name}"))
        };
        self.dropped.iter().any(|told| names.iter().any(|name| is(told, name)))
    }

    fn reported(&mut self, what: &str, names: &[&str]) {
        if !self.is_told(names) {
            self.wrong("lost without a word", &what, &"");
        }
    }

    fn system(&mut self, wanted: &Asked, found: &Asked) {
        if !same_words(&wanted.system, &found.system) {
            self.wrong("instructions", &wanted.system, &found.system);
        }
    }

    fn tools(&mut self, wanted: &Asked, found: &Asked) {
        let mut tools = wanted.tools.clone();
        if let Some(name) = wanted.settings.get("tool_choice").map(|choice| &choice["name"])
            && self.provider == Dialect::Cohere
            && tools.iter().any(|tool| tool["name"] == *name)
        {
            // It has no word for one of its tools: that one is offered alone, and required.
            tools.retain(|tool| tool["name"] == *name);
        }
        if tools != found.tools {
            self.wrong("tools", &tools, &found.tools);
        }
    }

    fn said(&mut self, wanted: &Asked, found: &Asked) {
        let mut said = wanted.said.clone();
        let mut lost = Vec::new();
        let mut keeps = |media: &Value| match limits::unsayable(self.caller, self.provider, media) {
            Some(limit) => {
                lost.push(limit);
                false
            }
            None => true,
        };
        said.retain_mut(|piece| match piece {
            Said::Media(_, media) => keeps(media),
            Said::Result(_, _, media) => {
                media.retain(|media| keeps(media));
                true
            }
            _ => true,
        });
        for limit in lost {
            self.reported(limit.reason, limit.names);
        }
        let (wanted, found) = (in_order(said, self.provider), in_order(found.said.clone(), self.provider));
        let is_same = wanted.len() == found.len() && wanted.iter().zip(&found).all(same_piece);
        if !is_same {
            let place = wanted.iter().zip(&found).take_while(|pair| same_piece(*pair)).count();
            self.wrong(&format!("turns from {place} on"), &&wanted[place..], &&found[place..]);
        }
    }

    fn settings(&mut self, wanted: &Asked, found: &Asked) {
        for (name, value) in &wanted.settings {
            let got = found.settings.get(name).unwrap_or(&Value::Null);
            if got == value {
                continue;
            }
            let is_known = limits::is_said_otherwise(self.provider, name, value, got);
            if !is_known && !self.is_told(&limits::names_of(name)) {
                self.wrong(name, value, got);
            }
        }
        for (name, value) in &found.settings {
            if !wanted.settings.contains_key(name) && !limits::is_added(self.provider, name, value) {
                self.wrong("added", name, value);
            }
        }
    }
}

/// Whether two lists of pieces are one text, with nothing but line feeds between the pieces.
fn same_words(wanted: &[String], found: &[String]) -> bool {
    let found = found.concat();
    let mut rest = &*found;
    for piece in wanted.iter().filter(|piece| !piece.trim().is_empty()) {
        let next =
            rest.strip_prefix(&**piece).or_else(|| rest.trim_start_matches('\n').strip_prefix(&**piece));
        match next {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    rest.trim().is_empty()
}

fn same_piece((wanted, found): (&Said, &Said)) -> bool {
    match (wanted, found) {
        (Said::Words(who, wanted), Said::Words(speaker, found)) => {
            who == speaker && same_words(wanted, found)
        }
        (wanted, found) => wanted == found,
    }
}

/// The pieces in the order in which a dialect can say them: the same for both sides of a comparison.
fn in_order(said: Vec<Said>, provider: Dialect) -> Vec<Said> {
    let is_chat = matches!(provider, Dialect::OpenAiChat | Dialect::Cohere);
    let mut turns: Vec<Vec<Said>> = Vec::new();
    for piece in said {
        let piece = match piece {
            Said::Words(Who::System, words) if limits::has_one_system(provider) => {
                Said::Words(Who::User, words)
            }
            piece => piece,
        };
        match turns.last_mut() {
            Some(turn) if turn[0].who() == piece.who() => turn.push(piece),
            _ => turns.push(vec![piece]),
        }
    }
    let mut pieces = Vec::new();
    for mut turn in turns {
        // What tools said comes first everywhere; a chat's calls come last, and its results are words alone.
        match turn[0].who() {
            Who::User => turn.sort_by_key(|piece| !matches!(piece, Said::Result(..))),
            Who::Model if is_chat => turn.sort_by_key(|piece| matches!(piece, Said::Call(..))),
            _ => {}
        }
        if is_chat {
            let mut moved = Vec::new();
            for piece in &mut turn {
                if let Said::Result(_, _, media) = piece {
                    moved.extend(media.drain(..).map(|media| Said::Media(Who::User, media)));
                }
            }
            let place = turn.iter().take_while(|piece| matches!(piece, Said::Result(..))).count();
            turn.splice(place..place, moved);
        }
        pieces.extend(turn);
    }
    merged(pieces)
}

/// Neighbouring words of one speaker, as one.
fn merged(pieces: Vec<Said>) -> Vec<Said> {
    let mut merged: Vec<Said> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match (merged.last_mut(), piece) {
            (Some(Said::Words(last, words)), Said::Words(who, more)) if *last == who => words.extend(more),
            (_, piece) => merged.push(piece),
        }
    }
    merged
}
