//! Each recorded stream, given to callers of each dialect: it comes to the same answer, however the network cuts it.

use aisix::dialect::Dialect;
use aisix::dialect::sse::{Frame, Reader};
use aisix::dialect::stream::{Chunk, Frames, Pass};
use aisix::operation::Task;
use bytes::{Bytes, BytesMut};

use super::corpus::{Recording, recordings};
use super::gathered::gathered;
use super::replies::{MODEL, differences, stamp};
use super::told::told;
use super::{assert_none, limits};

/// A stream as a caller gets it.
#[derive(PartialEq)]
pub struct Played {
    /// Its frames.
    pub text: String,
    /// What became of it.
    pub end: End,
}

/// How a stream ended.
#[derive(Debug, PartialEq)]
pub enum End {
    /// It was closed as an answer that is complete.
    Closed,
    /// The provider gave up, in these words; the caller gets an error behind the frames.
    Failed(String),
    /// The provider stopped in the middle; the caller gets an error behind the frames.
    BrokeOff,
}

/// Plays a provider's bytes to a caller in pieces of a size, as the relay does.
pub fn play(provider: Dialect, caller: Dialect, body: &str, piece: usize) -> Played {
    let mut reader = Reader::default();
    let mut player = Player {
        frames: Frames::new(Task::Converse, provider, caller, stamp()),
        out: BytesMut::new(),
        has_finished: false,
        has_last_word: false,
    };
    let body = Bytes::from(body.to_owned());
    let mut end = None;
    for start in (0..body.len()).step_by(piece) {
        reader.push(body.slice(start..body.len().min(start + piece)));
        while let (None, Some(frame)) = (&end, reader.next_frame().expect("small frames")) {
            end = player.take(&frame);
        }
    }
    while let (None, Some(frame)) = (&end, reader.finish()) {
        end = player.take(&frame);
    }
    let end = end.unwrap_or_else(|| if player.has_finished { player.close() } else { End::BrokeOff });
    Played { text: String::from_utf8(player.out.to_vec()).expect("UTF-8"), end }
}

struct Player {
    frames: Frames,
    out: BytesMut,
    has_finished: bool,
    has_last_word: bool,
}

impl Player {
    fn take(&mut self, frame: &Frame<'_>) -> Option<End> {
        let own = |pass, out: &mut BytesMut| match pass {
            Pass::AsItIs => out.extend_from_slice(frame.bytes),
            Pass::Renamed(own) => {
                for part in [&frame.bytes[..own.start], MODEL.as_bytes(), &frame.bytes[own.end..]] {
                    out.extend_from_slice(part);
                }
            }
            Pass::Rewritten(bytes) => out.extend_from_slice(&bytes),
        };
        match self.frames.read(frame) {
            Chunk::Content { pass, finish, .. } => {
                self.has_finished |= finish.is_some();
                own(pass, &mut self.out);
            }
            Chunk::Usage { pass, .. } => own(pass, &mut self.out),
            Chunk::Comment => own(Pass::AsItIs, &mut self.out),
            Chunk::Last { pass, .. } => {
                own(pass, &mut self.out);
                self.has_last_word = true;
            }
            Chunk::Done => {
                own(Pass::AsItIs, &mut self.out);
                self.has_last_word = true;
            }
            Chunk::Failed(error) => return Some(End::Failed(error.to_string())),
            Chunk::Skipped | Chunk::Malformed => {}
            Chunk::Decoded(_) => panic!("nobody judges here"),
        }
        self.has_last_word.then(|| self.close())
    }

    fn close(&mut self) -> End {
        self.frames.close(self.has_last_word, &mut self.out);
        End::Closed
    }
}

/// The recorded streams.
pub fn streams(all: &[Recording]) -> impl Iterator<Item = &Recording> {
    all.iter().filter(|recording| recording.status < 300 && recording.is_sse)
}

#[test]
fn every_recorded_stream_comes_to_the_same_answer() {
    let (all, mut problems, mut count) = (recordings(), Vec::new(), 0);
    for recording in streams(&all) {
        let wanted = gathered(recording.dialect, &recording.body, false).expect("no rules");
        for caller in Dialect::CALLERS {
            count += 1;
            let place = format!("{} to {caller:?}", recording.id);
            let played = play(recording.dialect, caller, &recording.body, usize::MAX);
            let ends_well = played.end == End::Closed;
            if ends_well == limits::fails(&recording.id) {
                problems.push(format!("{place}: it ended as {:?}", played.end));
            }
            if !ends_well {
                continue;
            }
            let found = match gathered(caller, &played.text, recording.dialect != caller) {
                Ok(found) => found,
                Err(rule) => {
                    problems.push(format!("{place}: {rule}\n{}", tail(&played.text)));
                    continue;
                }
            };
            let (wanted, found) = (told(recording.dialect, &wanted.whole), told(caller, &found.whole));
            let differs = differences(recording.dialect, caller, &wanted, &found);
            problems.extend(differs.into_iter().map(|problem| format!("{place}: {problem}")));
        }
    }
    assert_none(&problems, count);
}

fn tail(text: &str) -> String {
    let skipped = text.chars().count().saturating_sub(600);
    text.chars().skip(skipped).collect()
}

/// Longer streams are cut at every byte for one caller alone: where a frame ends does not depend on who gets it.
const LONG: usize = 16_000;

#[test]
fn written_streams_do_not_depend_on_where_the_providers_are_cut() {
    let all = recordings();
    let all = &all;
    let check = |caller: Dialect| {
        let mut problems = Vec::new();
        for recording in streams(all) {
            let whole = play(recording.dialect, caller, &recording.body, usize::MAX);
            let is_long = recording.body.len() > LONG && caller != Dialect::CALLERS[0];
            for piece in [1, 7, 64].into_iter().skip(usize::from(is_long)) {
                if play(recording.dialect, caller, &recording.body, piece) != whole {
                    problems.push(format!("{} to {caller:?} in pieces of {piece}", recording.id));
                }
            }
        }
        problems
    };
    let problems: Vec<String> = std::thread::scope(|scope| {
        let check = &check;
        let threads = Dialect::CALLERS.map(|caller| scope.spawn(move || check(caller)));
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_none(&problems, streams(all).count() * Dialect::CALLERS.len());
}

#[test]
fn a_stream_that_breaks_off_is_never_told_as_complete() {
    let (all, mut problems, mut count) = (recordings(), Vec::new(), 0);
    for recording in streams(&all) {
        let complete = |body: &str| gathered(recording.dialect, body, false).expect("no rules").is_complete;
        let ends: Vec<usize> = recording.body.match_indices('\n').map(|(at, _)| at + 1).collect();
        for share in 1..5 {
            let cut = &recording.body[..ends[ends.len() * share / 5]];
            for caller in Dialect::CALLERS {
                count += 1;
                let played = play(recording.dialect, caller, cut, usize::MAX);
                let has_finished = limits::has_finish(recording.dialect, cut) || complete(cut);
                let is_told = gathered(caller, &played.text, false).expect("no rules").is_complete;
                if !has_finished && (played.end == End::Closed || is_told) {
                    let place = format!("{} to {caller:?} after {} bytes", recording.id, cut.len());
                    problems.push(format!("{place}: {:?}\n{}", played.end, tail(&played.text)));
                }
            }
        }
    }
    assert_none(&problems, count);
}
