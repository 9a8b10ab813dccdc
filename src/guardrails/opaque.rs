//! The texts of a body that nobody here knows: as it is written, and as whoever reads it would.
//!
//! One text has many spellings: escapes in JSON, pieces of a stream, percent signs in a form. All are judged, none masked.

use std::collections::BTreeMap;

use super::passage::Passage;
use super::slots::{in_arguments, in_frame};

/// The texts of a body; nothing where it cannot be read.
#[must_use]
pub fn passages(body: &[u8]) -> Option<Vec<Passage>> {
    let raw = std::str::from_utf8(body).ok()?;
    let mut texts = vec![raw.to_owned()];
    if let Some(values) = in_arguments(raw) {
        texts.extend(values.into_iter().map(|(_, _, text)| text));
    } else {
        texts.extend(of_stream(raw));
        texts.extend(of_form(raw));
    }
    Some(texts.into_iter().map(Passage::new).collect())
}

/// The strings of a stream's events, and those that go on in later ones, joined.
fn of_stream(raw: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut joined: BTreeMap<Option<u64>, String> = BTreeMap::new();
    for data in raw.split(['\n', '\r']).filter_map(|line| line.strip_prefix("data:")) {
        texts.extend(in_arguments(data).into_iter().flatten().map(|(_, _, text)| text));
        for aside in in_frame(data) {
            joined.entry(aside.mark).or_default().push_str(&aside.text);
        }
    }
    texts.extend(joined.into_values());
    texts
}

/// A form or a query without its percent signs.
fn of_form(raw: &str) -> Option<String> {
    let is_written_so = raw.contains(['%', '+']);
    is_written_so.then(|| {
        let spaced = raw.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_however_it_is_spelled() {
        for body in [
            r#"{"a":[{"url":"d\u0061rn"}]}"#,
            r#"{"d\u0061rn":1}"#,
            "data: {\"delta\":\"d\\u0061\"}\n\ndata: {\"delta\":\"rn\"}\n\n",
            "a=1&b=d%61rn",
            "darn",
        ] {
            let passages = passages(body.as_bytes()).expect("UTF-8");
            assert!(passages.iter().any(|passage| passage.original().contains("darn")), "{body}");
        }
        assert!(passages(b"\x1f\x8b\xff").is_none());
    }
}
