//! Answers, whole and streamed: written for a caller and read as a provider's, they mean the same, and both forms of one
//! answer mean the same as each other.

use aisix::dialect::Dialect;
use aisix::dialect::chat::{Answer, Arguments, Event, Part, Reply, Signature, Thought, ToolCall, Words};
use aisix::dialect::codec::{Reader, Writer, read_reply, write_reply};
use aisix::dialect::json::Text;
use aisix::dialect::sse;
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::can::Can;
use super::replies::reply;
use super::{holds, meaning, stamp};

const CASES: u32 = 100;

/// A reply that was read from whole bytes, kept beyond them by its meaning.
fn whole(dialect: Dialect, reply: &Reply<'_>) -> serde_json::Value {
    let mut out = BytesMut::new();
    write_reply(dialect, reply, &stamp(), &mut out);
    let text = std::str::from_utf8(&out).expect("UTF-8");
    let read = read_reply(dialect, text).unwrap_or_else(|error| panic!("{dialect:?}: {error}: {text}"));
    meaning::of_reply(&read)
}

/// The same answer in pieces of `size` characters, written as a stream and read again.
fn streamed(dialect: Dialect, reply: &Reply<'_>, size: usize) -> serde_json::Value {
    let (mut writer, mut out) = (Writer::of(dialect, stamp()), BytesMut::new());
    for event in events(reply, size) {
        writer.write(&event, &mut out);
    }
    writer.close(&mut out);
    let (mut frames, mut reader) = (sse::Reader::default(), Reader::of(dialect));
    let mut gathered = Gathered::default();
    frames.push(out.freeze());
    while let Some(frame) = frames.next_frame().expect("frames are small") {
        let data = frame.data().expect("every frame has data");
        let text = std::str::from_utf8(&data).expect("UTF-8");
        if text == "[DONE]" {
            continue;
        }
        let events = reader.read(frame.event(), text);
        let events = events.unwrap_or_else(|fault| panic!("{dialect:?}: {fault:?}: {text}"));
        events.iter().for_each(|event| gathered.take(event));
    }
    assert!(frames.finish().is_none(), "a frame is cut");
    meaning::of_reply(&gathered.reply)
}

/// A reply as the events of a stream.
pub fn events(reply: &Reply<'_>, size: usize) -> Vec<Event<'static>> {
    let mut events = vec![Event::Start { id: None, model: None }];
    for (answer, said) in (0_u32..).zip(&reply.answers) {
        let mut calls = 0;
        for part in &said.parts {
            spell(part, answer, &mut calls, size, &mut events);
        }
        events.push(Event::Finish { answer, reason: said.finish.clone().into_owned() });
    }
    events.extend(reply.usage.map(Event::Usage));
    events.push(Event::End);
    events
}

fn spell(part: &Part<'_>, answer: u32, calls: &mut u32, size: usize, events: &mut Vec<Event<'static>>) {
    match part {
        Part::Text(words) => {
            events.extend(pieces(&words.text, size).map(|text| Event::Text { answer, text }));
            events.extend(words.citations.iter().map(|citation| Event::Citation {
                answer,
                citation: Box::new(super::replies::owned(citation)),
            }));
        }
        Part::Refusal(text) => {
            events.extend(pieces(text, size).map(|text| Event::Refusal { answer, text }));
        }
        Part::Thought(thought) => {
            events.extend(pieces(&thought.text, size).map(|text| Event::Thought { answer, text }));
            if let Some(signature) = thought.signature.clone().map(Signature::into_owned) {
                events.push(Event::Signature { answer, signature, is_redacted: thought.is_redacted });
            }
        }
        Part::ToolCall(own) => {
            let (call, id) = (*calls, own.id.clone().into_owned());
            *calls += 1;
            events.push(Event::ToolCall { answer, call, id, name: own.name.clone().into_owned() });
            let arguments = own.arguments.as_text().into_owned();
            events.extend(pieces(&arguments, size).map(|fragment| Event::Arguments {
                answer,
                call,
                fragment,
            }));
        }
        Part::Media(_) | Part::ToolResult(_) => panic!("it is not made up: {part:?}"),
    }
}

fn pieces(text: &Text<'_>, size: usize) -> impl Iterator<Item = Text<'static>> {
    let characters: Vec<char> = text.decode().chars().collect();
    let pieces: Vec<_> =
        characters.chunks(size).map(|piece| Text::owned(&piece.iter().collect::<String>())).collect();
    pieces.into_iter()
}

/// Puts events together again.
#[derive(Default)]
struct Gathered {
    reply: Reply<'static>,
}

impl Gathered {
    fn answer(&mut self, answer: u32) -> &mut Answer<'static> {
        assert!(answer < 9, "only few answers are made up");
        let wanted = answer as usize + 1;
        if self.reply.answers.len() < wanted {
            self.reply.answers.resize_with(wanted, Answer::default);
        }
        &mut self.reply.answers[answer as usize]
    }

    fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Start { .. } | Event::Logprobs { .. } | Event::End => {}
            Event::Usage(usage) => self.reply.usage = Some(*usage),
            Event::Finish { answer, reason } => self.answer(*answer).finish = reason.clone().into_owned(),
            Event::Text { answer, text } => match self.answer(*answer).parts.last_mut() {
                Some(Part::Text(words)) if words.citations.is_empty() => add(&mut words.text, text),
                _ => {
                    let words = Words { text: text.clone().into_owned(), ..Words::default() };
                    self.answer(*answer).parts.push(Part::Text(words));
                }
            },
            Event::Citation { answer, citation } => {
                let texts = self.answer(*answer).parts.iter_mut().rev().filter_map(|part| match part {
                    Part::Text(words) => Some(words),
                    _ => None,
                });
                let words = texts.into_iter().next().expect("there are words before it");
                words.citations.push(super::replies::owned(citation));
            }
            Event::Refusal { answer, text } => match self.answer(*answer).parts.last_mut() {
                Some(Part::Refusal(before)) => add(before, text),
                _ => self.answer(*answer).parts.push(Part::Refusal(text.clone().into_owned())),
            },
            Event::Thought { answer, text } => match self.answer(*answer).parts.last_mut() {
                Some(Part::Thought(thought)) if thought.signature.is_none() => add(&mut thought.text, text),
                _ => {
                    let thought = Thought { text: text.clone().into_owned(), ..Thought::default() };
                    self.answer(*answer).parts.push(Part::Thought(Box::new(thought)));
                }
            },
            Event::Signature { answer, signature, is_redacted } => {
                let signature = Some(signature.clone().into_owned());
                let thought = Thought { text: Text::default(), signature, is_redacted: *is_redacted };
                self.answer(*answer).parts.push(Part::Thought(Box::new(thought)));
            }
            Event::ToolCall { answer, id, name, .. } => {
                let (id, name) = (id.clone().into_owned(), name.clone().into_owned());
                let call = ToolCall { id, name, arguments: Arguments::Text(Text::default()), cache: None };
                self.answer(*answer).parts.push(Part::ToolCall(Box::new(call)));
            }
            Event::Arguments { answer, call, fragment } => {
                let calls = self.answer(*answer).parts.iter_mut().filter_map(|part| match part {
                    Part::ToolCall(call) => Some(call),
                    _ => None,
                });
                let call = calls.into_iter().nth(*call as usize).expect("it was begun");
                if let Arguments::Text(before) = &mut call.arguments {
                    add(before, fragment);
                }
            }
        }
    }
}

fn add(before: &mut Text<'static>, text: &Text<'_>) {
    *before = Text::join([&*before, text], "");
}

#[test]
fn an_answer_means_the_same_whole_and_streamed() {
    let mut problems = Vec::new();
    for dialect in Dialect::CALLERS {
        let outcome = holds(CASES, &(reply(&Can::of(dialect)), 1_usize..9), |(reply, size)| {
            let wanted = meaning::of_reply(&reply);
            prop_assert_eq!(whole(dialect, &reply), wanted.clone(), "whole");
            prop_assert_eq!(streamed(dialect, &reply, size), wanted, "streamed in pieces of {}", size);
            Ok(())
        });
        problems.extend(outcome.err().map(|problem| format!("{dialect:?}: {problem}")));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

/// What two dialects can both say survives the way through both, in either form.
#[test]
fn an_answer_survives_the_way_through_two_dialects() {
    let mut problems = Vec::new();
    for one in Dialect::CALLERS {
        for other in Dialect::CALLERS {
            let outcome = holds(CASES / 2, &reply(&Can::both(one, other)), |reply| {
                let mut first = BytesMut::new();
                write_reply(one, &reply, &stamp(), &mut first);
                let text = std::str::from_utf8(&first).expect("UTF-8");
                let read = read_reply(one, text).expect("it was written");
                let wanted = meaning::of_reply(&reply);
                prop_assert_eq!(whole(other, &read), wanted.clone(), "whole");
                prop_assert_eq!(streamed(other, &read, 3), wanted, "streamed");
                Ok(())
            });
            problems.extend(outcome.err().map(|problem| format!("{one:?} and {other:?}: {problem}")));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

/// Any frames: what a reader makes of them, every writer turns into whole frames of JSON.
#[test]
fn any_bytes_are_read_and_written_as_frames() {
    let bytes = prop::collection::vec(any::<u8>(), 0..80);
    let outcome = holds(300, &bytes, |bytes| {
        for provider in [&Dialect::CALLERS[..], &[Dialect::Cohere]].concat() {
            let _ = std::str::from_utf8(&bytes).map(|text| read_reply(provider, text).is_ok());
            let (mut frames, mut reader) = (sse::Reader::default(), Reader::of(provider));
            frames.push(Bytes::from([b"data: ", &bytes[..], b"\n\n"].concat()));
            while let Some(frame) = frames.finish() {
                let data = frame.data().unwrap_or_default();
                let _ = std::str::from_utf8(&data).map(|data| reader.read(frame.event(), data).is_ok());
            }
        }
        Ok(())
    });
    outcome.expect("nothing panics");
}
