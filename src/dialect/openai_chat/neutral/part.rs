//! Parts of a message's content, read: texts, media, refusals, thoughts.

use super::shapes::{Address, Bare, CacheControl, File, Piece, Sound};
use crate::dialect::chat::{CacheFor, Dropped, Media, MediaKind, Part, Source, Thought, Words};
use crate::dialect::json::Text;
use crate::dialect::json::shape::{Json, TextOr};

/// Reads a part; what is no part known here is reported.
///
/// # Errors
/// Says what is missing.
pub(super) fn read<'a>(piece: Piece<'a>, dropped: &mut Dropped) -> Result<Option<Part<'a>>, &'static str> {
    report("messages.content", &piece.unknown, dropped);
    let cache = piece.cache_control.map(|mark| cache(&mark, dropped));
    // Vendors' lists of content leave the type out, or write every member and null for those of other types.
    let kind = match &piece.kind {
        Some(kind) => kind.decode(),
        None if piece.text.is_some() => "text".into(),
        None => return Err("a part of the content has no type"),
    };
    let part = match &*kind {
        "text" | "input_text" | "output_text" => {
            let text = piece.text.ok_or("a text part has no text")?;
            Part::Text(Words { text, cache, ..Words::default() })
        }
        "refusal" => Part::Refusal(piece.refusal.ok_or("a refusal part has no refusal")?),
        "thinking" => match piece.thinking.map(words) {
            Some(text) => Part::Thought(Box::new(Thought { text, ..Thought::default() })),
            None => return Ok(None),
        },
        "image_url" => {
            address(MediaKind::Image, piece.image_url.ok_or("an image part has no image_url")?, dropped)?
        }
        "video_url" => {
            address(MediaKind::Video, piece.video_url.ok_or("a video part has no video_url")?, dropped)?
        }
        "input_audio" => sound(piece.input_audio.ok_or("an audio part has no input_audio")?, dropped)?,
        "file" => file(piece.file.ok_or("a file part has no file")?, dropped)?,
        other => {
            dropped.add(format!("messages.content.{other}"));
            return Ok(None);
        }
    };
    Ok(Some(match part {
        Part::Media(mut media) => {
            media.cache = cache;
            Part::Media(media)
        }
        part => part,
    }))
}

/// Names the members that are not read.
pub(super) fn report(at: &str, unknown: &[std::borrow::Cow<'_, str>], dropped: &mut Dropped) {
    for name in unknown {
        dropped.add(format!("{at}.{name}"));
    }
}

/// How long a mark asks for.
pub(super) fn cache(mark: &CacheControl<'_>, dropped: &mut Dropped) -> CacheFor {
    report("cache_control", &mark.unknown, dropped);
    match mark.ttl.as_ref().is_some_and(|ttl| ttl == "1h") {
        true => CacheFor::Hour,
        false => CacheFor::Short,
    }
}

/// The text of a list of texts, as Mistral writes thoughts.
fn words<'a>(content: TextOr<'a, Piece<'a>>) -> Text<'a> {
    match content {
        TextOr::Text(text) => text,
        TextOr::List(pieces) => join(pieces.into_iter().filter_map(|piece| piece.text)),
    }
}

/// Several texts as one, without a copy where there is only one.
pub(super) fn join<'a>(mut texts: impl Iterator<Item = Text<'a>>) -> Text<'a> {
    let Some(first) = texts.next() else { return Text::default() };
    let Some(second) = texts.next() else { return first };
    let all: Vec<Text<'a>> = [first, second].into_iter().chain(texts).collect();
    Text::join(&all, "")
}

fn address<'a>(
    kind: MediaKind,
    from: Bare<'a, Address<'a>>,
    dropped: &mut Dropped,
) -> Result<Part<'a>, &'static str> {
    let (url, detail) = match from {
        Bare::Text(url) => (url, None),
        Bare::Object(address) => {
            let at = if kind == MediaKind::Image {
                "messages.content.image_url"
            } else {
                "messages.content.video_url"
            };
            report(at, &address.unknown, dropped);
            (address.url.ok_or("a part has no url")?, address.detail)
        }
    };
    let inside = inside(url).ok_or("a url is not a string")?;
    let source = source(inside, if kind == MediaKind::Image { "image/png" } else { "video/mp4" });
    Ok(media(kind, source, None, detail))
}

fn sound<'a>(from: Bare<'a, Sound<'a>>, dropped: &mut Dropped) -> Result<Part<'a>, &'static str> {
    let (data, format) = match from {
        Bare::Text(data) => (data, None),
        Bare::Object(sound) => {
            report("messages.content.input_audio", &sound.unknown, dropped);
            (sound.data.ok_or("an audio part has no data")?, sound.format)
        }
    };
    let inside = inside(data).ok_or("the data of an audio part is not a string")?;
    let media_type = Text::owned_escaped(&match &format {
        Some(format) => format!("audio/{}", format.escaped()),
        None => "audio/mp3".to_owned(),
    });
    let source = match source(inside, "audio/mp3") {
        Source::Url { url, .. } if !is_address(inside) => Source::Inline { media_type, data: url },
        source => source,
    };
    Ok(media(MediaKind::Audio, source, None, None))
}

fn file<'a>(file: File<'a>, dropped: &mut Dropped) -> Result<Part<'a>, &'static str> {
    report("messages.content.file", &file.unknown, dropped);
    let source = match (file.file_data, file.file_id) {
        (Some(data), _) => {
            let inside = inside(data).ok_or("file_data is not a string")?;
            match source(inside, PDF) {
                Source::Url { url, .. } if !is_address(inside) => {
                    Source::Inline { media_type: Text::from_escaped(PDF), data: url }
                }
                source => source,
            }
        }
        (None, Some(id)) => Source::File(id),
        (None, None) => return Err("a file part has neither file_data nor file_id"),
    };
    let kind = match &source {
        Source::Inline { media_type, .. } => kind_of(&media_type.decode()),
        _ => MediaKind::Document,
    };
    Ok(media(kind, source, file.filename, None))
}

const PDF: &str = "application/pdf";

fn kind_of(media_type: &str) -> MediaKind {
    match media_type.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

fn media<'a>(
    kind: MediaKind,
    source: Source<'a>,
    name: Option<Text<'a>>,
    detail: Option<Text<'a>>,
) -> Part<'a> {
    Part::Media(Box::new(Media { kind, source, name, detail, cache: None }))
}

/// A raw JSON string without its quotes.
fn inside(raw: Json<'_>) -> Option<&str> {
    raw.0.strip_prefix('"')?.strip_suffix('"')
}

fn is_address(inside: &str) -> bool {
    ["http:", "https:", "gs:", "s3:"].iter().any(|scheme| inside.starts_with(scheme))
}

/// A data URL's bytes, or an address; `usual` is what a data URL without a type holds.
pub(super) fn source<'a>(inside: &'a str, usual: &'static str) -> Source<'a> {
    let data_url = || {
        let rest = inside.strip_prefix("data:")?;
        let (head, data) = rest.split_once(',')?;
        let media_type = head.strip_suffix(";base64")?;
        Some((media_type.split(';').next().unwrap_or_default(), data))
    };
    match data_url() {
        Some((media_type, data)) => Source::Inline {
            media_type: Text::from_escaped(if media_type.is_empty() { usual } else { media_type }),
            data: Text::from_escaped(data),
        },
        None => Source::Url { url: Text::from_escaped(inside), media_type: None },
    }
}
