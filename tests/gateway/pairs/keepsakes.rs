//! Everything that the gateway wrote, kept for the official clients to read: `target/pairs/*.jsonl`.
//!
//! One line each, with what it must mean; `tests/sdk/test_pairs.py` reads it with the clients' own types. What a provider
//! and a caller of one dialect say to each other is not written by the gateway, so it is not kept.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use aisix::dialect::Dialect;
use serde_json::{Value, json};

use super::corpus::{Recording, recordings};
use super::gathered::gathered;
use super::replies::given;
use super::requests::{requests, written};
use super::streams::{End, play, streams};
use super::told::{Told, told};
use super::{PROVIDERS, name_of};

#[test]
fn what_is_written_is_kept_for_the_official_clients() {
    let all = recordings();
    if all.is_empty() {
        return;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../pairs");
    fs::create_dir_all(&folder).expect("a folder");
    for (name, lines) in [
        ("requests", kept_requests as fn(&[Recording], &mut dyn FnMut(&Value))),
        ("replies", kept_replies),
        ("streams", kept_streams),
    ] {
        // Whole or not at all: a reader never sees half a file.
        let half = folder.join(format!("{name}.jsonl.half"));
        let mut file = BufWriter::new(fs::File::create(&half).expect("a file"));
        let mut count = 0;
        lines(&all, &mut |line| {
            count += 1;
            writeln!(file, "{line}").expect("room on the disk");
        });
        file.flush().expect("room on the disk");
        fs::rename(&half, folder.join(format!("{name}.jsonl"))).expect("the same folder");
        assert!(count > 400, "only {count} {name}");
    }
}

fn kept_requests(all: &[Recording], keep: &mut dyn FnMut(&Value)) {
    for recording in requests(all) {
        for provider in PROVIDERS.into_iter().filter(|provider| *provider != recording.dialect) {
            // Who is refused gets nothing written.
            let Ok(written) = written(recording, provider) else { continue };
            let (from, to) = (name_of(recording.dialect), name_of(provider));
            keep(&json!({ "id": recording.id, "from": from, "dialect": to, "body": written.body }));
        }
    }
}

fn kept_replies(all: &[Recording], keep: &mut dyn FnMut(&Value)) {
    for recording in all.iter().filter(|recording| recording.is_whole()) {
        for caller in callers(recording) {
            let Ok(body) = given(recording, caller) else { continue };
            let meaning = meaning(&told(caller, &body));
            keep(&line(recording, caller, &body, &meaning));
        }
    }
}

fn kept_streams(all: &[Recording], keep: &mut dyn FnMut(&Value)) {
    for recording in streams(all) {
        for caller in callers(recording) {
            let played = play(recording.dialect, caller, &recording.body, usize::MAX);
            if played.end != End::Closed {
                continue;
            }
            let whole = gathered(caller, &played.text, true).expect("checked elsewhere").whole;
            keep(&line(recording, caller, &played.text.into(), &meaning(&told(caller, &whole))));
        }
    }
}

fn callers(recording: &Recording) -> impl Iterator<Item = Dialect> {
    let own = recording.dialect;
    Dialect::CALLERS.into_iter().filter(move |caller| *caller != own)
}

fn line(recording: &Recording, caller: Dialect, body: &Value, meaning: &Value) -> Value {
    let (from, to) = (name_of(recording.dialect), name_of(caller));
    json!({ "id": recording.id, "from": from, "dialect": to, "body": body, "meaning": meaning })
}

/// What the clients' own types must show: of the first answer, which all of them have.
fn meaning(told: &Told) -> Value {
    let first = told.answers.first().cloned().unwrap_or_default();
    json!({
        "text": first.text,
        "thoughts": first.thoughts,
        "calls": first.calls,
        "prompt": told.usage.prompt,
        "completion": told.usage.completion,
    })
}
