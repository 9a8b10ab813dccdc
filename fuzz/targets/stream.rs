//! Stream readers: the events of any frames, through every writer, are frames of JSON.
#![no_main]

use aisix::dialect::Dialect;
use aisix::dialect::codec::{Reader, Writer};
use aisix::dialect::sse;
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, stream)) = aisix_fuzz::choose(input) else { return };
    let mut reader = Reader::of(aisix_fuzz::PROVIDERS[choice % 5]);
    let mut writers = Dialect::CALLERS.map(|caller| Writer::of(caller, aisix_fuzz::stamp()));
    let mut outs: [BytesMut; 4] = Default::default();
    let mut frames = sse::Reader::default();
    frames.push(Bytes::copy_from_slice(stream));
    while let Some(frame) = frames.finish() {
        let data = frame.data().unwrap_or_default();
        let Ok(data) = std::str::from_utf8(&data) else { continue };
        let Ok(events) = reader.read(frame.event(), data) else { continue };
        for (writer, out) in writers.iter_mut().zip(&mut outs) {
            events.iter().for_each(|event| writer.write(event, out));
        }
    }
    for (writer, out) in writers.iter_mut().zip(&mut outs) {
        writer.close(out);
        aisix_fuzz::assert_frames(out);
    }
});
