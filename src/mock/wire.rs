//! Answers in OpenAI's chat format: one completion, or the chunks of a stream.
//!
//! Members and their order are those of api.openai.com, so that a client or a gateway that works with the mock has
//! seen what it will meet there.

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use super::endpoints::Ask;
use super::error::Failure;
use super::speech::Call;
use super::{CHARACTERS, MockFrame, MockReply, boundary};

/// The most content chunks of one choice; longer texts go out in larger pieces.
const MAX_PIECES: usize = 4096;

/// What all chunks of an answer share.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Head<'a> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) model: &'a str,
}

#[derive(Serialize)]
pub(super) struct Completion<'a> {
    #[serde(flatten)]
    pub(super) head: Head<'a>,
    pub(super) choices: Vec<Choice<'a>>,
    pub(super) usage: Usage,
    pub(super) service_tier: &'static str,
    pub(super) system_fingerprint: Option<&'static str>,
}

#[derive(Serialize)]
pub(super) struct Choice<'a> {
    pub(super) index: usize,
    pub(super) message: Message<'a>,
    pub(super) logprobs: Option<()>,
    pub(super) finish_reason: &'static str,
}

#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub(super) role: &'static str,
    pub(super) content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<ToolCall<'a>>,
    pub(super) refusal: Option<&'a str>,
    pub(super) annotations: [(); 0],
}

#[derive(Serialize)]
pub(super) struct ToolCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) r#type: Option<&'static str>,
    pub(super) function: Function<'a>,
}

#[derive(Serialize)]
pub(super) struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    pub(super) arguments: &'a str,
}

#[derive(Serialize)]
struct Chunk<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    service_tier: &'static str,
    system_fingerprint: Option<&'static str>,
    choices: &'a [ChunkChoice<'a>],
    /// Absent, `null` or the figures: the outer option is about the member, the inner about its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
}

#[derive(Serialize)]
struct ChunkChoice<'a> {
    index: usize,
    delta: Delta<'a>,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

/// The part of a message that one chunk brings.
#[derive(Default, Serialize)]
pub(super) struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    /// `Some(None)` is an explicit `null`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<ToolCall<'a>>,
}

/// Token counts.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Clone, Copy, Default, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    audio_tokens: u64,
}

#[derive(Clone, Copy, Default, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
}

impl Usage {
    /// The usage of an answer without cached or hidden tokens.
    pub(super) fn new(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
            prompt_tokens_details: PromptDetails::default(),
            completion_tokens_details: CompletionDetails::default(),
        }
    }
}

/// Writes the events of one stream.
pub(super) struct ChunkWriter<'a> {
    pub(super) head: Head<'a>,
    pub(super) include_usage: bool,
    pub(super) frames: Vec<MockFrame>,
}

impl<'a> ChunkWriter<'a> {
    /// Adds a chunk for one choice.
    pub(super) fn delta(&mut self, index: usize, delta: Delta<'_>, finish_reason: Option<&'static str>) {
        let choice = ChunkChoice { index, delta, logprobs: None, finish_reason };
        let usage = self.include_usage.then_some(None);
        self.chunk(&[choice], usage);
    }

    /// Adds the end: usage when the caller wants it, and `[DONE]`.
    pub(super) fn finish(mut self, usage: Usage) -> Vec<MockFrame> {
        if self.include_usage {
            self.chunk(&[], Some(Some(usage)));
        }
        self.frames.push(MockFrame::new("data: [DONE]\n\n"));
        self.frames
    }

    fn chunk(&mut self, choices: &[ChunkChoice<'_>], usage: Option<Option<Usage>>) {
        let head = self.head;
        let chunk = Chunk { head, service_tier: "default", system_fingerprint: None, choices, usage };
        self.frames.push(MockFrame::new(event(&chunk)));
    }
}

/// One SSE event with `value` as its data.
pub(super) fn event(value: &impl Serialize) -> Bytes {
    let mut bytes = b"data: ".to_vec();
    // Writing plain structs into memory cannot fail.
    let _ = serde_json::to_writer(&mut bytes, value);
    bytes.extend_from_slice(b"\n\n");
    bytes.into()
}

impl<'a> ToolCall<'a> {
    /// A whole call, as in an unstreamed answer.
    pub(super) fn whole(id: String, call: &'a Call) -> Self {
        let function = Function { name: Some(&call.name), arguments: &call.arguments };
        Self { index: None, id: Some(id), r#type: Some("function"), function }
    }

    /// The first piece of a streamed call: everything but the arguments.
    pub(super) fn opening(index: usize, id: String, call: &'a Call) -> Self {
        let function = Function { name: Some(&call.name), arguments: "" };
        Self { index: Some(index), id: Some(id), r#type: Some("function"), function }
    }

    /// A later piece of a streamed call: some of the arguments.
    pub(super) fn piece(index: usize, arguments: &'a str) -> Self {
        Self { index: Some(index), id: None, r#type: None, function: Function { name: None, arguments } }
    }
}

/// Cuts a text before each space, or into larger pieces when there are too many words.
pub(super) fn pieces(text: &str) -> Vec<&str> {
    let words = text.bytes().skip(1).filter(|byte| *byte == b' ').count() + 1;
    let each = words.div_ceil(MAX_PIECES);
    let spaces = text.match_indices(' ').map(|(at, _)| at).filter(|at| *at > 0);
    let cuts = spaces.enumerate().filter(|(number, _)| (number + 1) % each == 0).map(|(_, at)| at);
    split_at(text, cuts)
}

/// Cuts a text about every `bytes` bytes.
pub(super) fn slices(text: &str, bytes: usize) -> Vec<&str> {
    let step = bytes.max(text.len().div_ceil(MAX_PIECES));
    split_at(text, (step..text.len()).step_by(step).map(|at| boundary(text, at)))
}

fn split_at(text: &str, cuts: impl Iterator<Item = usize>) -> Vec<&str> {
    let mut start = 0;
    let mut parts = Vec::new();
    for cut in cuts.chain([text.len()]) {
        if cut > start {
            parts.push(&text[start..cut]);
            start = cut;
        }
    }
    parts
}

/// The list of models.
pub(super) fn list_models(_ask: &Ask<'_>) -> Result<MockReply, Failure> {
    let plain = CHARACTERS.iter().map(|(name, _)| *name).filter(|name| !name.contains('<'));
    let model = |id: &str| json!({"id": id, "object": "model", "created": 0, "owned_by": "mock"});
    let list = json!({"object": "list", "data": plain.map(model).collect::<Vec<_>>()});
    Ok(MockReply::full(200, list.to_string()))
}
