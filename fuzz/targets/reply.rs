//! Whole answers and errors: whatever a provider's dialect reads, every caller's dialect writes as JSON.
#![no_main]

use aisix::dialect::Dialect;
use aisix::dialect::codec;
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, body)) = aisix_fuzz::choose(input) else { return };
    let provider = aisix_fuzz::PROVIDERS[choice % 5];
    let _ = codec::refusal(provider, 400, None, body);
    let Ok(text) = std::str::from_utf8(body) else { return };
    let Ok(reply) = codec::read_reply(provider, text) else { return };
    for caller in Dialect::CALLERS {
        let mut out = BytesMut::new();
        codec::write_reply(caller, &reply, &aisix_fuzz::stamp(), &mut out);
        aisix_fuzz::assert_json(&out);
        let again = std::str::from_utf8(&out).expect("UTF-8");
        let _ = codec::read_reply(caller, again);
    }
});
