//! One request to a model, read as far as the gateway needs to, whatever its dialect.

use std::cell::OnceCell;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::form::{Form, FormError};
use super::marks::Marks;
use super::raw::RawObject;
use super::whole::Whole;
use super::{Dialect, tokens_of_bytes};
use crate::error::RequestError;
use crate::operation::{Operation, Task};

/// What a caller sent.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are JSON, and boxes would be made for each of them"
)]
pub enum Body {
    /// A JSON object.
    Json(RawObject),
    /// A form.
    Form(Form),
    /// Bytes that nobody here reads.
    Opaque(Bytes),
}

/// See the module.
#[derive(Debug)]
pub struct Call {
    /// The body as it came.
    pub body: Body,
    /// The model that the caller named.
    pub model: Box<str>,
    /// The same as raw JSON.
    pub model_json: Arc<str>,
    /// Whether the answer is to be a stream.
    pub is_stream: bool,
    /// Whether a stream is to be a JSON array instead of events, as Gemini's is without `alt=sse`.
    pub is_array: bool,
    /// Whether the caller set `stream_options`, and asked for usage there.
    pub stream_options: StreamOptions,
    /// A guess of the tokens sent.
    pub prompt_tokens: u64,
    /// The most tokens that the caller lets the model write.
    pub max_output_tokens: Option<u64>,
    /// What an answer of the target that is likely to serve it usually has, in tokens; nothing where nobody knows.
    pub usual_output_tokens: Option<u64>,
    /// How many answers the caller wants.
    pub answers: u64,
    /// How many files came with it.
    pub files: u64,
    /// Whether it is paid for by the token: counting is not.
    pub costs_tokens: bool,
    /// Whether the answer is words, which cost by the token.
    pub writes_text: bool,
    /// Whether the answer can cost by the token at all: vectors and verdicts do not.
    pub has_output: bool,
    /// What was found in the body, once somebody has looked.
    pub marks: OnceCell<Marks>,
}

/// What the caller said of `stream_options`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamOptions {
    /// Nothing: the gateway asks for usage and hides it.
    Unset,
    /// Something, without asking for usage: the caller's word stands.
    WithoutUsage,
    /// The caller wants the usage chunk.
    WithUsage,
}

/// Output tokens held for a call that names no maximum, until it settles, where nobody knows what is usual.
const ASSUMED_OUTPUT_TOKENS: u64 = 1024;
/// Most output tokens held per answer, whatever the caller names: a hold keeps others out, and few answers are longer.
const MAX_HELD_OUTPUT_TOKENS: u64 = 32_768;
/// Most answers that a call is held for; OpenAI accepts up to 128.
const MAX_ANSWERS: u64 = 128;

impl Call {
    /// Reads a request body as far as the gateway needs to. `path_model` is the model that the path names, for dialects
    /// that name it there.
    ///
    /// # Errors
    /// Names the member that is missing or of the wrong type.
    pub fn read(
        operation: Operation,
        dialect: Dialect,
        body: Body,
        path_model: Option<&str>,
    ) -> Result<Self, RequestError> {
        match body {
            Body::Json(object) => Self::read_json(operation, dialect, object, path_model),
            Body::Form(form) => Self::read_form(operation, form),
            Body::Opaque(bytes) => Ok(Self::bare(Body::Opaque(bytes), path_model.unwrap_or_default().into())),
        }
    }

    /// A call that nobody here reads, over a model's provider key.
    #[must_use]
    pub fn opaque(body: Body, model: &str) -> Self {
        Self::bare(body, model.into())
    }

    fn bare(body: Body, model: Box<str>) -> Self {
        let model_json = serde_json::Value::from(&*model).to_string().into();
        Self {
            body,
            model,
            model_json,
            is_stream: false,
            is_array: false,
            stream_options: StreamOptions::Unset,
            prompt_tokens: 0,
            max_output_tokens: None,
            usual_output_tokens: None,
            answers: 1,
            files: 0,
            costs_tokens: true,
            writes_text: false,
            has_output: true,
            marks: OnceCell::new(),
        }
    }

    fn read_json(
        operation: Operation,
        dialect: Dialect,
        body: RawObject,
        path_model: Option<&str>,
    ) -> Result<Self, RequestError> {
        for member in required(operation, dialect) {
            check(&body, member)?;
        }
        let (model, model_json) = match path_model {
            Some(model) => (model.into(), serde_json::Value::from(model).to_string().into()),
            None => named_model(operation, &body)?,
        };
        let is_stream = match operation {
            Operation::StreamGenerate => true,
            Operation::Generate | Operation::CountTokens => false,
            _ => optional::<bool>(&body, "stream", "a boolean")?.unwrap_or(false),
        };
        let max_output_tokens = max_output_tokens(dialect, &body)?;
        Ok(Self {
            model,
            model_json,
            is_stream,
            is_array: false,
            stream_options: stream_options(&body)?,
            prompt_tokens: tokens_of_bytes(body.text_bytes()),
            max_output_tokens,
            usual_output_tokens: None,
            answers: answers(operation, dialect, &body)?,
            files: 0,
            costs_tokens: operation.task() != Some(Task::CountTokens),
            writes_text: operation.task().is_some_and(Task::writes_text),
            has_output: operation.task().is_none_or(Task::has_output),
            marks: OnceCell::new(),
            body: Body::Json(body),
        })
    }

    fn read_form(operation: Operation, form: Form) -> Result<Self, RequestError> {
        let invalid = |error: FormError| RequestError::invalid(error.to_string());
        let model = form.text("model").map_err(invalid)?;
        let model: Box<str> = model
            .filter(|model| !model.trim().is_empty())
            .ok_or_else(|| RequestError::member("model", "the field \"model\" is missing"))?
            .trim()
            .into();
        let file = if operation == Operation::EditImage { "image" } else { "file" };
        if !form.has_file(file) {
            let message = format!("the field \"{file}\" must be a file");
            return Err(RequestError::member(file, message));
        }
        let prompt = form.text("prompt").map_err(invalid)?;
        let prompt_tokens = prompt.map_or(0, |prompt| tokens_of_bytes(prompt.len() as u64));
        let answers = form.text("n").map_err(invalid)?.and_then(|text| text.trim().parse().ok()).unwrap_or(1);
        let files = form.files();
        let is_stream = form.text("stream").map_err(invalid)?.is_some_and(|text| text.trim() == "true");
        Ok(Self { is_stream, prompt_tokens, answers, files, ..Self::bare(Body::Form(form), model) })
    }

    /// The body as a JSON object, where it is one.
    #[must_use]
    pub fn json(&self) -> Option<&RawObject> {
        match &self.body {
            Body::Json(object) => Some(object),
            Body::Form(_) | Body::Opaque(_) => None,
        }
    }

    /// Puts another body in the place of the one that came.
    pub fn rewrite(&mut self, body: Body) {
        self.body = body;
        self.marks.take();
    }

    /// What makes the size of a JSON body no bound of what it costs; nothing of other bodies.
    #[must_use]
    pub fn marks(&self) -> Marks {
        *self.marks.get_or_init(|| self.json().map(|body| Marks::of(body.bytes())).unwrap_or_default())
    }

    /// Whether the provider is to answer when nobody waits for it, as OpenAI's Responses can.
    #[must_use]
    pub fn is_background(&self) -> bool {
        self.json().and_then(|body| body.member("background")) == Some("true")
    }

    /// The member by which the caller asks to be served at another price than the usual one, where that may be dearer.
    /// `auto` is what holds without the member, too: it is the provider's customer who has set what it means.
    #[must_use]
    pub fn dearer_by(&self) -> Option<&'static str> {
        let body = self.json()?;
        let mut asked = DEARER.iter().filter_map(|(name, usual)| Some((*name, body.member(name)?, usual)));
        asked.find(|(_, raw, usual)| !is_one_of(raw, usual)).map(|(name, ..)| name)
    }

    /// Tokens to set aside until the true figure is known.
    #[must_use]
    pub fn held_tokens(&self) -> u64 {
        self.prompt_tokens.saturating_add(self.held_output_tokens())
    }

    /// The output part of [`Call::held_tokens`].
    #[must_use]
    pub fn held_output_tokens(&self) -> u64 {
        if !self.writes_text {
            return 0;
        }
        let usual = self.usual_output_tokens.unwrap_or(ASSUMED_OUTPUT_TOKENS);
        let each = self.max_output_tokens.unwrap_or(usual).min(MAX_HELD_OUTPUT_TOKENS);
        each.saturating_mul(self.answers.clamp(1, MAX_ANSWERS))
    }
}

/// Members that choose how a request is served, and their values that cost as usual, or less.
const DEARER: [(&str, &[&str]); 5] = [
    ("quality", &["standard", "auto", "low", "medium", "high"]),
    ("service_tier", TIERS),
    ("serviceTier", TIERS),
    ("speed", &["standard"]),
    ("inference_geo", &["global"]),
];
const TIERS: &[&str] = &["auto", "default", "standard", "standard_only", "flex", "batch"];

fn is_one_of(raw: &str, usual: &[&str]) -> bool {
    raw == "null" || serde_json::from_str::<String>(raw).is_ok_and(|value| usual.contains(&&*value))
}

/// The members without which a request means nothing.
#[must_use]
pub fn required(operation: Operation, dialect: Dialect) -> &'static [&'static str] {
    match operation {
        Operation::Chat | Operation::Messages => &["messages"],
        Operation::CountTokens if dialect == Dialect::Anthropic => &["messages"],
        Operation::Generate | Operation::StreamGenerate => &["contents"],
        Operation::Complete | Operation::Image => &["prompt"],
        Operation::Embed | Operation::Speak | Operation::Moderate => &["input"],
        Operation::Rerank => &["query", "documents"],
        // `input` may be absent beside `prompt`, and `contents` beside `generateContentRequest`.
        _ => &[],
    }
}

/// Members that are lists and say nothing when they are empty.
const LISTS: [&str; 3] = ["messages", "contents", "documents"];

fn check(body: &RawObject, member: &'static str) -> Result<(), RequestError> {
    let Some(raw) = body.member(member).filter(|raw| *raw != "null") else {
        return Err(RequestError::member(member, format!("the member \"{member}\" is missing")));
    };
    if !LISTS.contains(&member) {
        return Ok(());
    }
    // Gemini takes one turn for a list of one.
    if member == "contents" && !raw.starts_with('[') {
        return Ok(());
    }
    let Some(inside) = raw.strip_prefix('[') else {
        return Err(RequestError::member(member, format!("the member \"{member}\" must be an array")));
    };
    if inside.trim_start().starts_with(']') {
        return Err(RequestError::member(member, format!("the member \"{member}\" must not be empty")));
    }
    Ok(())
}

/// The model of OpenAI's moderations, where the caller names none.
const USUAL_MODERATION: &str = "omni-moderation-latest";

fn named_model(operation: Operation, body: &RawObject) -> Result<(Box<str>, Arc<str>), RequestError> {
    match body.member("model") {
        None if operation == Operation::Moderate => {
            Ok((USUAL_MODERATION.into(), format!("\"{USUAL_MODERATION}\"").into()))
        }
        None => Err(RequestError::member("model", "the member \"model\" is missing")),
        Some(raw) => serde_json::from_str(raw)
            .map(|model| (model, raw.into()))
            .map_err(|_| RequestError::member("model", "the member \"model\" must be a string")),
    }
}

fn max_output_tokens(dialect: Dialect, body: &RawObject) -> Result<Option<u64>, RequestError> {
    #[derive(Deserialize, Default)]
    struct Generation {
        #[serde(default, rename = "maxOutputTokens", alias = "max_output_tokens")]
        max_output_tokens: Option<Whole>,
    }
    match dialect {
        Dialect::OpenAiChat => match whole(body, "max_completion_tokens")? {
            None => whole(body, "max_tokens"),
            some => Ok(some),
        },
        Dialect::OpenAiResponses => whole(body, "max_output_tokens"),
        Dialect::Gemini => {
            let name = if body.member("generationConfig").is_some() {
                "generationConfig"
            } else {
                "generation_config"
            };
            let config = optional::<Generation>(body, name, "an object with a whole maxOutputTokens")?;
            Ok(config.and_then(|config| config.max_output_tokens).map(|Whole(number)| number))
        }
        Dialect::Anthropic | Dialect::OpenAi => whole(body, "max_tokens"),
        Dialect::Cohere | Dialect::Voyage => Ok(None),
    }
}

/// How many answers a call makes a provider write: those that are wanted, of every prompt, and those that are thrown away.
fn answers(operation: Operation, dialect: Dialect, body: &RawObject) -> Result<u64, RequestError> {
    #[derive(Deserialize)]
    struct Generation {
        #[serde(default, rename = "candidateCount", alias = "candidate_count")]
        candidate_count: Option<Whole>,
    }
    if dialect == Dialect::Gemini {
        let config = body.member("generationConfig").or_else(|| body.member("generation_config"));
        let config: Option<Generation> = config.and_then(|raw| serde_json::from_str(raw).ok());
        return Ok(config.and_then(|config| config.candidate_count).map_or(1, |Whole(count)| count));
    }
    let wanted = whole(body, "n")?.unwrap_or(1);
    if operation != Operation::Complete {
        return Ok(wanted);
    }
    let prompts = body.member("prompt").and_then(|raw| serde_json::from_str::<Vec<&RawValue>>(raw).ok());
    // A list of numbers is one prompt.
    let is_text = |prompt: &&&RawValue| prompt.get().starts_with(['"', '[']);
    let prompts = prompts.map_or(1, |prompts| prompts.iter().filter(is_text).count().max(1) as u64);
    Ok(wanted.max(whole(body, "best_of")?.unwrap_or(1)).saturating_mul(prompts))
}

#[derive(Deserialize)]
struct StreamOptionsMember {
    #[serde(default)]
    include_usage: Option<bool>,
}

fn stream_options(body: &RawObject) -> Result<StreamOptions, RequestError> {
    let wanted = "an object with a boolean include_usage";
    Ok(match optional::<StreamOptionsMember>(body, "stream_options", wanted)? {
        None => StreamOptions::Unset,
        Some(StreamOptionsMember { include_usage: Some(true) }) => StreamOptions::WithUsage,
        Some(_) => StreamOptions::WithoutUsage,
    })
}

fn whole(body: &RawObject, name: &'static str) -> Result<Option<u64>, RequestError> {
    Ok(optional(body, name, "a whole number")?.map(|Whole(number)| number))
}

pub(super) fn optional<'a, T: Deserialize<'a>>(
    body: &'a RawObject,
    name: &'static str,
    wanted: &'static str,
) -> Result<Option<T>, RequestError> {
    match body.member(name) {
        None | Some("null") => Ok(None),
        Some(raw) => serde_json::from_str(raw)
            .map(Some)
            .map_err(|_| RequestError::member(name, format!("the member \"{name}\" must be {wanted}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(operation: Operation, dialect: Dialect, body: &str) -> Result<Call, String> {
        let object =
            RawObject::parse(Bytes::copy_from_slice(body.as_bytes())).map_err(|error| error.to_string())?;
        let model = (dialect == Dialect::Gemini).then_some("from-the-path");
        Call::read(operation, dialect, Body::Json(object), model).map_err(|error| error.to_string())
    }

    fn read(body: &str) -> Result<Call, String> {
        read_as(Operation::Chat, Dialect::OpenAiChat, body)
    }

    #[test]
    fn a_call_is_read_as_far_as_needed() {
        let call =
            read(r#"{"stream":true,"x":[1],"model":"m","messages":[{}],"max_tokens":7}"#).expect("reads");
        assert_eq!((&*call.model, call.is_stream, call.max_output_tokens), ("m", true, Some(7)));
        assert_eq!(call.stream_options, StreamOptions::Unset);
    }

    #[test]
    fn each_dialect_says_its_limit_in_its_own_way() {
        use {Dialect as D, Operation as O};
        for (operation, dialect, body, model) in [
            (O::Responses, D::OpenAiResponses, r#"{"model":"m","input":"x","max_output_tokens":7}"#, "m"),
            (O::Messages, D::Anthropic, r#"{"model":"m","messages":[1],"max_tokens":7}"#, "m"),
            (O::Complete, D::OpenAi, r#"{"model":"m","prompt":"x","max_tokens":7.0}"#, "m"),
            (
                O::Generate,
                D::Gemini,
                r#"{"contents":[{}],"generationConfig":{"x":1,"maxOutputTokens":7}}"#,
                "from-the-path",
            ),
        ] {
            let call = read_as(operation, dialect, body).expect(body);
            assert_eq!((call.held_output_tokens(), &*call.model), (7, model), "{body}");
        }
        let embed = read_as(O::Embed, D::OpenAi, r#"{"model":"m","input":"x"}"#).expect("reads");
        assert_eq!(embed.held_output_tokens(), 0);
        let moderate = read_as(O::Moderate, D::OpenAi, r#"{"input":"x"}"#).expect("reads");
        assert_eq!(&*moderate.model, USUAL_MODERATION);
        let streamed = read_as(O::StreamGenerate, D::Gemini, r#"{"contents":{}}"#).expect("reads");
        assert!(streamed.is_stream);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (body, word) in [
            (r#"{"messages":[{}]}"#, "\"model\" is missing"),
            (r#"{"model":1,"messages":[{}]}"#, "\"model\" must be a string"),
            (r#"{"model":"m"}"#, "\"messages\" is missing"),
            (r#"{"model":"m","messages":{}}"#, "must be an array"),
            (r#"{"model":"m","messages":[ ]}"#, "must not be empty"),
            (r#"{"model":"m","messages":[1],"stream":"yes"}"#, "\"stream\" must be a boolean"),
            (r#"{"model":"m","messages":[1],"max_tokens":-1}"#, "\"max_tokens\" must be a whole number"),
        ] {
            let error = read(body).expect_err(body);
            assert!(error.contains(word), "{body}: {error}");
        }
        for (operation, body, word) in [
            (Operation::Embed, r#"{"model":"m"}"#, "\"input\" is missing"),
            (
                Operation::Rerank,
                r#"{"model":"m","query":"q","documents":[]}"#,
                "\"documents\" must not be empty",
            ),
            (Operation::Complete, r#"{"model":"m","prompt":null}"#, "\"prompt\" is missing"),
        ] {
            let error = read_as(operation, Dialect::OpenAi, body).expect_err(body);
            assert!(error.contains(word), "{body}: {error}");
        }
    }

    #[test]
    fn a_form_names_its_model_and_brings_its_file() {
        let read = |parts: &[(&str, &str)]| {
            let part = |(head, value): &(&str, &str)| {
                format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n")
            };
            let text = format!("{}--b--", parts.iter().map(part).collect::<String>());
            let form = Form::parse(text.into(), "multipart/form-data; boundary=b").expect("a form");
            Call::read(Operation::Transcribe, Dialect::OpenAi, Body::Form(form), None)
                .map_err(|error| error.to_string())
        };
        let (file, model) = (("name=file; filename=a.wav", "RIFF"), ("name=model", " whisper-1\n"));
        let call = read(&[file, model, ("name=stream", "true"), ("name=prompt", "12345")]).expect("reads");
        assert_eq!((&*call.model, call.is_stream, call.prompt_tokens), ("whisper-1", true, 2));
        assert!(read(&[model]).expect_err("no file").contains("\"file\""));
        assert!(read(&[file]).expect_err("no model").contains("\"model\""));
    }
}
