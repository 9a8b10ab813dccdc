//! Reasoning that travels: OpenAI believes its encrypted content only together with the id that it gave the item.
//!
//! The neutral conversation has a signature and no id, so the signature of this dialect's own reasoning holds both:
//! `<id>:<encrypted content>`. No provider's ids or contents have a colon. A signature of another origin stands in
//! `encrypted_content` with its mark, so that it comes home when the caller sends it back.

use std::borrow::Cow;

use crate::dialect::chat::{Origin, Signature};
use crate::dialect::json::Text;

/// What stands behind a signature that hides its thoughts.
const REDACTED: &str = ":redacted";

/// Reads a signature from `encrypted_content`, and whether it hides the thoughts.
pub(super) fn read<'a>(id: Option<&Text<'a>>, encrypted: Text<'a>) -> (Signature<'static>, bool) {
    let mut signature = match Signature::read(encrypted, Some(Origin::OpenAi)) {
        Some(signature) => signature.into_owned(),
        None => Signature { origin: Origin::OpenAi, data: Text::default() },
    };
    if signature.origin != Origin::OpenAi {
        let redacted = signature.data.escaped().strip_suffix(REDACTED).map(Text::owned_escaped);
        let is_redacted = redacted.is_some();
        signature.data = redacted.unwrap_or(signature.data);
        return (signature, is_redacted);
    }
    let id = id.map_or("", Text::escaped);
    let data = signature.data.escaped();
    if !data.contains(':') && !id.is_empty() && !id.contains(':') {
        signature.data = Text::owned_escaped(&format!("{id}:{data}"));
    }
    (signature, false)
}

/// The id and the encrypted content in a signature of this dialect's own.
pub(super) fn split<'s>(signature: &'s Signature<'_>) -> Option<(Option<&'s str>, &'s str)> {
    if signature.origin != Origin::OpenAi {
        return None;
    }
    let data = signature.data.escaped();
    Some(match data.split_once(':') {
        Some((id, encrypted)) => (Some(id).filter(|id| !id.is_empty()), encrypted),
        None => (None, data),
    })
}

/// As it stands in the `encrypted_content` of an item with this id, escaped.
pub(super) fn for_caller<'s>(signature: &'s Signature<'_>, is_redacted: bool, item: &str) -> Cow<'s, str> {
    match split(signature) {
        Some((Some(id), encrypted)) if id == item => Cow::Borrowed(encrypted),
        None if is_redacted => {
            let marked = signature.write(Some(Origin::OpenAi));
            Cow::Owned(format!("{marked}{REDACTED}"))
        }
        _ => signature.write(Some(Origin::OpenAi)),
    }
}
