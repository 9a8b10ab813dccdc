//! The walk over a value: which strings are words, and what of a tool's arguments.
//!
//! The JSON is known to be well-formed and not too deep, so the walk only looks where things end.

use std::borrow::Cow;
use std::ops::Range;

use super::Place;
use super::frame::Trail;
use crate::dialect::json::Text;
use crate::dialect::raw::MAX_DEPTH;
use crate::dialect::raw::plain::closing_quote;

/// Names whose strings, and all that is below them, are no words: kinds, names of things, places, data, signatures.
const QUIET: &[&str] = &[
    "type",
    "role",
    "id",
    "tool_call_id",
    "call_id",
    "item_id",
    "response_id",
    "file_id",
    "tool_use_id",
    "status",
    "object",
    "model",
    "modelVersion",
    "url",
    "image_url",
    "uri",
    "fileUri",
    "file_uri",
    "file_url",
    "file_data",
    "b64_json",
    "mimeType",
    "mime_type",
    "media_type",
    "format",
    "detail",
    "signature",
    "thoughtSignature",
    "thought_signature",
    "encrypted_content",
    "encrypted_index",
    "encrypted_stdout",
    "cache_control",
    "finish_reason",
    "finishReason",
    "stop_reason",
    "phase",
];

/// Names under which the words stand once more, token by token.
const ECHOES: &[&str] = &["logprobs", "logprobsResult", "tokens"];

/// Names under which the arguments of a tool stand, as JSON or as JSON in a string.
const ARGUMENTS: &[&str] = &["arguments", "args", "input", "parameters"];

/// Names in a schema or a tool under which words stand; all else there has to stay what it is.
const OF_SCHEMAS: &[&str] = &[
    "description",
    "title",
    "enum",
    "const",
    "default",
    "example",
    "examples",
    "stopSequences",
    "stop_sequences",
];

/// Digits from which on a number among arguments is a text.
const DIGITS: usize = 6;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) places: Vec<Place>,
    pub(super) echoes: Vec<Range<usize>>,
    pub(super) texts: Vec<String>,
    /// In a frame of a stream: what tells each text that comes in pieces from others.
    pub(super) marks: Vec<Option<u64>>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) found: Found,
    /// Where the walk is, in a frame of a stream.
    pub(super) trail: Option<Trail>,
}

/// What strings are where the walk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Words.
    Words,
    /// Nothing that is looked at.
    Nothing,
    /// Words under whatever name.
    Plain,
    /// What a tool answered in Gemini's dialect: the name of the tool and the response.
    Answer,
    /// Pictures, of which only the prompt is words.
    Pictures,
    /// Descriptions of tools and formats: as words, but for their names, which must stay.
    Schema,
    /// Arguments of a tool, all of which is looked at.
    Arguments,
}

/// The values of a tool's arguments; nothing where they are no object or list.
pub(super) fn arguments(json: &str) -> Option<Found> {
    let start = json.len() - json.trim_start().len();
    if !is_readable(json) {
        return None;
    }
    let mut walk = Walk::default();
    walk.add(Place::Whole, json.to_owned());
    walk.value(json, start, Meaning::Arguments);
    Some(walk.found)
}

/// Whether a text is a JSON object or list. Where nobody reads that deep, it is a text like any other.
pub(super) fn is_readable(json: &str) -> bool {
    json.trim_start().starts_with(['{', '['])
        && serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok()
        && depth(json) <= MAX_DEPTH
}

/// How deep a JSON text is nested.
fn depth(json: &str) -> usize {
    let (mut at, mut depth, mut deepest) = (0, 0usize, 0);
    while let Some(byte) = json.as_bytes().get(at) {
        match byte {
            b'"' => at = string_end(json, at) - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
        at += 1;
    }
    deepest
}

impl Walk {
    /// Walks over the value of a member of a body.
    pub(super) fn member(&mut self, text: &str, name: &str, at: usize) {
        let is_string = text.as_bytes().get(at) == Some(&b'"');
        let meaning = match name {
            "documents" | "metadata" | "user" | "stop" | "stop_sequences" => Meaning::Plain,
            // The text of a transcript, not the form of one that is asked for.
            "text" if is_string => Meaning::Words,
            "text" | "tools" | "functions" | "response_format" | "generationConfig" | "generation_config"
            | "output_config" => Meaning::Schema,
            "data" => Meaning::Pictures,
            // At the top, `input` is what is said and not what a tool is given.
            _ if QUIET.contains(&name) => return,
            _ => Meaning::Words,
        };
        self.value(text, at, meaning);
    }

    /// Walks over the value that begins here, and gives the place behind it.
    pub(super) fn value(&mut self, text: &str, at: usize, meaning: Meaning) -> usize {
        match text.as_bytes().get(at) {
            Some(b'"') => self.string(text, at, meaning),
            Some(b'{') => self.object(text, at, meaning),
            Some(b'[') => {
                let mut at = skip_space(text, at + 1);
                while !matches!(text.as_bytes().get(at), None | Some(b']')) {
                    at = skip_comma(text, self.value(text, at, meaning));
                }
                at + 1
            }
            _ => self.scalar(text, at, meaning),
        }
    }

    fn object(&mut self, text: &str, start: usize, meaning: Meaning) -> usize {
        let mut at = skip_space(text, start + 1);
        let mut is_plain = None;
        let entered = self.trail.as_mut().map(|trail| trail.enter(text, start));
        while text.as_bytes().get(at) == Some(&b'"') {
            let end = string_end(text, at);
            let name = Text::from_escaped(text.get(at + 1..end - 1).unwrap_or_default());
            if meaning == Meaning::Arguments {
                self.add(Place::String(at + 1..end - 1), name.decode().into_owned());
            }
            // Over the colon.
            let value = skip_space(text, skip_space(text, end) + 1);
            let name = name.decode();
            if meaning == Meaning::Schema {
                // Names of properties reach the model, and must stay what they are.
                self.add(Place::Whole, name.clone().into_owned());
            }
            let below = match &*name {
                name if meaning != Meaning::Words => within(meaning, name),
                "data" if !*is_plain.get_or_insert_with(|| is_plain_document(text, start)) => {
                    Meaning::Nothing
                }
                "url" | "uri" if self.trail.as_ref().is_some_and(Trail::is_source) => Meaning::Words,
                name if self.trail.as_ref().is_some_and(|trail| trail.is_quiet(name)) => Meaning::Nothing,
                name => below(name),
            };
            if let Some(trail) = &mut self.trail {
                trail.push(&name);
            }
            let end = match below {
                Meaning::Arguments if meaning != Meaning::Arguments => self.arguments(text, value),
                below => self.value(text, value, below),
            };
            if meaning == Meaning::Words && ECHOES.contains(&&*name) {
                self.found.echoes.push(value..end);
            }
            if let Some(trail) = &mut self.trail {
                trail.pop();
            }
            at = skip_comma(text, end);
        }
        if let (Some(trail), Some(entered)) = (&mut self.trail, entered) {
            trail.leave(entered);
        }
        at + 1
    }

    /// Arguments: JSON, JSON in a string, or a string.
    fn arguments(&mut self, text: &str, at: usize) -> usize {
        if text.as_bytes().get(at) != Some(&b'"') {
            let place = self.found.places.len();
            let end = self.value(text, at, Meaning::Arguments);
            if self.found.places.len() > place {
                self.add(Place::Whole, text.get(at..end).unwrap_or_default().to_owned());
            }
            return end;
        }
        let end = string_end(text, at);
        let outer = at + 1..end - 1;
        let json = Text::from_escaped(text.get(outer.clone()).unwrap_or_default());
        let json = json.decode();
        match arguments(&json) {
            Some(found) => {
                for (place, text) in found.places.into_iter().zip(found.texts) {
                    self.add(Place::Nested(outer.clone(), Box::new(place)), text);
                }
            }
            None => self.add(Place::String(outer), json.into_owned()),
        }
        end
    }

    fn string(&mut self, text: &str, at: usize, meaning: Meaning) -> usize {
        let end = string_end(text, at);
        let inside = text.get(at + 1..end - 1).unwrap_or_default();
        if meaning != Meaning::Nothing && !inside.is_empty() {
            let words = Text::from_escaped(inside);
            let words = words.decode();
            if meaning == Meaning::Schema {
                self.add(Place::Whole, words.into_owned());
            } else if !is_embedded(&words) {
                self.add(Place::String(at + 1..end - 1), Cow::into_owned(words));
            }
        }
        end
    }

    fn scalar(&mut self, text: &str, at: usize, meaning: Meaning) -> usize {
        let rest = &text.as_bytes()[at..];
        let is_over = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
        // A value that cannot be read must not hold the walk up.
        let length = rest.iter().position(is_over).unwrap_or(rest.len()).max(1);
        let end = (at + length).min(text.len());
        if meaning == Meaning::Arguments
            && let Some(number) = text.get(at..end)
            && number.bytes().filter(u8::is_ascii_digit).count() >= DIGITS
        {
            self.add(Place::Number(at..end), number.to_owned());
        }
        end
    }

    fn add(&mut self, place: Place, text: String) {
        self.found.places.push(place);
        self.found.texts.push(text);
        if let Some(trail) = &self.trail {
            self.found.marks.push(trail.mark());
        }
    }
}

/// What stands under a name elsewhere than among words.
fn within(meaning: Meaning, name: &str) -> Meaning {
    match (meaning, name) {
        (Meaning::Schema, name) if OF_SCHEMAS.contains(&name) => Meaning::Plain,
        (Meaning::Answer, "response") => Meaning::Arguments,
        (Meaning::Answer, name) => below(name),
        (Meaning::Pictures, "revised_prompt") => Meaning::Words,
        (Meaning::Pictures, _) => Meaning::Nothing,
        (meaning, _) => meaning,
    }
}

/// What stands under a name among words.
fn below(name: &str) -> Meaning {
    if matches!(name, "functionResponse" | "function_response") {
        Meaning::Answer
    } else if QUIET.contains(&name) || ECHOES.contains(&name) {
        Meaning::Nothing
    } else if ARGUMENTS.contains(&name) {
        Meaning::Arguments
    } else {
        Meaning::Words
    }
}

/// Whether a string is a file in an address, and no words: RFC 2397, in base64.
fn is_embedded(words: &str) -> bool {
    let head = &words[..words.floor_char_boundary(128)];
    words.starts_with("data:") && head.contains(";base64,") && !words.contains(char::is_whitespace)
}

/// Whether the `data` of an object is a text, as that of Anthropic's plain documents is.
fn is_plain_document(text: &str, object: usize) -> bool {
    members(text, object).any(|(name, raw)| {
        let says = Text::from_json(raw).map(|says| says.decode().into_owned()).unwrap_or_default();
        match &*name {
            "type" => says == "text",
            "media_type" | "mimeType" | "mime_type" => says.starts_with("text/"),
            // Data that is no string is a structure that holds words.
            "data" => !raw.starts_with('"'),
            _ => false,
        }
    })
}

/// The members of the object that begins here: names, and values as they are written.
pub(super) fn members(text: &str, object: usize) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
    let mut at = skip_space(text, object + 1);
    std::iter::from_fn(move || {
        (text.as_bytes().get(at) == Some(&b'"')).then(|| {
            let end = string_end(text, at);
            let name = Text::from_escaped(text.get(at + 1..end - 1).unwrap_or_default());
            let value = skip_space(text, skip_space(text, end) + 1);
            let end = Walk::default().value(text, value, Meaning::Nothing);
            at = skip_comma(text, end);
            (Cow::Owned(name.decode().into_owned()), text.get(value..end).unwrap_or_default())
        })
    })
}

/// The place behind the string that begins here.
fn string_end(text: &str, at: usize) -> usize {
    closing_quote(text.as_bytes(), at + 1).map_or(text.len(), |quote| quote + 1)
}

fn skip_space(text: &str, mut at: usize) -> usize {
    while matches!(text.as_bytes().get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// The next value or name, or the end of what holds it.
fn skip_comma(text: &str, at: usize) -> usize {
    let at = skip_space(text, at);
    if text.as_bytes().get(at) == Some(&b',') { skip_space(text, at + 1) } else { at }
}
