//! Pictures, files and sounds, both ways: the dialect has data URLs where others have a type and base64.

use crate::dialect::chat::{Media, MediaKind, Source};
use crate::dialect::json::{Text, Writer};

use super::shapes::{Audio, Piece};

/// What a file is taken for that does not say its type: the only one that providers have in common.
const PDF: Text<'static> = Text::from_escaped("application/pdf");

/// Reads a picture; `None` where it says no place.
pub(super) fn image<'a>(piece: Piece<'a>) -> Option<Media<'a>> {
    let source = match (piece.image_url, piece.file_id) {
        (Some(url), _) => address(url.0)?,
        (None, Some(id)) => Source::File(id),
        (None, None) => return None,
    };
    Some(Media { kind: MediaKind::Image, source, name: None, detail: piece.detail, cache: None })
}

/// Reads a file; `None` where it says no place.
pub(super) fn file<'a>(piece: Piece<'a>) -> Option<Media<'a>> {
    let source = match (piece.file_data, piece.file_url, piece.file_id) {
        (Some(data), _, _) => match address(data.0)? {
            Source::Url { url: data, .. } => Source::Inline { media_type: PDF, data },
            source => source,
        },
        (None, Some(url), _) => Source::Url { url, media_type: None },
        (None, None, Some(id)) => Source::File(id),
        (None, None, None) => return None,
    };
    Some(Media { kind: MediaKind::Document, source, name: piece.filename, detail: piece.detail, cache: None })
}

/// Reads a sound; `None` where it has no data.
pub(super) fn audio(audio: Audio<'_>) -> Option<Media<'_>> {
    let format = audio.format.map(|format| format.decode().into_owned());
    let media_type = match format.as_deref() {
        Some("mp3") => Text::from_escaped("audio/mpeg"),
        None | Some("wav") => Text::from_escaped("audio/wav"),
        Some(other) => Text::owned(&format!("audio/{other}")),
    };
    let source = Source::Inline { media_type, data: audio.data? };
    Some(Media { kind: MediaKind::Audio, source, name: None, detail: None, cache: None })
}

/// Reads the raw JSON of an address: a data URL lies here, everything else elsewhere.
fn address(raw: &str) -> Option<Source<'_>> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    if let Some((head, data)) = inside.strip_prefix("data:").and_then(|rest| rest.split_once(',')) {
        let head = Text::from_escaped(head).decode().into_owned();
        if let Some(media_type) = head.strip_suffix(";base64") {
            let media_type = media_type.split(';').next().unwrap_or(media_type);
            return Some(Source::Inline {
                media_type: Text::owned(media_type),
                data: Text::from_escaped(data),
            });
        }
    }
    Some(Source::Url { url: Text::from_escaped(inside), media_type: None })
}

/// The name of media that the dialect cannot say.
pub(super) fn unsayable(media: &Media<'_>) -> Option<&'static str> {
    match (media.kind, &media.source) {
        (MediaKind::Video, _) => Some("messages.content.video"),
        // A sound can only be the file that a caller made of it.
        (MediaKind::Audio, _) => Some("messages.content.input_audio"),
        (MediaKind::Image | MediaKind::Document, _) => None,
    }
}

/// Writes a piece of media into the content of a user's message or of a tool's result, unless it is unsayable.
pub(super) fn write(w: &mut Writer<'_>, media: &Media<'_>) {
    if unsayable(media).is_some() {
        return;
    }
    match (media.kind, &media.source) {
        (MediaKind::Video | MediaKind::Audio, _) => {}
        (_, Source::Plain(text)) => write_plain(w, media, text),
        (MediaKind::Image, source) => w.object(|w| {
            w.name("type").string("input_image");
            w.text_member("detail", Some(media.detail.as_ref().unwrap_or(&Text::from_escaped("auto"))));
            match source {
                Source::File(id) => w.name("file_id").text(id),
                source => write_address(w, "image_url", source),
            }
        }),
        (MediaKind::Document, source) => w.object(|w| {
            w.name("type").string("input_file");
            w.text_member("detail", media.detail.as_ref());
            match source {
                Source::File(id) => w.name("file_id").text(id),
                Source::Url { url, .. } => w.name("file_url").text(url),
                source => {
                    // A name is asked for where the bytes are here.
                    let name = media.name.as_ref().filter(|name| !name.is_empty());
                    w.name("filename").text(name.unwrap_or(&Text::from_escaped("document.pdf")));
                    write_address(w, "file_data", source);
                }
            }
        }),
    }
}

fn write_plain(w: &mut Writer<'_>, media: &Media<'_>, text: &Text<'_>) {
    w.object(|w| {
        w.name("type").string("input_text");
        match &media.name {
            Some(name) if !name.is_empty() => w.name("text").text(&Text::join([name, text], "\n\n")),
            _ => w.name("text").text(text),
        }
    });
}

fn write_address(w: &mut Writer<'_>, member: &str, source: &Source<'_>) {
    match source {
        Source::Inline { media_type, data } => {
            let url = format!("data:{};base64,{}", media_type.escaped(), data.escaped());
            w.name(member).text(&Text::from_escaped(&url));
        }
        Source::Url { url, .. } => w.name(member).text(url),
        Source::Plain(text) | Source::File(text) => w.name(member).text(text),
    }
}
