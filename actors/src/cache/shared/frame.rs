//! An entry as bytes: a version, a checksum over the rest, three numbers, the model's name, the note and the body.
//!
//! Bytes that do not add up are no entry: another version of the gateway, or anybody, may have written them.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};

use crate::cache::Entry;

/// Which framing it is.
const VERSION: &[u8; 4] = b"AXC2";

/// Bytes of the checksum.
const SUM: usize = 8;

/// Writes an entry.
pub(super) fn write(entry: &Entry) -> Vec<u8> {
    let words = entry.model.len().saturating_add(entry.note.len());
    let mut rest = Vec::with_capacity(entry.body.len().saturating_add(words).saturating_add(32));
    for number in [entry.input_tokens, entry.output_tokens, entry.stored_at.as_secs()] {
        rest.put_u64_le(number);
    }
    for text in [&*entry.model, &*entry.note] {
        rest.put_u32_le(u32::try_from(text.len()).unwrap_or(u32::MAX));
        rest.put_slice(text.as_bytes());
    }
    rest.put_slice(&entry.body);
    let mut value = Vec::with_capacity(rest.len().saturating_add(VERSION.len()).saturating_add(SUM));
    value.put_slice(VERSION);
    value.put_u64_le(sum(&rest));
    value.append(&mut rest);
    value
}

/// Reads an entry that is kept under a policy.
pub(super) fn read(mut value: Bytes, policy: &Arc<str>) -> Option<Entry> {
    let version = value.get(..VERSION.len())?;
    if version != VERSION {
        return None;
    }
    value.advance(VERSION.len());
    if value.try_get_u64_le().ok()? != sum(&value) {
        return None;
    }
    let mut number = || value.try_get_u64_le().ok();
    let (input_tokens, output_tokens, stored_at) = (number()?, number()?, number()?);
    let (model, note) = (text(&mut value)?, text(&mut value)?);
    Some(Entry {
        input_tokens,
        output_tokens,
        stored_at: Duration::from_secs(stored_at),
        model: std::str::from_utf8(&model).ok()?.into(),
        note: std::str::from_utf8(&note).ok()?.into(),
        policy: Arc::clone(policy),
        body: value,
    })
}

/// The next text, behind its length.
fn text(value: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(value.try_get_u32_le().ok()?).ok()?;
    (length <= value.len()).then(|| value.split_to(length))
}

/// FNV-1a with 64 bits, eight bytes at a time: against accidents, not against anybody who can write to Redis.
fn sum(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |word: u64| sum = (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    for word in &mut words {
        add(word.try_into().map_or(0, u64::from_le_bytes));
    }
    for byte in words.remainder() {
        add(u64::from(*byte));
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(body: Vec<u8>, model: &str, note: &str) -> Entry {
        Entry {
            body: body.into(),
            input_tokens: 3,
            output_tokens: u64::MAX,
            model: model.into(),
            policy: "p".into(),
            note: note.into(),
            stored_at: Duration::from_secs(1_700_000_000),
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(body in prop::collection::vec(any::<u8>(), 0..200), model in "\\PC{0,20}", note in "\\PC{0,20}") {
            let entry = entry(body, &model, &note);
            prop_assert_eq!(read(write(&entry).into(), &"p".into()), Some(entry));
        }

        #[test]
        fn what_was_changed_is_no_entry(place in 0_usize..64, bit in 0_u8..8, cut in 0_usize..64) {
            let value = write(&entry(b"a body of some bytes".to_vec(), "model", "seed"));
            let mut changed = value.clone();
            if let Some(byte) = changed.get_mut(place) {
                *byte ^= 1 << bit;
                prop_assert_eq!(read(changed.into(), &"p".into()), None);
            }
            let short = value.get(..cut).unwrap_or_default().to_vec();
            prop_assert_eq!(read(short.into(), &"p".into()), None);
        }
    }
}
