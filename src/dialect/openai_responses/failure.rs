//! A provider's failures: error answers, and errors where an answer or a piece of one belongs.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::chat::StreamFault;
use crate::dialect::json::Text;
use crate::error::{UpstreamError, UpstreamRefusal};

/// An error object, or a body that holds one. xAI says its words in `error` and the code beside it.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Words<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    param: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
}

/// Reads an error answer (§3.6): words, param and code for 4xx, nothing of the provider's otherwise.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> UpstreamRefusal {
    let text = String::from_utf8_lossy(body);
    read_words(&text).answered(status)
}

/// An error where an answer belongs (§3.7): the embedded status decides what the caller gets.
pub(super) fn in_band(raw: &str) -> UpstreamError {
    let mut refusal = read_words(raw);
    // A code that is a status is read as one.
    refusal.code = refusal.code.filter(|code| code.parse::<u16>().is_err());
    UpstreamError::Refused(Box::new(refusal.embedded()))
}

/// An error inside a stream.
pub(super) fn in_stream(raw: &str) -> StreamFault {
    StreamFault::Failed(in_band(raw))
}

/// Whether an event without a type is an error.
pub(super) fn is_error(data: &str) -> bool {
    serde_json::from_str::<Words<'_>>(data).is_ok_and(|words| words.error.is_some())
}

/// Message, param, code and embedded status of an error.
fn read_words(text: &str) -> UpstreamRefusal {
    let text = text.trim();
    let Ok(words) = serde_json::from_str::<Words<'_>>(text) else {
        let message = serde_json::from_str::<String>(text).unwrap_or_else(|_| text.to_owned());
        return UpstreamRefusal { message, ..UpstreamRefusal::default() };
    };
    let error = words.error.map(RawValue::get);
    if let Some(inner) = error.filter(|raw| raw.starts_with('{')) {
        let words = serde_json::from_str(inner).unwrap_or_default();
        return of_words(&words, inner);
    }
    of_words(&words, text)
}

/// The refusal in an error object, whose text is `whole`.
fn of_words(words: &Words<'_>, whole: &str) -> UpstreamRefusal {
    let code = words.code.map(RawValue::get);
    let as_text = string(code);
    let number = as_text.as_deref().or(code).and_then(|text| text.parse().ok());
    let message =
        [words.message, words.error, words.detail].into_iter().find_map(|raw| string(raw.map(RawValue::get)));
    UpstreamRefusal {
        status: number.filter(|status| (400..=599).contains(status)),
        message: message.unwrap_or_else(|| whole.to_owned()),
        param: string(words.param.map(RawValue::get)),
        code: as_text,
        ..UpstreamRefusal::default()
    }
}

fn string(raw: Option<&str>) -> Option<String> {
    raw.and_then(Text::from_json).map(|text| text.decode().into_owned())
}
