//! Rescue: a stream that breaks off is taken up by another target (decision 7).
//!
//! The other one is given what was said so far as the beginning of its own answer. The caller sees one stream with one
//! beginning and one end; where nobody can go on, it sees the failure, and never a part that looks whole.

use actix_web::HttpRequest;

use super::Flow;
use crate::dialect::chat::Event;
use crate::dialect::json::Text;
use crate::dialect::prefill;
use crate::dialect::stream::Decoded;
use crate::dialect::{Call, Usage};
use crate::error::{GatewayError, UpstreamError};
use crate::pipeline::ask::Answer;
use crate::pipeline::attempt::{Asked, Purpose, Trial};
use crate::pipeline::estimate::Prompt;
use crate::pipeline::events::Events;
use crate::pipeline::exchange::Exchange;
use crate::pipeline::reserve;
use crate::tokens;

/// The longest beginning that another target is given; also what is kept of a stream in case that it breaks off.
const MAX_SAID_BYTES: usize = 1 << 20;

/// What another target needs to go on with a stream.
pub struct Rescue {
    trial: Trial,
    call: Call,
    request: HttpRequest,
    said: String,
    has_thought: bool,
}

impl Rescue {
    /// What is left of a request whose answer has begun.
    #[must_use]
    pub fn new(trial: Trial, call: Call, request: HttpRequest) -> Self {
        Self { trial, call, request, said: String::new(), has_thought: false }
    }

    /// Whether there is another target to turn to.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.trial.has_more()
    }

    /// Asks the targets that are left to go on from what was said; nothing where none does.
    async fn ask(&mut self, exchange: &mut Exchange) -> Option<(Box<Events>, Prompt)> {
        let dialect = exchange.endpoint.dialect;
        let has_said = !prefill::kept(&self.said).is_empty();
        // Thoughts cannot be gone on with, and would be thought a second time.
        if self.has_thought && !has_said {
            return None;
        }
        let written = tokens::count(&self.said);
        let begun =
            if has_said { Some(prefill::begun(&self.call, dialect, &self.said, written)?) } else { None };
        let call = begun.as_ref().unwrap_or(&self.call);
        let prompt = Prompt::of(dialect, call, true);
        let purpose = if has_said { Purpose::GoOn } else { Purpose::BeginAnew };
        let (caller, model) = (exchange.caller.clone()?, exchange.named_model().ok()?);
        reserve::hold(exchange, &caller, call, &model).await.ok()?;
        let asked = Asked { headers: self.request.headers(), call, purpose };
        match self.trial.answer(exchange, asked).await {
            Ok(Answer::Stream(events)) => Some((events, prompt)),
            // The failures are in the log and in the records; the caller is told of the first one.
            Ok(Answer::Whole(_) | Answer::Bytes(..)) | Err(_) => None,
        }
    }

    /// Takes note of what was said; false when nobody can go on from there any more.
    pub fn hear(&mut self, events: &[Event<'_>]) -> bool {
        events.iter().all(|event| match event {
            Event::Text { answer: 0, text } => {
                self.said.push_str(&text.decode());
                self.said.len() <= MAX_SAID_BYTES
            }
            Event::Thought { .. } => {
                self.has_thought = true;
                true
            }
            Event::Text { .. }
            | Event::ToolCall { .. }
            | Event::Arguments { .. }
            | Event::Refusal { .. }
            | Event::Finish { .. } => false,
            _ => true,
        })
    }
}

/// Where another target has gone on with an answer.
#[derive(Debug)]
pub struct Seam {
    /// Space that was said and that the other target was not told of.
    space: String,
    /// What the targets before it have counted.
    earlier: Usage,
}

impl Seam {
    /// Makes the events of the later target go on where those of the earlier one ended.
    pub fn join(&mut self, decoded: &mut Decoded) {
        decoded.events.retain(|event| !matches!(event, Event::Start { .. }));
        decoded.places.clear();
        for event in &mut decoded.events {
            match event {
                Event::Text { text, .. } if !self.space.is_empty() => self.close(text),
                Event::Usage(usage) => *usage = sum(&self.earlier, usage),
                _ => {}
            }
        }
        decoded.places.resize(decoded.events.len(), None);
    }

    /// Leaves out the space that was said already.
    fn close(&mut self, text: &mut Text<'static>) {
        let words = text.decode();
        let said = std::mem::take(&mut self.space);
        let same = said.chars().zip(words.chars()).take_while(|(said, new)| said == new);
        let bytes: usize = same.map(|(said, _)| said.len_utf8()).sum();
        if bytes > 0 {
            let rest = words.get(bytes..).unwrap_or_default();
            *text = Text::owned(rest);
        }
    }
}

fn sum(one: &Usage, other: &Usage) -> Usage {
    Usage {
        prompt: one.prompt.saturating_add(other.prompt),
        completion: one.completion.saturating_add(other.completion),
        cached: one.cached.saturating_add(other.cached),
        cache_write: one.cache_write.saturating_add(other.cache_write),
        cache_write_hour: one.cache_write_hour.saturating_add(other.cache_write_hour),
        reasoning: one.reasoning.saturating_add(other.reasoning),
        total: one.total.saturating_add(other.total),
        is_estimated: one.is_estimated || other.is_estimated,
    }
}

/// Asks the targets that are left to go on; the stream of the first that does takes the place of the one that broke off,
/// and the failure ends the answer where none does.
pub(super) async fn go_on(mut flow: Box<Flow>, error: UpstreamError) -> Box<Flow> {
    let Some(mut rescue) = flow.rescue.take() else {
        flow.tally.break_off(error, &mut flow.out);
        return flow;
    };
    let first_event = flow.events.first_event();
    let parted = flow.tally.part(error, first_event);
    match rescue.ask(&mut flow.tally.exchange).await {
        Some((events, prompt)) => {
            flow.tally.resume(prompt, &events);
            let space = rescue.said.get(prefill::kept(&rescue.said).len()..).unwrap_or_default().to_owned();
            let earlier = flow.seam.take().map_or(parted.usage, |seam| sum(&seam.earlier, &parted.usage));
            flow.seam = Some(Seam { space, earlier });
            flow.events = events;
            flow.rescue = Some(rescue);
        }
        None => flow.tally.refuse(&GatewayError::from(parted.error), &mut flow.out),
    }
    flow
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(words: &str) -> Event<'static> {
        Event::Text { answer: 0, text: Text::owned(words) }
    }

    fn decoded(events: Vec<Event<'static>>) -> Decoded {
        Decoded {
            places: vec![None; events.len()],
            events,
            pass: None,
            is_usage_only: false,
            usage: None,
            finish: None,
            text_bytes: 0,
            is_last: false,
        }
    }

    #[test]
    fn space_that_was_said_is_not_said_again() {
        for (space, words, rest) in [
            (" ", " world", "world"),
            (" ", "world", "world"),
            ("\n\n", "\n\n  - one", "  - one"),
            ("\n\n", "\nnext", "next"),
            ("", " world", " world"),
        ] {
            let mut seam = Seam { space: space.to_owned(), earlier: Usage::default() };
            let mut events = decoded(vec![Event::Start { id: None, model: None }, text(words), text(words)]);
            seam.join(&mut events);
            let words = [rest, words].map(text);
            assert_eq!(format!("{:?}", events.events), format!("{words:?}"));
            assert_eq!(events.places.len(), 2);
        }
    }

    #[test]
    fn the_caller_is_told_the_sum_of_what_was_counted() {
        let counted =
            |prompt, completion| Usage { prompt, completion, total: prompt + completion, ..Usage::default() };
        let mut seam = Seam { space: String::new(), earlier: counted(5, 7) };
        let mut events = decoded(vec![Event::Usage(counted(11, 13))]);
        seam.join(&mut events);
        assert!(matches!(&events.events[..], [Event::Usage(usage)] if *usage == counted(16, 20)));
    }
}
