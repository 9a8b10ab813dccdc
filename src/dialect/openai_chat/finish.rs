//! Why a provider stopped, as far as the dialect names it: for records, which take no words from a provider.

use memchr::memrchr_iter;

const KNOWN: [&str; 5] = ["stop", "length", "tool_calls", "content_filter", "function_call"];
/// A reason that the dialect does not name.
const OTHER: &str = "other";
const NAME: &[u8] = b"\"finish_reason\"";
/// Where the name has its underscore, which is rarer than its letters.
const UNDERSCORE: usize = 7;
/// Underscores looked at, from the end: behind the choices stand usage and little else.
const MAX_LOOKS: usize = 64;

/// The reason in a raw JSON value.
pub(super) fn reason(raw: &str) -> &'static str {
    let bare = raw.trim().trim_matches('"');
    KNOWN.into_iter().find(|known| *known == bare).unwrap_or(OTHER)
}

/// The reason of the last choice of a whole reply, found without reading what comes before it.
///
/// Inside a string the quotes of the name would be escaped, so it cannot be mistaken for the answer's words.
pub(super) fn of_reply(body: &[u8]) -> Option<&'static str> {
    let starts = memrchr_iter(b'_', body).take(MAX_LOOKS).filter_map(|at| at.checked_sub(UNDERSCORE));
    let at = starts.into_iter().find(|at| body.get(*at..).is_some_and(|rest| rest.starts_with(NAME)))?;
    if at.checked_sub(1).and_then(|before| body.get(before)) == Some(&b'\\') {
        return None;
    }
    let value = body.get(at + NAME.len()..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let word = value.strip_prefix(b"\"")?;
    let end = word.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(word.get(..end)?).ok().map(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_reply_is_found_and_its_words_are_not_taken_for_one() {
        for (body, found) in [
            (r#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{}}"#, Some("stop")),
            (r#"{"choices":[{"finish_reason" : "length" }]}"#, Some("length")),
            (r#"{"choices":[{"finish_reason":"made_up"}]}"#, Some("other")),
            (r#"{"choices":[{"finish_reason":null}]}"#, None),
            (r#"{"choices":[{"content":"\"finish_reason\":\"stop\""}]}"#, None),
            (r#"{"choices":[]}"#, None),
            (r#"{"finish_reason""#, None),
        ] {
            assert_eq!(of_reply(body.as_bytes()), found, "{body}");
        }
    }
}
