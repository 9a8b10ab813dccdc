//! Where statements come from: Gemini's grounding and citations, and the conversation's.
//!
//! Gemini counts places in bytes of UTF-8 from the start of the text, the conversation in characters.

use std::cell::Cell;

use crate::dialect::chat::{Citation, Part};
use crate::dialect::json::shape::{Json, shape};
use crate::dialect::json::{Text, Writer};
use crate::dialect::whole::Whole;

shape! {
    /// `groundingMetadata`.
    Grounding {
        "groundingChunks" => chunks: Vec<Chunk<'a>>,
        "groundingSupports" => supports: Vec<Support<'a>>,
    }
    /// A source: a page, a document of a store, or a place on a map.
    Chunk {
        "web" => web: Origin<'a>,
        "retrievedContext" => retrieved: Origin<'a>,
        "maps" => maps: Origin<'a>,
    }
    /// What is known of a source.
    Origin {
        "uri" => uri: Text<'a>,
        "title" => title: Text<'a>,
        "text" => text: Text<'a>,
    }
    /// A statement and its sources.
    Support {
        "segment" => segment: Segment<'a>,
        "groundingChunkIndices" => chunks: Vec<Whole>,
    }
    /// A place in the text.
    Segment {
        "partIndex" => part: Whole,
        "startIndex" => start: Whole,
        "endIndex" => end: Whole,
    }
    /// `citationMetadata`.
    Citations {
        "citations" => citations: Vec<Cited<'a>>,
        "citationSources" => sources: Vec<Cited<'a>>,
    }
    /// A passage that stands elsewhere too.
    Cited {
        "startIndex" => start: Whole,
        "endIndex" => end: Whole,
        "uri" => uri: Text<'a>,
        "title" => title: Text<'a>,
    }
}

/// The text of an answer, and where its parts begin in it, in bytes.
#[derive(Debug, Default)]
pub(super) struct Spoken {
    /// The words of all parts.
    pub(super) text: String,
    /// Where each of Gemini's parts begins; parts without words begin where the next words do.
    pub(super) starts: Vec<usize>,
    /// Bytes and characters up to the last place asked for: the next one is mostly behind it.
    pub(super) counted: Cell<(usize, u64)>,
}

impl Spoken {
    /// A place in characters of the whole text.
    fn place(&self, part: u64, start: u64, end: u64) -> (u64, u64) {
        let part = usize::try_from(part).ok().filter(|part| *part > 0);
        let base = part.and_then(|part| self.starts.get(part)).copied().unwrap_or(0) as u64;
        let characters = |bytes: u64| {
            let bytes = usize::try_from(base.saturating_add(bytes)).unwrap_or(usize::MAX);
            let cut = self.text.floor_char_boundary(bytes.min(self.text.len()));
            let (from, before) =
                Some(self.counted.get()).filter(|(from, _)| *from <= cut).unwrap_or_default();
            let count = before + self.text.get(from..cut).unwrap_or_default().chars().count() as u64;
            self.counted.set((cut, count));
            count
        };
        let start = characters(start);
        (start, characters(end).max(start))
    }
}

/// The citations of a candidate. What is of another form says nothing.
pub(super) fn read<'a>(
    grounding: Option<Json<'a>>,
    citations: Option<Json<'a>>,
    spoken: &Spoken,
) -> Vec<Citation<'a>> {
    let mut found = Vec::new();
    let grounding = grounding.and_then(|json| serde_json::from_str::<Grounding<'a>>(json.0).ok());
    if let Some(grounding) = grounding {
        read_grounding(grounding, spoken, &mut found);
    }
    let cited = citations.and_then(|json| serde_json::from_str::<Citations<'a>>(json.0).ok());
    for cited in cited.and_then(|cited| cited.citations.or(cited.sources)).unwrap_or_default() {
        let (start, end) = (cited.start.unwrap_or_default().0, cited.end.unwrap_or_default().0);
        if cited.uri.is_some() {
            let place = (end > start).then(|| spoken.place(0, start, end));
            found.push(Citation { url: cited.uri, title: cited.title, quote: None, place });
        }
    }
    found
}

fn read_grounding<'a>(grounding: Grounding<'a>, spoken: &Spoken, found: &mut Vec<Citation<'a>>) {
    let origin = |chunk: Chunk<'a>| chunk.web.or(chunk.retrieved).or(chunk.maps);
    let source = |chunk| {
        let origin = origin(chunk)?;
        Some(Citation { url: origin.uri, title: origin.title, quote: origin.text, place: None })
    };
    let sources: Vec<_> = grounding.chunks.unwrap_or_default().into_iter().map(source).collect();
    let supports = grounding.supports.unwrap_or_default();
    if supports.is_empty() {
        found.extend(sources.into_iter().flatten());
        return;
    }
    for support in supports {
        let place = support.segment.map(|segment| {
            let number = |whole: Option<Whole>| whole.unwrap_or_default().0;
            spoken.place(number(segment.part), number(segment.start), number(segment.end))
        });
        for Whole(chunk) in support.chunks.unwrap_or_default() {
            let source = usize::try_from(chunk).ok().and_then(|chunk| sources.get(chunk)?.clone());
            found.extend(source.map(|source| Citation { place, ..source }));
        }
    }
}

/// Gives citations to the words that they are about, or else to the last ones.
pub(super) fn attach<'a>(citations: Vec<Citation<'a>>, parts: &mut [Part<'a>]) {
    let mut words: Vec<_> = Vec::new();
    let mut start = 0;
    for part in parts {
        if let Part::Text(own) = part {
            let end = start + own.text.decode().chars().count() as u64;
            words.push((start, end, own));
            start = end;
        }
    }
    for mut citation in citations {
        let place = citation.place;
        let Some(last) = words.len().checked_sub(1) else { return };
        let about = place.map(|(start, _)| words.partition_point(|(_, end, _)| *end <= start));
        let Some((start, end, own)) = words.get_mut(about.unwrap_or(last).min(last)) else { return };
        citation.place =
            place.map(|(from, to)| (from.saturating_sub(*start), to.min(*end).saturating_sub(*start)));
        own.citations.push(citation);
    }
}

/// Words with their citations, and which of Gemini's parts they are.
#[derive(Debug)]
pub(super) struct Grounded<'c> {
    /// The number of the part; `None` where places count from the start of the whole text.
    pub(super) part: Option<usize>,
    /// The words.
    pub(super) text: &'c str,
    /// What they are about.
    pub(super) citations: &'c [Citation<'c>],
}

/// Writes the value of `groundingMetadata`.
pub(super) fn write(grounded: &[Grounded<'_>], w: &mut Writer<'_>) {
    let mut sources: Vec<&Citation<'_>> = Vec::new();
    let mut supports = Vec::new();
    let is_same =
        |a: &Citation<'_>, b: &Citation<'_>| (&a.url, &a.title, &a.quote) == (&b.url, &b.title, &b.quote);
    for words in grounded {
        for citation in words.citations {
            let known = sources.iter().position(|source| is_same(source, citation));
            let source = known.unwrap_or_else(|| {
                sources.push(citation);
                sources.len() - 1
            });
            supports.extend(citation.place.map(|place| (words, place, source)));
        }
    }
    w.object(|w| {
        w.name("groundingChunks").array(|w| sources.iter().for_each(|source| write_source(source, w)));
        w.name("groundingSupports").array(|w| {
            for (words, place, source) in supports {
                write_support(words, place, source, w);
            }
        });
    });
}

fn write_source(source: &Citation<'_>, w: &mut Writer<'_>) {
    w.object(|w| {
        w.name(if source.quote.is_some() { "retrievedContext" } else { "web" }).object(|w| {
            w.text_member("uri", source.url.as_ref());
            w.text_member("title", source.title.as_ref());
            w.text_member("text", source.quote.as_ref());
        });
    });
}

fn write_support(words: &Grounded<'_>, place: (u64, u64), source: usize, w: &mut Writer<'_>) {
    let bytes = |characters: u64| {
        let characters = usize::try_from(characters).unwrap_or(usize::MAX);
        words.text.char_indices().nth(characters).map_or(words.text.len(), |(at, _)| at)
    };
    let start = bytes(place.0);
    let end = bytes(place.1).max(start);
    w.object(|w| {
        w.name("segment").object(|w| {
            if let Some(part) = words.part.filter(|part| *part > 0) {
                w.name("partIndex").number(part as u64);
            }
            if start > 0 {
                w.name("startIndex").number(start as u64);
            }
            w.name("endIndex").number(end as u64);
            w.name("text").string(words.text.get(start..end).unwrap_or_default());
        });
        w.name("groundingChunkIndices").array(|w| w.number(source as u64));
    });
}
