//! OpenAI's Responses: the last event repeats the whole answer.

use bytes::BytesMut;

use super::members::{Member, copy, get, inside, items, list, members, say};
use crate::dialect::json::Writer;

/// The answer that the last event repeats.
pub(super) fn gather(events: &[&str], out: &mut BytesMut) -> Option<()> {
    let last = members(events.last()?)?;
    let kind = inside(get(&last, "type")?)?;
    let response = get(&last, "response")?;
    let is_whole = matches!(kind, "response.completed" | "response.incomplete");
    is_whole.then(|| out.extend_from_slice(response.as_bytes()))
}

/// Every event that a client builds its answer from, with the answer itself at the end.
pub(super) fn play(body: &str, out: &mut BytesMut) -> Option<()> {
    let response = members(body)?;
    let status = get(&response, "status").and_then(inside);
    let last = match status? {
        "completed" => "response.completed",
        "incomplete" => "response.incomplete",
        _ => return None,
    };
    let output = items(get(&response, "output")?)?;
    let output = output.into_iter().map(|raw| Some((raw, members(raw)?))).collect::<Option<Vec<_>>>()?;
    let mut pen = Pen { out, sequence: 0 };
    for name in ["response.created", "response.in_progress"] {
        pen.frame(name, |w| {
            w.name("response").object(|w| {
                copy(w, &response, &["status", "output", "usage", "incomplete_details", "completed_at"]);
                w.name("status").string("in_progress");
                w.name("incomplete_details").null();
                w.name("output").array(|_| {});
                w.name("usage").null();
            });
        });
    }
    for (index, (raw, item)) in output.iter().enumerate() {
        Item { index: index as u64, raw, members: item }.play(&mut pen)?;
    }
    pen.frame(last, |w| w.name("response").raw(body.trim()));
    Some(())
}

struct Pen<'o> {
    out: &'o mut BytesMut,
    sequence: u64,
}

impl Pen<'_> {
    fn frame(&mut self, name: &str, members: impl FnOnce(&mut Writer<'_>)) {
        for piece in ["event: ", name, "\ndata: "] {
            self.out.extend_from_slice(piece.as_bytes());
        }
        Writer::new(self.out).object(|w| {
            w.name("type").string(name);
            w.name("sequence_number").number(self.sequence);
            members(w);
        });
        self.sequence += 1;
        self.out.extend_from_slice(b"\n\n");
    }
}

struct Item<'a> {
    index: u64,
    raw: &'a str,
    members: &'a [Member<'a>],
}

/// A part of an item: the name of its place, its place, and itself.
type Part<'a> = (&'static str, u64, &'a str, Vec<Member<'a>>);

impl Item<'_> {
    fn play(&self, pen: &mut Pen<'_>) -> Option<()> {
        let kind = get(self.members, "type").and_then(inside)?;
        // What grows, and what it begins as.
        let growing: &[(&str, &str)] = match kind {
            "message" => &[("content", "[]"), ("status", "\"in_progress\"")],
            "reasoning" => &[("summary", "[]"), ("content", "[]"), ("status", "\"in_progress\"")],
            "function_call" => &[("arguments", "\"\""), ("status", "\"in_progress\"")],
            _ => &[],
        };
        pen.frame("response.output_item.added", |w| {
            w.name("output_index").number(self.index);
            w.name("item").object(|w| {
                for (name, raw) in self.members {
                    let empty = growing.iter().find(|(own, _)| own == name).map(|(_, empty)| *empty);
                    w.name(name).raw(empty.filter(|_| *raw != "null").unwrap_or(raw));
                }
            });
        });
        match kind {
            "message" | "reasoning" => {
                for (list, place) in [("summary", "summary_index"), ("content", "content_index")] {
                    let parts = get(self.members, list).map_or(Some(Vec::new()), items)?;
                    for (at, raw) in parts.into_iter().enumerate() {
                        self.play_part(pen, &(place, at as u64, raw, members(raw)?));
                    }
                }
            }
            "function_call" => self.play_arguments(pen)?,
            _ => {}
        }
        pen.frame("response.output_item.done", |w| {
            w.name("output_index").number(self.index);
            w.name("item").raw(self.raw);
        });
        Some(())
    }

    fn place(&self, w: &mut Writer<'_>) {
        w.name("item_id").raw(get(self.members, "id").unwrap_or("\"\""));
        w.name("output_index").number(self.index);
    }

    fn play_arguments(&self, pen: &mut Pen<'_>) -> Option<()> {
        let arguments = inside(get(self.members, "arguments")?)?;
        pen.frame("response.function_call_arguments.delta", |w| {
            self.place(w);
            say(w, "delta", arguments);
        });
        pen.frame("response.function_call_arguments.done", |w| {
            self.place(w);
            w.raw_member("name", get(self.members, "name"));
            say(w, "arguments", arguments);
        });
        Some(())
    }

    fn play_part(&self, pen: &mut Pen<'_>, part: &Part<'_>) {
        let (place, at, raw, members) = part;
        let at_place = |w: &mut Writer<'_>| {
            self.place(w);
            w.name(place).number(*at);
        };
        // The part's events, the events of its words, and the member that has these.
        let (around, words, member) = match get(members, "type").and_then(inside).unwrap_or_default() {
            "output_text" => ("response.content_part", "response.output_text", "text"),
            "refusal" => ("response.content_part", "response.refusal", "refusal"),
            "summary_text" => ("response.reasoning_summary_part", "response.reasoning_summary_text", "text"),
            "reasoning_text" => ("response.content_part", "response.reasoning_text", "text"),
            _ => ("response.content_part", "", ""),
        };
        let text = get(members, member).and_then(inside);
        let is_cited = words == "response.output_text";
        pen.frame(&format!("{around}.added"), |w| {
            at_place(w);
            w.name("part").object(|w| {
                for (name, raw) in members {
                    let empty = match &**name {
                        name if name == member => "\"\"",
                        "annotations" | "logprobs" if is_cited => "[]",
                        _ => raw,
                    };
                    w.name(name).raw(empty);
                }
            });
        });
        if let Some(text) = text {
            let logprobs = get(members, "logprobs").and_then(items).unwrap_or_default();
            let probable = |w: &mut Writer<'_>| {
                if is_cited {
                    list(w, "logprobs", &logprobs);
                }
            };
            pen.frame(&format!("{words}.delta"), |w| {
                at_place(w);
                say(w, "delta", text);
                probable(w);
            });
            let annotations = get(members, "annotations").and_then(items).filter(|_| is_cited);
            for (number, annotation) in annotations.unwrap_or_default().into_iter().enumerate() {
                pen.frame("response.output_text.annotation.added", |w| {
                    at_place(w);
                    w.name("annotation_index").number(number as u64);
                    w.name("annotation").raw(annotation);
                });
            }
            pen.frame(&format!("{words}.done"), |w| {
                at_place(w);
                say(w, member, text);
                probable(w);
            });
        }
        pen.frame(&format!("{around}.done"), |w| {
            at_place(w);
            w.name("part").raw(raw);
        });
    }
}
