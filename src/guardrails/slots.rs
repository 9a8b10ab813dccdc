//! Where the texts of a body are, without a dialect's codec and without a tree: one walk over the members that carry
//! words, in whatever dialect.
//!
//! Every string is a text but for those under names that never hold words (`QUIET`): nothing can be said where nobody
//! looks. Arguments of tools are looked at as what they are, JSON, be it in a string or not: a mask there replaces a
//! value, so they stay JSON. What is not masked stays as it was, byte for byte.

use std::ops::Range;

use bytes::Bytes;

use super::passage::Passage;
use crate::dialect::json::Text;
use crate::dialect::raw::{RawError, RawObject};

mod frame;
mod walk;

pub use frame::{Aside, in_frame};

use walk::{Found, Walk};

/// Members of a request that carry words, in all dialects.
const OF_REQUESTS: &[&str] = &[
    "messages",
    "prediction",
    "system",
    "instructions",
    "input",
    "systemInstruction",
    "system_instruction",
    "contents",
    "prompt",
    "suffix",
    "query",
    "documents",
    "tools",
    "functions",
    "response_format",
    "text",
    "generationConfig",
    "generation_config",
    "output_config",
    "metadata",
    "stop",
    "stop_sequences",
    "user",
];

/// Members of an answer that carry words, in all dialects.
const OF_ANSWERS: &[&str] =
    &["choices", "content", "output", "output_text", "candidates", "text", "message", "segments", "data"];

/// Where a text stands in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A string: what is between its quotes.
    String(Range<usize>),
    /// A number among arguments, which a mask makes a string of.
    Number(Range<usize>),
    /// One of the texts in the JSON in a string; the range is that of the string.
    Nested(Range<usize>, Box<Place>),
    /// Arguments as they are written, for patterns that look beyond one value.
    Whole,
}

/// The texts of a body.
#[derive(Debug)]
pub struct Slots {
    body: Bytes,
    places: Vec<Place>,
    /// Values that repeat the texts token by token.
    echoes: Vec<Range<usize>>,
    texts: Vec<String>,
}

impl Slots {
    /// Finds the texts of a request.
    #[must_use]
    pub fn of_request(body: &RawObject) -> Self {
        Self::find(body, OF_REQUESTS)
    }

    /// Finds the texts of an answer.
    ///
    /// # Errors
    /// The answer is not a JSON object.
    pub fn of_answer(body: &Bytes) -> Result<Self, RawError> {
        Ok(Self::find(&RawObject::parse(body.clone())?, OF_ANSWERS))
    }

    fn find(object: &RawObject, members: &[&str]) -> Self {
        let body = object.bytes().clone();
        let text = std::str::from_utf8(&body).unwrap_or_default();
        let mut walk = Walk::default();
        for (name, value) in object.members().filter(|(name, _)| members.contains(name)) {
            let range = crate::dialect::raw::range_in(text, value);
            walk.member(text, name, range.start);
        }
        let Found { places, echoes, texts, .. } = walk.found;
        Self { body: body.clone(), places, echoes, texts }
    }

    /// The texts, ready to be judged.
    #[must_use]
    pub fn passages(&mut self) -> Vec<Passage> {
        let passage = |(text, place): (String, &Place)| match place.is_whole() {
            true => Passage::whole(text),
            false => Passage::new(text),
        };
        std::mem::take(&mut self.texts).into_iter().zip(&self.places).map(passage).collect()
    }

    /// The body with what became of its texts; nothing where nothing did.
    #[must_use]
    pub fn rewrite(&self, passages: &[Passage]) -> Option<Bytes> {
        if !passages.iter().any(Passage::is_changed) {
            return None;
        }
        let text = std::str::from_utf8(&self.body).ok()?;
        let mut changes: Vec<(Range<usize>, String)> = Vec::new();
        let mut pairs = self.places.iter().zip(passages).peekable();
        while let Some((place, passage)) = pairs.next() {
            let Place::Nested(outer, _) = place else {
                changes.extend(change(place, passage));
                continue;
            };
            let mut inner: Vec<_> =
                nested(place).and_then(|place| change(place, passage)).into_iter().collect();
            while let Some((place, passage)) =
                pairs.next_if(|(next, _)| matches!(next, Place::Nested(at, _) if at == outer))
            {
                inner.extend(nested(place).and_then(|place| change(place, passage)));
            }
            if !inner.is_empty() {
                let json = Text::from_escaped(&text[outer.clone()]);
                changes.push((
                    outer.clone(),
                    Text::owned(&applied(&json.decode(), &inner)).escaped().to_owned(),
                ));
            }
        }
        let empty = |range: &Range<usize>| if text[range.clone()].starts_with('[') { "[]" } else { "null" };
        changes.extend(self.echoes.iter().map(|range| (range.clone(), empty(range).to_owned())));
        changes.sort_by_key(|(range, _)| range.start);
        Some(applied(text, &changes).into())
    }
}

fn nested(place: &Place) -> Option<&Place> {
    match place {
        Place::Nested(_, inner) => Some(inner),
        Place::String(_) | Place::Number(_) | Place::Whole => None,
    }
}

impl Place {
    fn is_whole(&self) -> bool {
        match self {
            Self::Whole => true,
            Self::Nested(_, inner) => inner.is_whole(),
            Self::String(_) | Self::Number(_) => false,
        }
    }
}

fn change(place: &Place, passage: &Passage) -> Option<(Range<usize>, String)> {
    if !passage.is_changed() {
        return None;
    }
    let text = Text::plain(passage.current());
    Some(match place {
        Place::String(range) => (range.clone(), text.escaped().to_owned()),
        Place::Number(range) => (range.clone(), format!("\"{}\"", text.escaped())),
        Place::Nested(..) | Place::Whole => return None,
    })
}

fn applied(text: &str, changes: &[(Range<usize>, String)]) -> String {
    super::passage::apply(text, changes.iter().map(|(range, with)| (range.clone(), &**with)))
}

/// The values in the JSON of a tool's arguments, each with the place of what stands for it; nothing where it is no
/// object or list.
#[must_use]
pub fn in_arguments(json: &str) -> Option<Vec<(Range<usize>, bool, String)>> {
    let found = walk::arguments(json)?;
    let flat = found.places.into_iter().zip(found.texts).filter_map(|(place, text)| match place {
        Place::String(range) => Some((range, false, text)),
        Place::Number(range) => Some((range, true, text)),
        Place::Nested(..) | Place::Whole => None,
    });
    Some(flat.collect())
}

#[cfg(test)]
mod tests;
