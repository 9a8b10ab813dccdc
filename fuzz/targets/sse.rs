//! Events: no byte is lost, and where the network cuts does not matter.
#![no_main]

use aisix::dialect::sse::Reader;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, stream)) = aisix_fuzz::choose(input) else { return };
    let whole = frames([stream].into_iter());
    assert_eq!(whole.concat(), stream);
    assert_eq!(frames(stream.chunks(choice % 16 + 1)), whole);
});

fn frames<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut reader = Reader::default();
    let mut found = Vec::new();
    for piece in pieces {
        reader.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = reader.next_frame().expect("the input is small") {
            let _ = (frame.event(), frame.data(), frame.is_cut());
            found.push(frame.bytes.to_vec());
        }
    }
    while let Some(frame) = reader.finish() {
        found.push(frame.bytes.to_vec());
    }
    found
}
