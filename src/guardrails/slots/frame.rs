//! The texts of one frame of a stream, whatever its dialect has in it: for frames that go out as they are.
//!
//! A text comes whole, or it goes on with what stood in the same place of an earlier frame. It does where it stands below
//! a `delta`; the place is the event's type, the numbers of what it belongs to, and the names that lead to it.

use std::hash::{Hash as _, Hasher as _};

use super::Place;
use super::walk::{Meaning, Walk, is_readable, members};

/// Members of the answer in an event of OpenAI's Responses API that say again what was asked.
const ASKED: &[&str] = &[
    "instructions",
    "input",
    "tools",
    "tool_choice",
    "metadata",
    "prompt",
    "prompt_cache_key",
    "safety_identifier",
    "text",
    "user",
];

/// Members that tell what an event, or a part of it, belongs to.
const OWNERS: &[&str] = &["item_id", "index", "output_index", "content_index", "summary_index"];

/// Members that tell where words come from; an address is told there, too.
const SOURCES: &[&str] =
    &["citation", "citations", "citationMetadata", "annotation", "annotations", "groundingMetadata"];

/// A text of a frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Aside {
    /// The text.
    pub text: String,
    /// What it has in common with those that it goes on; nothing where it is whole.
    pub mark: Option<u64>,
}

/// The texts of the data of a frame.
#[must_use]
pub fn in_frame(data: &str) -> Vec<Aside> {
    if !is_readable(data) {
        return vec![Aside { text: data.to_owned(), mark: None }];
    }
    let mut walk = Walk { trail: Some(Trail::default()), ..Walk::default() };
    walk.value(data, data.len() - data.trim_start().len(), Meaning::Words);
    let found = walk.found;
    let texts = found.texts.into_iter().zip(found.places).zip(found.marks);
    texts
        .map(|((text, place), mark)| match place {
            Place::Nested(..) => Aside { text, mark: None },
            Place::String(_) | Place::Number(_) | Place::Whole => Aside { text, mark },
        })
        .collect()
}

/// Where a walk over a frame is.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// The names that lead there.
    names: Vec<Box<str>>,
    /// What each of the objects on the way belongs to.
    owners: Vec<u64>,
    /// Whether the innermost object's bytes are sounds or pictures.
    is_media: bool,
}

impl Trail {
    /// Enters an object; what it gives is for [`Trail::leave`].
    pub(super) fn enter(&mut self, text: &str, object: usize) -> bool {
        let mut hasher = std::hash::DefaultHasher::new();
        let was_media = self.is_media;
        self.is_media = false;
        for (name, raw) in members(text, object) {
            let is_type = name == "type";
            self.is_media |= is_type && is_media(raw.trim_matches('"'));
            // Within an event only the first of its kind may tell what it is.
            if OWNERS.contains(&&*name) || (is_type && self.owners.is_empty()) {
                (&*name, raw).hash(&mut hasher);
            }
        }
        self.owners.push(hasher.finish());
        was_media
    }

    /// Leaves the object that was entered last.
    pub(super) fn leave(&mut self, was_media: bool) {
        self.owners.pop();
        self.is_media = was_media;
    }

    /// Goes to a member.
    pub(super) fn push(&mut self, name: &str) {
        self.names.push(name.into());
    }

    /// Goes back from a member.
    pub(super) fn pop(&mut self) {
        self.names.pop();
    }

    /// Whether a member of the innermost object holds no words, though its name may elsewhere.
    pub(super) fn is_quiet(&self, name: &str) -> bool {
        match name {
            "partial_image_b64" => true,
            "delta" | "result" | "audio" => self.is_media,
            name => self.names.len() == 1 && &*self.names[0] == "response" && ASKED.contains(&name),
        }
    }

    /// Whether the innermost object tells where words come from.
    pub(super) fn is_source(&self) -> bool {
        self.names.iter().any(|name| SOURCES.contains(&&**name))
    }

    /// What a text here has in common with those that it goes on; nothing where it is whole.
    pub(super) fn mark(&self) -> Option<u64> {
        let goes_on = self.names.iter().any(|name| &**name == "delta");
        goes_on.then(|| {
            let mut hasher = std::hash::DefaultHasher::new();
            (&self.names, &self.owners).hash(&mut hasher);
            hasher.finish()
        })
    }
}

/// Whether the bytes in an event or an item of this type are sounds or pictures.
fn is_media(kind: &str) -> bool {
    let sounds = ["response.audio.delta", "response.output_audio.delta", "speech.audio.delta"];
    sounds.contains(&kind) || kind == "image_generation_call"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts that come whole, and the joined ones that do not.
    #[track_caller]
    fn check(frames: &[&str], whole: &[&str], joined: &[&str]) {
        let all: Vec<Aside> = frames.iter().flat_map(|frame| in_frame(frame)).collect();
        let said: Vec<_> =
            all.iter().filter(|aside| aside.mark.is_none()).map(|aside| &*aside.text).collect();
        assert_eq!(said, whole, "{frames:?}");
        let mut parts: Vec<(u64, String)> = Vec::new();
        for (mark, text) in all.iter().filter_map(|aside| Some((aside.mark?, &aside.text))) {
            match parts.iter_mut().find(|(own, _)| *own == mark) {
                Some((_, known)) => known.push_str(text),
                None => parts.push((mark, text.clone())),
            }
        }
        assert_eq!(parts.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), joined, "{frames:?}");
    }

    #[test]
    fn what_stands_below_a_delta_goes_on_in_its_own_place() {
        let delta = |index: u32, text: &str| {
            format!(
                r#"{{"type":"response.x.delta","item_id":"i{index}","output_index":{index},"delta":"{text}"}}"#
            )
        };
        check(&[&delta(0, "da"), &delta(1, "no"), &delta(0, "rn")], &[], &["darn", "no"]);
        let spoken = |index: u32, text: &str| {
            format!(
                r#"{{"id":"c","choices":[{{"delta":{{"audio":{{"id":"a","transcript":"{text}"}}}},"index":{index}}}]}}"#
            )
        };
        check(&[&spoken(0, "da"), &spoken(1, "no"), &spoken(0, "rn")], &[], &["darn", "no"]);
        let input =
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"x_delta","partial_json":"{\"q"}}"#;
        check(&[input], &[], &["{\"q"]);
    }

    #[test]
    fn what_says_again_what_was_asked_and_what_is_no_text_is_left_out() {
        let done = r#"{"type":"response.completed","response":{"instructions":"no","tools":[{"description":"no"}],
            "output":[{"type":"image_generation_call","result":"QUJD"},{"type":"custom_tool_call","input":"darn"}]}}"#;
        check(&[done], &["darn"], &[]);
        check(&[r#"{"type":"response.audio.delta","delta":"QUJD"}"#], &[], &[]);
        check(
            &[r#"{"candidates":[{"content":{"parts":[{"executableCode":{"code":"darn"}}]}}]}"#],
            &["darn"],
            &[],
        );
        check(&["not JSON"], &["not JSON"], &[]);
    }
}
