//! Whatever providers do and callers ask, and however they are configured: one end for each request, nothing left behind,
//! no more attempts and no more time than allowed, and a status that what happened explains.
//!
//! Each round is a gateway with a random configuration, providers that behave randomly, and random callers, several at
//! once. All follows from the round's seed, which a failure names; `AISIX_TEST_CHAOS_SEED` begins with it, and
//! `AISIX_TEST_CHAOS=200` asks for more rounds.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use crate::harness::*;

mod answer;
mod books;
mod caller;
mod conduct;
mod judge;
mod provider;
mod words;
mod world;

use caller::{Asking, Seen};
use provider::Diary;
use world::World;

/// The first seed where nobody asks for another: a run is the same every time, but for what threads do to each other.
const FIRST_SEED: u64 = 1;
/// Rounds where nobody says how many.
const ROUNDS: u64 = 12;
/// Requests of a round.
const REQUESTS: usize = 44;
/// Callers at the same time.
const CALLERS: usize = 12;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// What became of requests.
#[derive(Debug, Default)]
struct Fates {
    left: usize,
    refused: usize,
    finished: usize,
    broken: usize,
    /// Those that another target took up in the middle, and of them those that it finished.
    taken_up: usize,
    saved: usize,
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "a failure is of use only with its seed, and the figures are for the record"
)]
fn every_request_has_one_end_whatever_happens() {
    let first = number("AISIX_TEST_CHAOS_SEED").unwrap_or(FIRST_SEED);
    let mut fates = Fates::default();
    for seed in first..first + number("AISIX_TEST_CHAOS").unwrap_or(ROUNDS) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| round(seed, &mut fates))) {
            eprintln!("AISIX_TEST_CHAOS_SEED={seed} AISIX_TEST_CHAOS=1 has this again");
            resume_unwind(panic);
        }
    }
    eprintln!("{fates:?}");
    assert!(fates.finished > 0, "the weather is always bad: {fates:?}");
}

/// One configuration, and many requests.
fn round(seed: u64, fates: &mut Fates) {
    let world = World::of(seed);
    let diary = Arc::new(Diary::default());
    let providers: Vec<Upstream> =
        world.targets.iter().map(|target| provider::start(seed, target, &diary)).collect();
    let usage = UsageFile::new();
    let gateway = Gateway::start(&(world.config(&providers) + &usage.settings()));
    warm_up(&gateway);
    let minute = books::minute();
    let seen = ask_all(seed, &world, &gateway);
    let lines = all_records(&usage, &gateway);
    let entries = diary.entries();
    let told = judge::Told { world: &world, entries: &entries, lines: &lines };
    let mut wrongs: Vec<String> = Vec::new();
    for seen in &seen {
        fates.count(seen, &told);
        if let Err(wrong) = judge::judge(&told, seen) {
            let lines: Vec<String> = told.lines(seen).iter().map(ToString::to_string).collect();
            wrongs.push(format!("{wrong}\n  {seen:?}\n  {:?}\n  {}", told.asked(seen), lines.join("\n  ")));
        }
    }
    wrongs.extend(books::judge(&gateway, &lines, minute).err());
    assert!(wrongs.is_empty(), "{}\n{world:?}", wrongs.join("\n"));
}

impl Fates {
    fn count(&mut self, seen: &Seen, told: &judge::Told<'_>) {
        let said = seen.answer.as_ref().map(|answer| answer.told.as_ref());
        let is_finished = said.flatten().is_some_and(|said| said.is_finished(seen.asking.kind));
        match said {
            None => self.left += 1,
            Some(None) => self.refused += 1,
            Some(Some(_)) if is_finished => self.finished += 1,
            Some(Some(_)) => self.broken += 1,
        }
        if told.asked(seen).iter().any(|entry| entry.is_continued) {
            self.taken_up += 1;
            self.saved += usize::from(is_finished);
        }
    }
}

/// Has each worker make its client, and one count tokens: the first time takes a while and is not what is measured.
fn warm_up(gateway: &Gateway) {
    gateway.post_json("/v1/messages/count_tokens", "sk-warm", &chat_body("warm", "")).expect(200);
    for _ in 0..4 {
        let refused = gateway.post_json("/v1/chat/completions", "sk-warm", &chat_body("warm", ""));
        assert_eq!(refused.status, 502, "nobody is there: {}", refused.text());
    }
}

/// Every record, once nothing is open or held any more.
fn all_records(usage: &UsageFile, gateway: &Gateway) -> Vec<serde_json::Value> {
    gateway.settled();
    let telemetry = &gateway.gateway.telemetry;
    until("usage records", || !telemetry.has_buffered());
    telemetry.usage.as_ref().expect("records are written").wait();
    usage.records()
}

/// Asks everything, several callers at once, and tells what they saw.
fn ask_all(seed: u64, world: &World, gateway: &Gateway) -> Vec<Seen> {
    let next = AtomicUsize::new(0);
    let ask = || {
        let mut seen = Vec::new();
        loop {
            let number = next.fetch_add(1, SeqCst);
            if number >= REQUESTS {
                return seen;
            }
            seen.push(Asking::of(seed, number, world).ask(gateway));
        }
    };
    thread::scope(|threads| {
        let callers: Vec<_> = (0..CALLERS).map(|_| threads.spawn(ask)).collect();
        callers
            .into_iter()
            .flat_map(|caller| caller.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    })
}
