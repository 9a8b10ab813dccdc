//! Thousands of wrong configurations: each one loads, or the report says what is wrong and where. No panic, and nothing
//! that is ignored in silence: what says something else means something else, or is refused.
//!
//! Each mutant follows from a number, so a failure names the number and can be had again.

use std::panic::{AssertUnwindSafe, catch_unwind};

use aisix::config::{Problems, Snapshot, parse};
use toml::{Table, Value};

mod bodies;
mod loaded;
mod meaning;
mod structure;
mod text;

use loaded::Loaded;
use meaning::meaning;

const SHIPPED: &str = include_str!("../../config.toml");

/// Mutants, the half of them by bytes and the half by structure; `AISIX_TEST_MUTANTS` asks for more.
const MUTANTS: u64 = 10_000;

fn load(text: &str) -> Result<Snapshot, Problems> {
    parse("config.toml", text, &|_| None, &[]).map(Snapshot::build)
}

/// What became of a mutant.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Refused,
    Differs,
    Same,
}

/// Judges mutants against the original.
struct Judge {
    meaning: Table,
    loaded: Loaded,
}

impl Judge {
    fn new() -> Self {
        let original: Table = SHIPPED.parse().expect("the shipped file is TOML");
        let loaded = Loaded::of(&load(SHIPPED).expect("the shipped file is good"));
        Self { meaning: meaning(&original, &original), loaded }
    }

    fn fate(&self, original: &Table, text: &str) -> Result<Fate, String> {
        let outcome = catch_unwind(AssertUnwindSafe(|| load(text))).map_err(|_| "a panic".to_owned())?;
        let snapshot = match outcome {
            Err(problems) => return judge_report(&problems).map(|()| Fate::Refused),
            Ok(snapshot) => snapshot,
        };
        let table: Table = text.parse().map_err(|error| format!("it loads, and is no TOML: {error}"))?;
        let says_the_same = meaning(&table, original) == self.meaning;
        let means_the_same = Loaded::of(&snapshot) == self.loaded;
        match (says_the_same, means_the_same) {
            (_, false) => Ok(Fate::Differs),
            (true, true) => Ok(Fate::Same),
            (false, true) => Err("it says something else, and that is ignored".to_owned()),
        }
    }
}

/// Whether a report names the file, and a line for all that is there.
fn judge_report(problems: &Problems) -> Result<(), String> {
    if problems.is_empty() {
        return Err("it is refused without a reason".to_owned());
    }
    for problem in problems.iter() {
        let is_about_absence = problem.message.contains("required");
        if problem.message.is_empty() || &*problem.file != "config.toml" {
            return Err(format!("the report says too little: {problem}"));
        }
        if problem.line.is_none() && !is_about_absence {
            return Err(format!("the report has no line: {problem}"));
        }
    }
    Ok(())
}

/// Judges many mutants, on every core that there is.
#[expect(clippy::print_stdout, reason = "the figures are for the record")]
fn judge_all(mutant: impl Fn(u64) -> String + Sync) {
    let count =
        std::env::var("AISIX_TEST_MUTANTS").ok().and_then(|text| text.parse().ok()).unwrap_or(MUTANTS) / 2;
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let (judge, original) = (Judge::new(), SHIPPED.parse::<Table>().expect("the shipped file is TOML"));
    let judge_some = |first: u64| {
        let mut fates = [0; 3];
        let mut failures = Vec::new();
        for number in (first..count).step_by(threads as usize) {
            let text = mutant(number);
            match judge.fate(&original, &text) {
                Ok(fate) => fates[fate as usize] += 1,
                Err(why) => failures.push(format!("mutant {number}: {why}\n{}", difference(&text))),
            }
        }
        (fates, failures)
    };
    let (mut fates, mut failures) = ([0; 3], Vec::new());
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|first| scope.spawn(move || judge_some(first))).collect();
        for worker in workers {
            let (some, more) = worker.join().expect("the judge does not panic");
            (0..3).for_each(|fate| fates[fate] += some[fate]);
            failures.extend(more);
        }
    });
    assert!(
        failures.is_empty(),
        "{} of {count}:\n{}",
        failures.len(),
        failures[..failures.len().min(20)].join("\n\n")
    );
    let [refused, differs, same] = fates;
    println!("{count} mutants: {refused} refused, {differs} load and differ, {same} say the same");
    assert!(refused > 0 && differs > 0 && refused + differs > count / 2, "the mutants are too tame");
}

/// The lines in which a text differs from the shipped file.
fn difference(text: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (SHIPPED.lines().collect(), text.lines().collect());
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let tail =
        old[same..].iter().rev().zip(new[same..].iter().rev()).take_while(|(old, new)| old == new).count();
    let show = |sign: &str, lines: &[&str]| {
        lines.iter().take(12).map(|line| format!("{sign} {line:?}\n")).collect::<String>()
    };
    show("-", &old[same..old.len() - tail]) + &show("+", &new[same..new.len() - tail])
}

#[test]
fn ten_thousand_mutants_load_or_say_what_is_wrong_bytes() {
    judge_all(text::mutant);
}

#[test]
fn ten_thousand_mutants_load_or_say_what_is_wrong_structure() {
    judge_all(structure::mutant);
}

#[test]
fn the_shipped_file_says_and_means_the_same_as_itself() {
    let original: Table = SHIPPED.parse().expect("TOML");
    assert_eq!(Judge::new().fate(&original, SHIPPED), Ok(Fate::Same));
    assert_eq!(Judge::new().fate(&original, &original.to_string()), Ok(Fate::Same));
    assert!(matches!(original["proxy"], Value::Table(_)));
}
