//! A provider's stream in one dialect, relayed to a caller of another, as the gateway does it.
#![no_main]

use aisix::dialect::Dialect;
use aisix::dialect::sse;
use aisix::dialect::stream::{Chunk, Frames, Pass};
use aisix::operation::Task;
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, stream)) = aisix_fuzz::choose(input) else { return };
    let provider = aisix_fuzz::PROVIDERS[choice % 5];
    let is_array = choice / 20 % 4 == 3;
    let caller = Dialect::CALLERS[choice / 5 % 4];
    let mut frames = match is_array {
        true => Frames::as_array(provider, aisix_fuzz::stamp()),
        false => Frames::new(Task::Converse, provider, caller, aisix_fuzz::stamp()),
    };
    let mut reader = sse::Reader::default();
    reader.push(Bytes::copy_from_slice(stream));
    let mut out = BytesMut::new();
    let (mut has_finished, mut has_last_word, mut has_failed) = (false, false, false);
    while let Some(frame) = reader.finish() {
        match frames.read(&frame) {
            Chunk::Content { pass, finish, .. } => {
                has_finished |= finish.is_some();
                write(pass, &mut out);
            }
            Chunk::Last { pass, .. } => {
                write(pass, &mut out);
                has_last_word = true;
            }
            Chunk::Done => has_last_word = true,
            Chunk::Usage { pass, .. } => write(pass, &mut out),
            Chunk::Comment | Chunk::Skipped | Chunk::Malformed => {}
            Chunk::Failed(_) => has_failed = true,
        }
        if has_last_word || has_failed {
            break;
        }
    }
    let is_over = !has_failed && (has_last_word || has_finished);
    if is_over {
        frames.close(has_last_word, &mut out);
    }
    match (is_array, is_over) {
        (true, true) => aisix_fuzz::assert_json(&out),
        (true, false) => {}
        (false, _) => aisix_fuzz::assert_frames(&out),
    }
});

/// What was written anew; what is passed on as it came is the provider's.
fn write(pass: Pass, out: &mut BytesMut) {
    if let Pass::Rewritten(bytes) = pass {
        out.extend_from_slice(&bytes);
    }
}
