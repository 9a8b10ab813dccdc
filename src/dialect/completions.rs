//! OpenAI's text completions: chunks like those of a chat, with `text` in the place of a delta.
//!
//! Wire facts: OpenAI API reference, "Create completion", and recorded streams. They are handed on as they are; this reads
//! what they say.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::chat::{Event, Events, Finish, StreamFault};
use super::json::shape::Json;
use super::plain::read_usage;
use super::{json::Text, openai_chat};

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow, default)]
    text: Option<Json<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Json<'a>>,
}

/// Reads one event of a stream.
///
/// # Errors
/// It is no chunk, or a failure.
pub fn read_event(data: &str) -> Result<Events<'_>, StreamFault> {
    let body: Body<'_> = serde_json::from_str(data).map_err(|_| StreamFault::Malformed)?;
    if let Some(error) = body.error {
        return Err(StreamFault::Failed(openai_chat::in_band(error.get())));
    }
    let mut events = Events::new();
    for choice in body.choices.unwrap_or_default() {
        let answer = choice.index;
        if let Some(text) = choice.text.and_then(|text| Text::from_json(text.0)) {
            events.push(Event::Text { answer, text });
        }
        match choice.finish_reason.map(|reason| reason.0) {
            None | Some("null") => {}
            Some("\"length\"") => events.push(Event::Finish { answer, reason: Finish::Length }),
            Some(_) => events.push(Event::Finish { answer, reason: Finish::Stop }),
        }
    }
    if let Some(usage) = body.usage.and_then(|raw| read_usage(raw.get())) {
        events.push(Event::Usage(usage));
    }
    Ok(events)
}

/// What a whole answer says, for a count where the provider left it out.
#[must_use]
pub fn words(body: &str) -> Option<String> {
    let body: Body<'_> = serde_json::from_str(body).ok()?;
    let texts = body.choices?.into_iter().filter_map(|choice| Text::from_json(choice.text?.0));
    Some(texts.map(|text| text.decode().into_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_read() {
        let events = read_event(
            r#"{"choices":[{"text":"a\"b","index":1,"logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
        )
        .expect("a chunk");
        assert_eq!(events[0], Event::Text { answer: 1, text: Text::from_escaped(r#"a\"b"#) });
        assert_eq!(events[1], Event::Finish { answer: 1, reason: Finish::Length });
        assert!(matches!(events[2], Event::Usage(usage) if usage.total == 3));
        assert!(matches!(read_event(r#"{"error":{"message":"x"}}"#), Err(StreamFault::Failed(_))));
        assert!(matches!(read_event("{"), Err(StreamFault::Malformed)));
    }

    #[test]
    fn a_whole_answer_is_its_texts() {
        assert_eq!(words(r#"{"choices":[{"text":"a"},{"text":"\n"}]}"#).as_deref(), Some("a\n"));
        assert_eq!(words(r#"{"data":[]}"#), None);
    }
}
