//! Recorded streams that break off: cut at every byte, relayed to every caller.
//!
//! What a cut leaves of a frame is given to the same reader that the whole frame goes to next: a piece that means nothing
//! must leave no trace, which the relayed stream proves in the end by being what it is without all the cuts.

use std::fs;
use std::path::PathBuf;

use aisix::dialect::stream::{Chunk, Frames, Pass};
use aisix::dialect::{Dialect, sse};
use aisix::operation::Task;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::Value;

use super::stamp;

/// Frames longer than this are cut at some of their bytes only.
const LONG: usize = 1024;
const LONG_STEP: usize = 61;
const DIALECTS: [(&str, Dialect); 6] = [
    ("openai-chat", Dialect::OpenAiChat),
    ("openai-responses", Dialect::OpenAiResponses),
    ("anthropic-messages", Dialect::Anthropic),
    ("anthropic-vertex", Dialect::Anthropic),
    ("gemini", Dialect::Gemini),
    ("cohere-chat", Dialect::Cohere),
];

#[derive(Deserialize)]
struct Row {
    id: String,
    api: String,
    file: String,
    stream: bool,
}

struct Recording {
    id: String,
    dialect: Dialect,
    stream: String,
}

/// Recorded streams; none where the recordings are not at hand, which the tests of recordings say aloud.
fn recordings() -> Vec<Recording> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/recordings");
    let Ok(index) = fs::read_to_string(folder.join("index.json")) else { return Vec::new() };
    let rows: Vec<Row> = serde_json::from_str(&index).expect("an index");
    let recording = |row: Row| {
        let dialect = DIALECTS.iter().find(|(api, _)| *api == row.api).filter(|_| row.stream)?.1;
        let text = fs::read_to_string(folder.join(&row.file)).expect("a recording");
        let file: Value = serde_json::from_str(&text).expect("JSON");
        let stream = file["response"]["sse"].as_str()?.to_owned();
        Some(Recording { id: row.id, dialect, stream })
    };
    let found: Vec<_> = rows.into_iter().filter_map(recording).collect();
    assert!(found.len() >= 90, "only {} recordings", found.len());
    found
}

/// A stream on its way to a caller.
struct Relayed {
    frames: Frames,
    caller: Dialect,
    out: BytesMut,
    has_finished: bool,
    has_last_word: bool,
    has_failed: bool,
}

impl Relayed {
    fn new(provider: Dialect, caller: Dialect) -> Self {
        let frames = Frames::new(Task::Converse, provider, caller, stamp());
        Self {
            frames,
            caller,
            out: BytesMut::new(),
            has_finished: false,
            has_last_word: false,
            has_failed: false,
        }
    }

    /// Takes a frame; answers whether it meant anything.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let frame = sse::Frame { bytes };
        let pass = match self.frames.read(&frame) {
            Chunk::Content { pass, finish, .. } => {
                self.has_finished |= finish.is_some();
                pass
            }
            Chunk::Last { pass, .. } => {
                self.has_last_word = true;
                pass
            }
            Chunk::Done => {
                self.has_last_word = true;
                Pass::AsItIs
            }
            Chunk::Usage { pass, .. } => pass,
            Chunk::Failed(_) => {
                self.has_failed = true;
                return true;
            }
            Chunk::Decoded(_) => panic!("nobody judges this stream"),
            Chunk::Comment | Chunk::Skipped | Chunk::Malformed => return false,
        };
        match pass {
            Pass::Rewritten(bytes) => self.out.extend_from_slice(&bytes),
            Pass::AsItIs | Pass::Renamed(_) => {
                self.out.extend_from_slice(bytes);
                if frame.is_cut() {
                    self.out.extend_from_slice(b"\n\n");
                }
            }
        }
        true
    }

    /// Whether the caller may be told that the answer is complete.
    fn may_close(&self) -> bool {
        !self.has_failed && (self.has_finished || self.has_last_word)
    }

    /// Checks what was written since the last check.
    fn check(&mut self) -> Result<(), String> {
        let mut reader = sse::Reader::default();
        reader.push(self.out.split().freeze());
        while let Some(frame) = reader.finish() {
            let Some(data) = frame.data() else { continue };
            let text = String::from_utf8_lossy(&data);
            if text == "[DONE]" && self.may_close() {
                continue;
            }
            let value: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
            if ends(self.caller, &value) && !self.has_finished && !self.has_last_word {
                return Err(format!("it looks finished: {text}"));
            }
        }
        Ok(())
    }
}

/// Whether a frame tells the caller that all is well and over.
fn ends(caller: Dialect, frame: &Value) -> bool {
    let any = |list: &str, member: &str| {
        frame[list].as_array().is_some_and(|items| items.iter().any(|item| !item[member].is_null()))
    };
    match caller {
        Dialect::OpenAiChat => any("choices", "finish_reason"),
        Dialect::OpenAiResponses => {
            matches!(frame["type"].as_str(), Some("response.completed" | "response.incomplete"))
        }
        Dialect::Anthropic => frame["type"] == "message_stop",
        _ => any("candidates", "finishReason"),
    }
}

/// Whether the data of a piece are whole although the piece is not; a piece of a failure is a failure.
fn is_whole(piece: &[u8]) -> bool {
    let frame = sse::Frame { bytes: piece };
    let is_json = |data: &[u8]| {
        data == b"[DONE]" || serde_json::from_slice::<&serde_json::value::RawValue>(data).is_ok()
    };
    frame.event() == Some(b"error") || frame.data().is_some_and(|data| is_json(&data))
}

fn frames(stream: &str) -> Vec<Bytes> {
    let mut reader = sse::Reader::default();
    reader.push(Bytes::copy_from_slice(stream.as_bytes()));
    std::iter::from_fn(|| reader.finish().map(|frame| Bytes::copy_from_slice(frame.bytes))).collect()
}

/// Relays the frames up to one that is cut, and checks what the caller has got then.
fn broken_off(recording: &Recording, caller: Dialect, before: &[Bytes], piece: &[u8]) -> Result<(), String> {
    let mut relayed = Relayed::new(recording.dialect, caller);
    for frame in before {
        relayed.take(frame);
    }
    relayed.take(piece);
    relayed.check()?;
    if relayed.may_close() {
        relayed.frames.close(relayed.has_last_word, &mut relayed.out);
        relayed.check()?;
    }
    Ok(())
}

fn check(recording: &Recording, caller: Dialect) -> Result<(), String> {
    let frames = frames(&recording.stream);
    let (mut cut, mut whole) =
        (Relayed::new(recording.dialect, caller), Relayed::new(recording.dialect, caller));
    for (place, frame) in frames.iter().enumerate() {
        let step = if frame.len() > LONG { LONG_STEP } else { 1 };
        for at in (1..frame.len()).step_by(step).chain([frame.len() - 1]) {
            let piece = &frame[..at];
            // Within its JSON a frame means nothing yet; behind it, it does, and must not be taken twice.
            if is_whole(piece) {
                broken_off(recording, caller, &frames[..place], piece)?;
            } else if cut.take(piece) {
                return Err(format!("{:?} means something", String::from_utf8_lossy(piece)));
            }
        }
        cut.take(frame);
        whole.take(frame);
        if cut.out != whole.out {
            return Err(format!("frame {place} is relayed otherwise after its pieces"));
        }
        whole.out.clear();
        cut.check().map_err(|problem| format!("frame {place}: {problem}"))?;
        if cut.has_last_word || cut.has_failed {
            break;
        }
    }
    Ok(())
}

#[test]
fn recorded_streams_that_break_off_anywhere_never_look_finished() {
    let recordings = recordings();
    let problems: Vec<String> = std::thread::scope(|scope| {
        let half = |from: usize| {
            let mine: Vec<&Recording> = recordings.iter().skip(from).step_by(2).collect();
            scope.spawn(move || {
                let pairs =
                    mine.iter().flat_map(|recording| Dialect::CALLERS.map(|caller| (*recording, caller)));
                let told = pairs.filter_map(|(recording, caller)| {
                    let problem = check(recording, caller).err()?;
                    Some(format!("{} for {caller:?}: {problem}", recording.id))
                });
                told.collect::<Vec<_>>()
            })
        };
        let halves = [half(0), half(1)];
        halves.into_iter().flat_map(|half| half.join().expect("it does not panic")).collect()
    });
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}
