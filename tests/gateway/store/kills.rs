//! The real program, killed in the middle of its writes: what was answered is there, and nothing is there by halves.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aisix::config::Kind;
use serde_json::{Value, json};

use crate::harness::*;

/// How often the program is killed; `AISIX_TEST_KILLS` asks for more.
const ROUNDS: usize = 4;
/// Most writes of a round.
const WRITES: usize = 1000;
const WRITERS: usize = 4;
/// Resources that a writer keeps writing.
const SLOTS: usize = 12;

/// What a resource says: its revision, and a number that stands in two of its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    revision: u64,
    number: u64,
}

/// What one writer knows of one resource.
#[derive(Clone, Debug, Default)]
struct Slot {
    id: Option<String>,
    /// After the last write that was answered; nothing for a resource that is not there.
    known: Option<State>,
    /// After the write that was not answered, if there is one.
    pending: Option<Option<State>>,
}

/// A writer with resources of its own.
struct Writer {
    name: String,
    slots: Vec<Slot>,
    random: fastrand::Rng,
    number: u64,
}

enum Step {
    Post,
    Put,
    Patch,
    Delete,
}

impl Writer {
    fn new(number: usize) -> Self {
        let slots = vec![Slot::default(); SLOTS];
        Self { name: format!("w{number}"), slots, random: fastrand::Rng::with_seed(number as u64), number: 0 }
    }

    fn name_of(&self, slot: usize) -> String {
        format!("{}-{slot}", self.name)
    }

    /// Makes one write; `false` when the program is gone.
    fn write(&mut self, connection: &mut Connection) -> bool {
        let at = self.random.usize(..SLOTS);
        self.number += 1;
        let (number, name) = (self.number, self.name_of(at));
        let slot = &mut self.slots[at];
        let step = match (slot.known, self.random.u8(..4)) {
            (None, 0) => Step::Post,
            (Some(_), 0) => Step::Delete,
            (Some(_), 1 | 2) => Step::Patch,
            _ => Step::Put,
        };
        let members = json!({"timeout": number, "stream_timeout": number});
        let whole = json!({
            "display_name": name, "provider_key": "up", "model_name": "x", "timeout": number, "stream_timeout": number,
        });
        let id = slot.id.get_or_insert(name).clone();
        let path = address(Kind::Models, &id);
        let (method, path, body) = match step {
            Step::Post => ("POST", "/admin/v1/models".to_owned(), whole.to_string()),
            Step::Put => ("PUT", path, whole.to_string()),
            Step::Patch => ("PATCH", path, members.to_string()),
            Step::Delete => ("DELETE", path, String::new()),
        };
        let revision = slot.known.map_or(0, |known| known.revision) + 1;
        let after = (!matches!(step, Step::Delete)).then_some(State { revision, number });
        slot.pending = Some(after);
        let request = request_text(method, &path, "", &[], body.as_bytes());
        if !connection.try_send(&request) || !connection.is_answered() {
            return false;
        }
        let answer = connection.response().expect_any(&[200, 201]).json();
        slot.id = Some(answer["id"].as_str().expect("an id").to_owned());
        (slot.known, slot.pending) = (after, None);
        true
    }

    /// Compares what is there with what was answered; gives how much is lost and how much is there by halves.
    #[expect(clippy::print_stderr, reason = "all that is lost is of interest, not the first alone")]
    fn compare(&mut self, found: &HashMap<String, (String, Value)>) -> (usize, usize) {
        let (mut lost, mut half) = (0, 0);
        for at in 0..SLOTS {
            let name = self.name_of(at);
            let entry = found.get(&name);
            let number = |entry: &Value, member: &str| entry["value"][member].as_u64().unwrap_or_default();
            let state = entry.map(|(_, entry)| State {
                revision: entry["revision"].as_u64().unwrap_or_default(),
                number: number(entry, "timeout"),
            });
            let is_half =
                entry.is_some_and(|(_, entry)| number(entry, "timeout") != number(entry, "stream_timeout"));
            let slot = &mut self.slots[at];
            let is_right = state == slot.known || slot.pending == Some(state);
            half += usize::from(is_half);
            lost += usize::from(!is_right);
            if is_half || !is_right {
                eprintln!("{name}: {state:?} where {slot:?} was expected");
            }
            *slot = Slot { id: entry.map(|(id, _)| id.clone()), known: state, pending: None };
        }
        (lost, half)
    }
}

/// Lets all writers write until the program is killed, after so many answers; gives how many there were.
fn write_and_kill(process: &Process, writers: &mut [Writer], kill_after: usize) -> usize {
    let answered = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for writer in writers.iter_mut() {
            let (mut connection, answered) = (process.connect_admin(), &answered);
            threads.spawn(move || {
                while writer.write(&mut connection) {
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        until("enough writes are answered", || answered.load(Ordering::SeqCst) >= kill_after);
        process.signal("KILL");
    });
    answered.into_inner()
}

fn models(process: &Process) -> HashMap<String, (String, Value)> {
    let entries = process.admin().list(Kind::Models);
    let of = |entry: Value| {
        let name = entry["value"]["display_name"].as_str().expect("a name").to_owned();
        (name, (entry["id"].as_str().expect("an id").to_owned(), entry))
    };
    entries.into_iter().map(of).collect()
}

#[test]
#[expect(clippy::print_stderr, reason = "the figures are for the record")]
fn what_was_answered_is_there_after_a_kill_and_nothing_by_halves() {
    let rounds = std::env::var("AISIX_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let upstream = Upstream::well();
    let folder = Arc::new(Folder::new());
    folder.write("config.toml", &provider_key("up", &upstream.url()));
    let mut writers: Vec<_> = (0..WRITERS).map(Writer::new).collect();
    let (mut answered, mut lost, mut half) = (0, 0, 0);
    for round in 0..rounds {
        let process = Process::start_in(folder.clone(), &[]);
        answered += write_and_kill(&process, &mut writers, fastrand::usize(1..WRITES));
        drop(process.end());
        let process = Process::start_in(folder.clone(), &[]);
        let mut found = models(&process);
        for writer in &mut writers {
            let (missing, broken) = writer.compare(&found);
            (lost, half) = (lost + missing, half + broken);
            found.retain(|name, _| !name.starts_with(&format!("{}-", writer.name)));
        }
        assert!(found.is_empty(), "nobody wrote these: {found:?}");
        eprintln!("round {round}: {answered} writes answered so far, {lost} lost, {half} by halves");
    }
    assert_eq!((lost, half), (0, 0), "of {answered} writes");
}
