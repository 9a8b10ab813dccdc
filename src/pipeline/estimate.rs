//! Estimate: usage that a provider left out, counted with a vocabulary of ours and marked as such (§5.3).
//!
//! Only what is missing is counted, and only once the exchange is over: no request that a provider counts pays for it.

use bytes::{Bytes, BytesMut};

use crate::dialect::chat::{Dropped, Event};
use crate::dialect::codec::{self, Reader};
use crate::dialect::raw::RawObject;
use crate::dialect::sse;
use crate::dialect::{Call, Dialect, Usage};
use crate::tokens;

/// Longest prompt that is kept while a stream runs, in case that nobody counts it.
const MAX_KEPT_PROMPT: usize = 64 << 10;
/// Most bytes of a stream's frames that are kept for the same reason; what comes after is taken to be like them.
const MAX_KEPT_FRAMES: usize = 32 << 10;

/// What was asked, as far as it is needed to count it.
#[derive(Debug)]
pub struct Prompt {
    dialect: Dialect,
    body: Bytes,
    /// The guess by size, where nothing better is known.
    by_size: u64,
}

impl Prompt {
    /// The prompt of a call. `is_kept` tells whether it has to outlive the call.
    #[must_use]
    pub fn of(dialect: Dialect, call: &Call, is_kept: bool) -> Self {
        let body = call.json().map(RawObject::bytes).filter(|body| !is_kept || body.len() <= MAX_KEPT_PROMPT);
        Self { dialect, body: body.cloned().unwrap_or_default(), by_size: call.prompt_tokens }
    }

    fn tokens(&self) -> u64 {
        let object = RawObject::parse(self.body.clone()).ok();
        let conversation = object
            .as_ref()
            .and_then(|object| codec::read_request(self.dialect, object, &mut Dropped::default()).ok());
        conversation.map_or(self.by_size, |conversation| tokens::count_conversation(&conversation))
    }
}

/// Usage with a count for what the provider left at zero; `words` gives what the model said.
pub fn filled(usage: Usage, prompt: &Prompt, words: impl FnOnce() -> u64) -> Usage {
    if usage.prompt > 0 && usage.completion > 0 {
        return usage;
    }
    let counted_prompt = if usage.prompt > 0 { usage.prompt } else { prompt.tokens() };
    let completion = if usage.completion > 0 { usage.completion } else { words() };
    let is_estimated = (counted_prompt, completion) != (usage.prompt, usage.completion);
    let total = usage.total.max(counted_prompt.saturating_add(completion));
    Usage { prompt: counted_prompt, completion, total, is_estimated, ..usage }
}

/// Usage of an answer that broke off after so many tokens, of which a provider may have counted fewer by then.
pub fn at_least(usage: Usage, completion: u64) -> Usage {
    if usage.completion >= completion {
        return usage;
    }
    let total = usage.total.max(usage.prompt.saturating_add(completion));
    Usage { completion, total, is_estimated: true, ..usage }
}

/// What a stream has delivered, in case that nobody counts it: its first frames, and the size of all.
#[derive(Debug)]
pub struct Delivered {
    dialect: Dialect,
    frames: BytesMut,
    text_bytes: u64,
}

impl Delivered {
    /// Nothing yet, of a provider's dialect.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, frames: BytesMut::new(), text_bytes: 0 }
    }

    /// Takes note of a frame with so many bytes of text.
    pub fn add(&mut self, frame: &[u8], text_bytes: u64) {
        if text_bytes == 0 {
            return;
        }
        self.text_bytes = self.text_bytes.saturating_add(text_bytes);
        if self.frames.len() + frame.len() <= MAX_KEPT_FRAMES {
            self.frames.extend_from_slice(frame);
        }
    }

    /// The tokens of everything.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        let (mut words, mut kept_bytes) = (String::new(), 0u64);
        let mut reader = Reader::of(self.dialect);
        let mut frames = sse::Reader::default();
        frames.push(Bytes::copy_from_slice(&self.frames));
        while let Ok(Some(frame)) = frames.next_frame() {
            let Some(data) = frame.data() else { continue };
            let Ok(data) = std::str::from_utf8(&data) else { continue };
            for event in reader.read(frame.event(), data).unwrap_or_default() {
                if let Event::Text { text, .. }
                | Event::Thought { text, .. }
                | Event::Refusal { text, .. }
                | Event::Arguments { fragment: text, .. } = &event
                {
                    kept_bytes += text.escaped().len() as u64;
                    words.push_str(&text.decode());
                }
            }
        }
        let counted = tokens::count(&words);
        match kept_bytes {
            // Frames that nobody could read: by size.
            0 => self.text_bytes.div_ceil(4),
            kept => counted.saturating_mul(self.text_bytes.max(kept)) / kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Body;
    use crate::operation::Operation;

    fn call(body: &'static str) -> Call {
        let object = RawObject::parse(Bytes::from_static(body.as_bytes())).expect("an object");
        Call::read(Operation::Chat, Dialect::OpenAiChat, Body::Json(object), None).expect("a call")
    }

    #[test]
    fn only_what_is_missing_is_counted() {
        let call = call(r#"{"model":"m","messages":[{"role":"user","content":"hello world"}]}"#);
        let prompt = Prompt::of(Dialect::OpenAiChat, &call, false);
        let counted = Usage { prompt: 9, completion: 4, total: 13, ..Usage::default() };
        assert_eq!(filled(counted, &prompt, || panic!("not asked")), counted);
        let half = filled(Usage { completion: 0, total: 9, ..counted }, &prompt, || 7);
        assert_eq!((half.prompt, half.completion, half.total, half.is_estimated), (9, 7, 16, true));
        let none = filled(Usage::default(), &prompt, || 0);
        // Two tokens of text and what stands around a turn.
        assert!((3..12).contains(&none.prompt) && none.is_estimated, "{none:?}");
    }

    #[test]
    fn an_answer_that_broke_off_has_what_it_delivered() {
        let begun = Usage { prompt: 9, completion: 1, total: 10, ..Usage::default() };
        let broken = at_least(begun, 40);
        assert_eq!((broken.completion, broken.total, broken.is_estimated), (40, 49, true));
        assert_eq!(at_least(broken, 7), broken);
    }

    #[test]
    fn what_a_stream_delivered_is_counted_from_its_frames() {
        let mut delivered = Delivered::new(Dialect::OpenAiChat);
        for word in ["hello", " world"] {
            let frame =
                format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}}}}]}}\n\n");
            delivered.add(frame.as_bytes(), word.len() as u64);
        }
        assert_eq!(delivered.tokens(), 2);
        for _ in 0..10_000 {
            delivered.add(b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" world\"}}]}\n\n", 6);
        }
        let tokens = delivered.tokens();
        assert!((9_500..10_500).contains(&tokens), "{tokens}");
        assert_eq!(Delivered::new(Dialect::Anthropic).tokens(), 0);
    }
}
