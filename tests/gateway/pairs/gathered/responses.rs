//! Events of OpenAI's Responses.
//!
//! The last event holds the whole answer; what the pieces before it come to must be the same.

use serde_json::{Value, json};

use super::{Frame, Gathered, Rules, at, grow, json_of, list, place_of, text_of};

/// See the module.
pub fn gather(frames: &[Frame], rules: &mut Rules) -> Gathered {
    let mut gathering = Gathering { whole: json!({}), pieces: json!([]), done: 0, ended: None };
    for (place, (event, data)) in frames.iter().enumerate() {
        if data.trim() == "[DONE]" {
            rules.hold(false, "there is no [DONE]");
            continue;
        }
        let body = json_of(data);
        let kind = text_of(&body["type"]).to_owned();
        rules.hold(event.as_deref() == Some(&*kind), "the event's name is its type");
        rules.hold(body["sequence_number"] == json!(place), "events are numbered from 0");
        rules.hold(gathering.ended.is_none(), "nothing comes after the end");
        if ["error", "response.failed"].contains(&&*kind) {
            return Gathered { whole: gathering.whole, is_complete: false };
        }
        let first = ["response.created", "response.in_progress"].get(place).copied();
        rules.hold(first.is_none_or(|first| first == kind), "a stream begins with its two events");
        gathering.take(&kind, &body, rules);
    }
    gathering.end(rules)
}

struct Gathering {
    whole: Value,
    /// Items as their pieces come to.
    pieces: Value,
    /// Items that are done.
    done: usize,
    ended: Option<String>,
}

impl Gathering {
    fn take(&mut self, kind: &str, body: &Value, rules: &mut Rules) {
        if body["response"].is_object() {
            let id = &self.whole["id"];
            rules.hold(id.is_null() || *id == body["response"]["id"], "the answer's id stays");
            self.whole = body["response"].clone();
        }
        let item = at_item(&mut self.pieces, body);
        let is_of = |item: &Value| body["item_id"].is_null() || item["id"] == body["item_id"];
        if kind.starts_with("response.") && !body["item_id"].is_null() {
            rules.hold(item.as_ref().is_some_and(|item| is_of(item)), "a piece names the item that is open");
        }
        match (kind, item) {
            ("response.completed" | "response.incomplete", _) => self.ended = Some(kind.to_owned()),
            ("response.output_item.added", _) => {
                let place = place_of(&body["output_index"]);
                rules.hold(place == list(&self.pieces).len(), "items are numbered from 0 without gaps");
                rules.hold(!text_of(&body["item"]["id"]).is_empty(), "an item has an id");
                *at(&mut self.pieces, place) = body["item"].clone();
            }
            ("response.output_item.done", Some(item)) => {
                self.done += 1;
                done(item, &body["item"], rules);
            }
            (kind, Some(item)) => grow_item(kind, item, body, rules),
            (_, None) => {}
        }
    }

    fn end(self, rules: &mut Rules) -> Gathered {
        let Self { mut whole, pieces, done, ended } = self;
        rules.hold(ended.is_some(), "there is an end");
        rules.hold(done == list(&pieces).len(), "every item is done");
        rules.hold(whole["output"] == pieces, "the end holds every item as it was done");
        let status = text_of(&whole["status"]);
        let is_fit = ended.as_deref().is_none_or(|kind| kind == format!("response.{status}"));
        rules.hold(is_fit, "the end is of the answer's status");
        if list(&whole["output"]).is_empty() {
            whole["output"] = pieces;
        }
        Gathered { whole, is_complete: ended.is_some() }
    }
}

fn at_item<'p>(pieces: &'p mut Value, body: &Value) -> Option<&'p mut Value> {
    let place = body["output_index"].as_u64()? as usize;
    pieces.as_array_mut()?.get_mut(place)
}

fn grow_item(kind: &str, item: &mut Value, body: &Value, rules: &mut Rules) {
    let delta = &body["delta"];
    let content = place_of(&body["content_index"]);
    let summary = place_of(&body["summary_index"]);
    match kind {
        "response.content_part.added" => *at(&mut item["content"], content) = body["part"].clone(),
        "response.reasoning_summary_part.added" => *at(&mut item["summary"], summary) = body["part"].clone(),
        "response.output_text.delta" | "response.reasoning_text.delta" => {
            grow(&mut at(&mut item["content"], content)["text"], delta);
        }
        "response.refusal.delta" => grow(&mut at(&mut item["content"], content)["refusal"], delta),
        "response.reasoning_summary_text.delta" => {
            grow(&mut at(&mut item["summary"], summary)["text"], delta)
        }
        "response.function_call_arguments.delta" => grow(&mut item["arguments"], delta),
        "response.output_text.annotation.added" => {
            let place = place_of(&body["annotation_index"]);
            let part = at(&mut item["content"], content);
            rules.hold(place == list(&part["annotations"]).len(), "annotations are numbered from 0");
            *at(&mut part["annotations"], place) = body["annotation"].clone();
        }
        "response.output_text.done" => {
            rules.hold(item["content"][content]["text"] == body["text"], "a text is the sum of its pieces");
        }
        "response.content_part.done" => {
            rules.hold(item["content"][content]["text"] == body["part"]["text"], "so is a part");
        }
        "response.function_call_arguments.done" => {
            rules.hold(item["arguments"] == body["arguments"], "arguments are the sum of their pieces");
        }
        _ => {}
    }
}

/// An item that is done is the sum of its pieces.
fn done(item: &mut Value, whole: &Value, rules: &mut Rules) {
    for name in ["id", "type", "arguments", "name", "call_id"] {
        rules.hold(item[name] == whole[name], "an item that is done is the one that began");
    }
    for name in ["content", "summary"] {
        let same = |(left, right): (&Value, &Value)| left["text"] == right["text"];
        let (own, other) = (list(&item[name]), list(&whole[name]));
        let is_same = own.len() == other.len() && own.iter().zip(other).all(same);
        rules.hold(is_same, "an item that is done is the sum of its pieces");
    }
    *item = whole.clone();
}
