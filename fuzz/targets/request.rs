//! Requests: whatever a caller's dialect reads, every provider's dialect writes as JSON.
#![no_main]

use aisix::dialect::Dialect;
use aisix::dialect::chat::Dropped;
use aisix::dialect::codec::{self, Target};
use aisix::dialect::openai_chat::neutral::Manners;
use aisix::dialect::raw::RawObject;
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, body)) = aisix_fuzz::choose(input) else { return };
    let caller = Dialect::CALLERS[choice % 4];
    let model = aisix_fuzz::MODELS[choice / 4 % 4];
    let target = Target { model, manners: Manners::default() };
    let Ok(body) = RawObject::parse(Bytes::copy_from_slice(body)) else { return };
    let Ok(conversation) = codec::read_request(caller, &body, &mut Dropped::default()) else { return };
    for provider in aisix_fuzz::PROVIDERS {
        let (mut out, mut dropped) = (BytesMut::new(), Dropped::default());
        // Some providers cannot be asked everything.
        if codec::write_request(provider, &conversation, &target, &mut dropped, &mut out).is_err() {
            continue;
        }
        aisix_fuzz::assert_json(&out);
        assert!(dropped.to_line().bytes().all(|byte| matches!(byte, b' '..=b'~')), "it fits a header");
        // What was written can be read again.
        if Dialect::CALLERS.contains(&provider) {
            let again = RawObject::parse(out.freeze()).expect("an object, with every member once");
            let _ = codec::read_request(provider, &again, &mut Dropped::default());
        }
    }
});
