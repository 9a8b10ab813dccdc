//! Signatures of thoughts in Gemini's dialect, where they are bytes written as base64.
//!
//! Google's own ones stand as they are. Those of other providers carry a mark, which is no base64, and Google's libraries
//! decode what they read: so they are wrapped in base64 once more, together with what Gemini has no member for.

use std::borrow::Cow;

use crate::dialect::chat::{Origin, Signature};
use crate::dialect::json::Text;

use crate::dialect::base64;

/// How base64 of a mark begins: `aisix.`, whose six bytes are eight characters exactly.
const WRAPPED: &str = "YWlzaXgu";
/// Stands before a wrapped signature that hides its thoughts.
const REDACTED: &str = "aisix.redacted.";

/// A signature, and whether the thoughts are hidden in it.
pub(super) fn read(text: Text<'_>) -> (Signature<'_>, bool) {
    if let Some((signature, is_redacted)) = unwrap(&text) {
        return (signature, is_redacted);
    }
    (Signature { origin: Origin::Google, data: text }, false)
}

fn unwrap(text: &Text<'_>) -> Option<(Signature<'static>, bool)> {
    if !text.escaped().starts_with(WRAPPED) {
        return None;
    }
    let bytes = base64::decode(&text.decode())?;
    let marked = std::str::from_utf8(&bytes).ok()?;
    let bare = marked.strip_prefix(REDACTED);
    let signature = Signature::read(Text::plain(bare.unwrap_or(marked)), None)?;
    Some((signature.into_owned(), bare.is_some()))
}

/// A signature as it stands between quotes.
pub(super) fn write<'s>(signature: &'s Signature<'_>, is_redacted: bool) -> Cow<'s, str> {
    if signature.origin == Origin::Google {
        return Cow::Borrowed(signature.data.escaped());
    }
    let plain = Text::owned_escaped(&signature.write(Some(Origin::Google)));
    let redacted = if is_redacted { REDACTED } else { "" };
    Cow::Owned(base64::encode(format!("{redacted}{}", plain.decode()).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_of_anybody_is_base64_and_comes_back() {
        for origin in [Origin::Anthropic, Origin::OpenAi, Origin::Google] {
            for is_redacted in [false, origin != Origin::Google] {
                let signature = Signature { origin, data: Text::plain("Eq/o+B_-4=") };
                let written = write(&signature, is_redacted).into_owned();
                assert!(origin == Origin::Google || base64::decode(&written).is_some());
                assert_eq!(read(Text::plain(&written)), (signature, is_redacted));
            }
        }
    }

    #[test]
    fn what_only_looks_wrapped_is_googles() {
        for text in ["YWlzaXgu", "YWlzaXguX", "YWlzaXgu!", "EqoB"] {
            assert_eq!(read(Text::plain(text)).0.origin, Origin::Google);
        }
    }
}
