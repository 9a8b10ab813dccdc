//! A body as an object: accepted only if it is one, patched in one place only, and put into a canonical form.
#![no_main]

use aisix::dialect::canonical;
use aisix::dialect::raw::RawObject;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(object) = RawObject::parse(Bytes::copy_from_slice(input)) else { return };
    aisix_fuzz::assert_json(input);
    for (_, raw) in object.members() {
        aisix_fuzz::assert_json(raw.as_bytes());
    }
    let patched = RawObject::parse(object.with(&[("model", "\"new\"")])).expect("it stays an object");
    assert_eq!(patched.member("model"), Some("\"new\""));
    for (name, raw) in object.members().filter(|(name, _)| *name != "model") {
        assert_eq!(patched.member(name), Some(raw));
    }
    canonical::write_object(&object, &["stream"], &mut Vec::new());
});
