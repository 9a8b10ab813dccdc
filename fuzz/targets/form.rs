//! Forms: what is accepted keeps its bytes, and one field is replaced without touching the rest.
#![no_main]

use aisix::dialect::form::Form;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (kind, body) = input.split_at(end);
    let Ok(kind) = std::str::from_utf8(kind) else { return };
    let body = Bytes::copy_from_slice(body.get(1..).unwrap_or_default());
    let Ok(form) = Form::parse(body.clone(), kind) else { return };
    let _ = (form.has_file("file"), form.text("prompt"));
    if form.text("n") == Ok(None) {
        assert_eq!(form.with("n", "x").concat(), &body[..]);
    }
    if let Ok(Some(_)) = form.text("model") {
        let changed = Form::parse(form.with("model", "new").concat().into(), kind).expect("it stays a form");
        assert_eq!(changed.text("model"), Ok(Some("new")));
        assert_eq!(changed.text("prompt"), form.text("prompt"));
    }
});
