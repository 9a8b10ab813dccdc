//! Pictures, documents, sound and films: bytes in the request, or addresses that Google fetches.

use std::borrow::Cow;

use crate::dialect::chat::{Dropped, Media, MediaKind, Source};
use crate::dialect::json::{Text, Writer};

use super::members::{Blob, FileRef};
use crate::dialect::base64;

/// What a media type is.
pub(super) fn kind(media_type: &str) -> MediaKind {
    match media_type.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

/// Bytes, as the conversation holds them; `None` where there are none.
pub(super) fn read_blob(blob: Blob<'_>) -> Option<Media<'_>> {
    let media_type = blob.mime_type.unwrap_or(Text::from_escaped("application/octet-stream"));
    let kind = kind(&media_type.decode());
    let source = Source::Inline { media_type, data: base64::usual(blob.data?) };
    Some(Media { kind, source, name: blob.name, detail: None, cache: None })
}

/// A file by its address; `None` where it has none.
pub(super) fn read_file(file: FileRef<'_>) -> Option<Media<'_>> {
    let url = file.uri?;
    let kind = match &file.mime_type {
        Some(media_type) => kind(&media_type.decode()),
        None => kind(of_extension(&url.decode()).unwrap_or_default()),
    };
    let source = Source::Url { url, media_type: file.mime_type };
    Some(Media { kind, source, name: file.name, detail: None, cache: None })
}

/// Whether Gemini's dialect can say it; takes note of what it cannot.
pub(super) fn check(media: &Media<'_>, dropped: &mut Dropped) -> bool {
    if media.cache.is_some() {
        dropped.add("cache_control");
    }
    if media.detail.as_ref().is_some_and(|detail| *detail != *"auto") {
        dropped.add("detail");
    }
    if media.name.is_some() {
        dropped.add("filename");
    }
    if matches!(media.source, Source::File(_)) {
        dropped.add("file_id");
        return false;
    }
    true
}

/// The member of a part that holds the media; [`check`] has been asked before.
pub(super) fn write(media: &Media<'_>, w: &mut Writer<'_>) {
    match &media.source {
        Source::Inline { media_type, data } => write_blob(media_type, data, w),
        Source::Plain(text) => w.name("text").text(text),
        Source::Url { url, media_type } => {
            let plain = url.decode();
            if let Some((media_type, data)) = data_url(&plain) {
                return write_blob(&Text::plain(media_type), &Text::plain(data), w);
            }
            w.name("fileData").object(|w| {
                let guess = || of_extension(&plain).unwrap_or(of_kind(media.kind));
                let media_type = media_type.as_ref().map_or_else(|| Text::plain(guess()), Text::borrow);
                w.name("mimeType").text(&media_type);
                w.name("fileUri").text(url);
            });
        }
        Source::File(_) => w.name("text").string(""),
    }
}

fn write_blob(media_type: &Text<'_>, data: &Text<'_>, w: &mut Writer<'_>) {
    w.name("inlineData").object(|w| {
        w.name("mimeType").text(media_type);
        w.name("data").text(data);
    });
}

/// Media type and base64 of a `data:` URL.
fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let head = head.strip_suffix(";base64")?;
    let media_type = head.split(';').next().filter(|media_type| !media_type.is_empty());
    Some((media_type.unwrap_or("text/plain"), data))
}

/// What Google has to be told where nobody knows better.
fn of_kind(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image/jpeg",
        MediaKind::Document => "application/pdf",
        MediaKind::Audio => "audio/mpeg",
        MediaKind::Video => "video/mp4",
    }
}

/// The media type that an address's extension promises; only those that Gemini reads.
fn of_extension(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next()?;
    let name = path.rsplit('/').next()?;
    let extension: Cow<'_, str> = name.rsplit_once('.')?.1.to_ascii_lowercase().into();
    Some(match &*extension {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "json" => "application/json",
        "xml" => "text/xml",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "ogg" | "oga" => "audio/ogg",
        "flac" => "audio/flac",
        "aac" => "audio/aac",
        "aiff" | "aif" => "audio/aiff",
        "m4a" => "audio/m4a",
        "mp4" => "video/mp4",
        "mov" => "video/mov",
        "mpeg" | "mpg" => "video/mpeg",
        "webm" => "video/webm",
        "avi" => "video/avi",
        "wmv" => "video/wmv",
        "flv" => "video/x-flv",
        "3gp" => "video/3gpp",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_lies_there() {
        for (url, media_type) in [
            ("https://h/a.PNG?x=1.pdf", Some("image/png")),
            ("gs://b/c/d.mp3", Some("audio/mpeg")),
            ("https://h/a.b/c", None),
            ("https://youtu.be/x", None),
            ("", None),
        ] {
            assert_eq!(of_extension(url), media_type, "{url}");
        }
    }

    #[test]
    fn a_data_url_is_bytes() {
        assert_eq!(data_url("data:image/png;base64,AAAA"), Some(("image/png", "AAAA")));
        assert_eq!(data_url("data:text/csv;charset=utf-8;base64,AA"), Some(("text/csv", "AA")));
        assert_eq!(data_url("data:text/plain,abc"), None);
        assert_eq!(data_url("https://h/,"), None);
    }
}
