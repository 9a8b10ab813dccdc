//! One chat request, answered: read, decide, write, spoil.

use bytes::Bytes;

use super::draft::{Draft, Events, Written};
use super::endpoints::Ask;
use super::error::Failure;
use super::request::Request;
use super::speech::{Call, Content, Speech};
use super::wire::{Choice, ChunkWriter, Completion, Delta, Head, Message, ToolCall, Usage, pieces, slices};
use super::{Character, Hints, JSON, MockReply, bench, fingerprint};

/// The bytes of tool arguments that go into one chunk.
const ARGUMENT_PIECE: usize = 8;

/// Answers a chat request.
pub(super) fn answer(ask: &Ask<'_>) -> Result<MockReply, Failure> {
    let body = ask.request.body;
    if ask.hints.fault.is_none() && bench::is_wanted(body) {
        ask.hints.meet(bench::NAME);
        return Ok(bench::reply(body, ask.hints));
    }
    Ok(draft(&Request::read(body)?, body, ask.hints)?.reply(ask.dialect))
}

/// Writes the answer to a request that came as `body`, perhaps in another dialect.
pub(super) fn draft(request: &Request, body: &[u8], hints: &Hints) -> Result<Draft, Failure> {
    let character = Character::of(&request.model);
    let fault = hints.meet(&request.model);
    if let Some(failure) = fault.and_then(|fault| fault.instead(&request.asked(hints.created))) {
        return Err(failure);
    }
    let speech = Speech::to(request, body, character, fault);
    let answer = Answer { hash: fingerprint(hints.seed, body), created: hints.created, request, speech };
    let written = if request.stream {
        Written::Events(answer.chunks())
    } else {
        Written::Whole { media_type: JSON, body: answer.completion() }
    };
    Ok(Draft { written, fault, gap: character.gap(hints.chunk_gap) })
}

/// A decided answer, to be written in one of two forms.
struct Answer<'a> {
    hash: u64,
    created: u64,
    request: &'a Request,
    speech: Speech,
}

impl Answer<'_> {
    fn id(&self) -> String {
        format!("chatcmpl-mock{:016x}", self.hash)
    }

    fn call_id(&self, choice: usize, number: usize) -> String {
        format!("call_mock{:016x}{choice}{number}", self.hash)
    }

    fn head<'a>(&'a self, id: &'a str, object: &'static str) -> Head<'a> {
        Head { id, object, created: self.created, model: &self.request.model }
    }

    fn usage(&self) -> Usage {
        Usage::new(self.request.prompt_tokens, self.speech.tokens() * self.request.choices as u64)
    }

    fn completion(&self) -> Bytes {
        let id = self.id();
        let completion = Completion {
            head: self.head(&id, "chat.completion"),
            choices: (0..self.request.choices).map(|index| self.choice(index)).collect(),
            usage: self.usage(),
            service_tier: "default",
            system_fingerprint: None,
        };
        serde_json::to_vec(&completion).unwrap_or_default().into()
    }

    fn choice(&self, index: usize) -> Choice<'_> {
        let (content, refusal, calls): (_, _, &[Call]) = match &self.speech.content {
            Content::Text(text) => (Some(text.as_str()), None, &[]),
            Content::Refusal(text) => (None, Some(text.as_str()), &[]),
            Content::Calls(calls) => (None, None, calls),
        };
        let numbered = calls.iter().enumerate();
        let tool_calls =
            numbered.map(|(number, call)| ToolCall::whole(self.call_id(index, number), call)).collect();
        let message = Message { role: "assistant", content, tool_calls, refusal, annotations: [] };
        Choice { index, message, logprobs: None, finish_reason: self.speech.finish.name() }
    }

    /// The events; tokens are those of the first choice.
    fn chunks(&self) -> Events {
        let id = self.id();
        let head = self.head(&id, "chat.completion.chunk");
        let mut writer = ChunkWriter { head, include_usage: self.request.include_usage, frames: Vec::new() };
        let mut tokens = Vec::new();
        for choice in 0..self.request.choices {
            let start = writer.frames.len() + 1;
            self.write_choice(&mut writer, choice);
            if choice == 0 {
                tokens.extend(start..writer.frames.len());
            }
            writer.delta(choice, Delta::default(), Some(self.speech.finish.name()));
        }
        Events { frames: writer.finish(self.usage()), tokens, has_last_word: true }
    }

    fn write_choice(&self, writer: &mut ChunkWriter<'_>, choice: usize) {
        let role = Some("assistant");
        match &self.speech.content {
            Content::Text(text) => {
                writer.delta(
                    choice,
                    Delta { role, content: Some(Some("")), refusal: Some(None), ..Delta::default() },
                    None,
                );
                for piece in pieces(text) {
                    writer.delta(choice, Delta { content: Some(Some(piece)), ..Delta::default() }, None);
                }
            }
            Content::Refusal(text) => {
                writer.delta(
                    choice,
                    Delta { role, content: Some(None), refusal: Some(Some("")), ..Delta::default() },
                    None,
                );
                for piece in pieces(text) {
                    writer.delta(choice, Delta { refusal: Some(Some(piece)), ..Delta::default() }, None);
                }
            }
            Content::Calls(calls) => {
                writer.delta(choice, Delta { role, content: Some(None), ..Delta::default() }, None);
                for (number, call) in calls.iter().enumerate() {
                    let opening = ToolCall::opening(number, self.call_id(choice, number), call);
                    writer.delta(choice, Delta { tool_calls: vec![opening], ..Delta::default() }, None);
                    for arguments in slices(&call.arguments, ARGUMENT_PIECE) {
                        let tool_calls = vec![ToolCall::piece(number, arguments)];
                        writer.delta(choice, Delta { tool_calls, ..Delta::default() }, None);
                    }
                }
            }
        }
    }
}
