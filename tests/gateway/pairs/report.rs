//! The table of pairs for readers: `docs/pairs.md`, made from what the recordings show.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use aisix::dialect::Dialect;

use super::corpus::{Recording, recordings};
use super::replies::given;
use super::requests::{requests, written};
use super::streams::{End, play, streams};
use super::{PROVIDERS, name_of, refusals};

/// Set, the page is written anew.
const BLESS: &str = "AISIX_BLESS";

#[test]
fn the_table_of_pairs_is_up_to_date() {
    let all = recordings();
    if all.is_empty() {
        return;
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/pairs.md");
    let page = page(&all);
    if std::env::var_os(BLESS).is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, page).expect("room on the disk");
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/pairs.md is not up to date: run this test with {BLESS}=1");
}

fn title(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAiChat => "OpenAI chat",
        Dialect::OpenAiResponses => "OpenAI Responses",
        Dialect::Anthropic => "Anthropic",
        Dialect::Gemini => "Gemini",
        _ => "Cohere",
    }
}

const HEAD: &str = "\
# Pairs

Every caller's dialect works with every provider's. This page is written by a test, which puts recorded exchanges of real
providers through every pair and compares what they mean before and after: texts in their order, tools, calls and their
results, pictures and documents, limits and sampling, structured output, reasons to finish, usage and sources. What it
writes is read again with the official clients of OpenAI, Anthropic and Google (`tests/sdk/test_pairs.py`). To write the
page anew: `AISIX_BLESS=1 cargo test --test gateway pairs`.

Where both sides speak one dialect, requests and answers are handed on byte for byte but for the model's name.

";

fn page(all: &[Recording]) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("## Recordings tried\n\nFor each pair: requests / whole answers / streams.\n\n");
    table(&mut page, |caller, provider| {
        let asked = requests(all).filter(|recording| recording.dialect == caller);
        let of = |recording: &&Recording| recording.dialect == provider;
        let whole = all.iter().filter(of).filter(|one| one.is_whole() && given(one, caller).is_ok());
        let is_told = |one: &&Recording| play(provider, caller, &one.body, usize::MAX).end == End::Closed;
        let streamed = streams(all).filter(of).filter(is_told);
        let asked = asked.filter(|recording| written(recording, provider).is_ok());
        format!("{} / {} / {}", asked.count(), whole.count(), streamed.count())
    });
    let errors = refusals::errors(all).count();
    let _ = writeln!(
        page,
        "\nBesides, {errors} recorded errors are told to every caller in its own envelope, and streams that fail or break \
         off never end as if they were complete.\n"
    );
    page.push_str(
        "## What is not carried\n\n\
         What a provider's dialect cannot say is left out and named in the header `x-aisix-dropped-fields`. So often it was, in \
         the recorded requests:\n\n",
    );
    for caller in Dialect::CALLERS {
        dropped(&mut page, all, caller);
    }
    page
}

fn table(page: &mut String, cell: impl Fn(Dialect, Dialect) -> String) {
    page.push_str("| Caller |");
    PROVIDERS.iter().for_each(|provider| page.push_str(&format!(" {} |", title(*provider))));
    page.push_str("\n|---|---|---|---|---|---|\n");
    for caller in Dialect::CALLERS {
        let _ = write!(page, "| {} |", title(caller));
        for provider in PROVIDERS {
            let _ = write!(page, " {} |", cell(caller, provider));
        }
        page.push('\n');
    }
}

/// What a caller's requests lose on the way to each other dialect.
fn dropped(page: &mut String, all: &[Recording], caller: Dialect) {
    let mut counts: BTreeMap<String, [usize; 5]> = BTreeMap::new();
    for recording in requests(all).filter(|recording| recording.dialect == caller) {
        for (place, provider) in PROVIDERS.into_iter().enumerate().filter(|(_, other)| *other != caller) {
            // Who is refused is told so instead.
            let names = written(recording, provider).map(|written| written.dropped).unwrap_or_default();
            for name in names {
                counts.entry(name).or_default()[place] += 1;
            }
        }
    }
    let _ = writeln!(page, "### {} callers (`{}`)\n", title(caller), name_of(caller));
    page.push_str("| Member |");
    PROVIDERS.iter().for_each(|provider| page.push_str(&format!(" {} |", title(*provider))));
    page.push_str("\n|---|---|---|---|---|---|\n");
    for (name, counts) in counts {
        let _ = write!(page, "| `{name}` |");
        for (provider, count) in PROVIDERS.iter().zip(counts) {
            let cell = if *provider == caller { "–".to_owned() } else { count.to_string() };
            let _ = write!(page, " {} |", if cell == "0" { "" } else { &cell });
        }
        page.push('\n');
    }
    page.push('\n');
}
