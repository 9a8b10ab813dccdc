//! The page for readers, `docs/faults.md`: each test writes the section of its fault, from what it saw.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;

use super::seen::Seen;
use super::way::{WHOLE, Way};

/// Set, sections are written anew.
const BLESS: &str = "AISIX_BLESS";
/// Taken to change the page: the tests of one run share it.
static PAGE: Mutex<()> = Mutex::new(());

/// The faults, as the gateway's behaviour is specified.
pub const FAULTS: [(&str, &str); 20] = [
    ("S01", "429 with `Retry-After`"),
    ("S02", "429 every time"),
    ("S03", "500 once"),
    ("S04", "503 for ever"),
    ("S05", "TCP reset before the head"),
    ("S06", "no answer at all"),
    ("S07", "the first token comes late"),
    ("S08", "a stream is cut in the middle"),
    ("S08, continued", "the same with `mid_stream = \"continue\"`"),
    ("S08, not continued", "the same where nobody can go on"),
    ("S09", "a stream falls silent in the middle"),
    ("S09, continued", "the same with `mid_stream = \"continue\"`"),
    ("S10", "one malformed event"),
    ("S11", "no last word"),
    ("S11, continued", "the same with `mid_stream = \"continue\"`"),
    ("S12", "400: the conversation is too long"),
    ("S13", "a content filter"),
    ("S14", "the next target refuses a begun answer"),
    ("S15", "a target is well and ill in turns"),
    ("S16", "another target serves"),
];

const HEAD: &str = "\
# Faults

What the gateway makes of sixteen faults of providers: what callers of `/v1/chat/completions`, `/v1/messages` and
`/v1/responses` get, as a whole and as a stream, and which targets of the routing model were asked for it. This page is
written by tests, which run the program against the mock provider and look at every answer, every usage record, the status
page and the metrics. To write it anew: `AISIX_BLESS=1 cargo test --test gateway faults`. To see a fault at work:
`aisix mock --fault s08`.

";

/// What was seen of a case in one way of asking.
#[derive(Debug, Clone)]
pub struct Row {
    pub case: String,
    pub way: Way,
    pub gets: String,
    pub asked: String,
}

/// Targets in words, by their places.
pub const PLACES: [&str; 3] = ["the first", "the second", "the third"];

/// What the caller gets, in words: of the target that began it, and another that may have ended it.
pub fn gets(seen: &Seen, begun_by: Option<usize>, ended_by: Option<usize>) -> String {
    let from = begun_by.map_or("", |place| PLACES[place]);
    let status = seen.response.status;
    let retry = seen.response.header("retry-after").map(|value| format!(", `Retry-After: {value}`"));
    match (&seen.error, ended_by) {
        (None, Some(last)) => format!("the whole answer, begun by {from} and ended by {}", PLACES[last]),
        (None, None) if matches!(seen.finish.as_deref(), Some("content_filter" | "refusal")) => {
            format!("a part from {from}, and the reason: `{}`", seen.finish.as_deref().unwrap_or_default())
        }
        (None, None) => format!("the whole answer, from {from}"),
        (Some(error), _) if status == 200 => {
            let count = seen.said.split_whitespace().count();
            let part =
                if seen.calls.is_empty() { format!("{count} words") } else { "half a call".to_owned() };
            format!("{part} from {from}, then the error `{error}`")
        }
        (Some(error), _) => format!("{status} `{error}`{}", retry.unwrap_or_default()),
    }
}

/// The ways of rows that say the same, in few words.
fn ways(rows: &[&Row]) -> String {
    let forms = |caller: &Way| {
        let own = rows.iter().filter(|row| row.way.path() == caller.path());
        own.map(|row| row.way.form()).collect::<Vec<_>>().join(" and ")
    };
    let callers: Vec<&Way> = WHOLE.iter().filter(|caller| !forms(caller).is_empty()).collect();
    let first = forms(callers[0]);
    assert!(callers.iter().all(|caller| forms(caller) == first), "a row for each form: {rows:#?}");
    let names: Vec<String> = callers.iter().map(|caller| format!("`{}`", caller.path())).collect();
    let all = if names.len() == WHOLE.len() { "all".to_owned() } else { names.join(", ") };
    format!("{all} | {first}")
}

fn section(number: &str, rows: &[Row]) -> String {
    let (_, title) = FAULTS.iter().find(|(own, _)| *own == number).expect("a fault");
    let mut text = format!("## {number}: {title}\n\n");
    text.push_str("| Case | Callers | Answer | Caller gets | Asked |\n|---|---|---|---|---|\n");
    let mut left: Vec<&Row> = rows.iter().collect();
    while let Some(first) = left.first().copied() {
        let is_same =
            |row: &&Row| (&row.case, &row.gets, &row.asked) == (&first.case, &first.gets, &first.asked);
        let (same, others): (Vec<_>, Vec<_>) = left.into_iter().partition(is_same);
        let _ = writeln!(text, "| {} | {} | {} | {} |", first.case, ways(&same), first.gets, first.asked);
        left = others;
    }
    text + "\n"
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md")
}

/// The sections of a page, each from its heading on.
fn sections(page: &str) -> Vec<String> {
    page.split("## ").skip(1).map(|text| format!("## {}\n\n", text.trim_end())).collect()
}

/// Asserts that the page says what was seen, or writes it there.
pub fn tell(number: &str, rows: &[Row]) {
    let section = section(number, rows);
    let _own = PAGE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let found = std::fs::read_to_string(path()).unwrap_or_default();
    let heading = format!("## {number}: ");
    if std::env::var_os(BLESS).is_some() {
        let mut all = sections(&found);
        all.retain(|own| !own.starts_with(&heading));
        all.push(section);
        all.sort_by_key(|own| {
            FAULTS.iter().position(|(number, _)| own.starts_with(&format!("## {number}: ")))
        });
        std::fs::write(path(), HEAD.to_owned() + all.concat().trim_end() + "\n").expect("room on the disk");
        return;
    }
    let own = sections(&found).into_iter().find(|own| own.starts_with(&heading)).unwrap_or_default();
    assert_eq!(own.trim_end(), section.trim_end(), "docs/faults.md: run this test with {BLESS}=1");
}

#[test]
fn the_page_has_every_fault_once() {
    let _own = PAGE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let page = std::fs::read_to_string(path()).expect("a page");
    if std::env::var_os(BLESS).is_none() {
        assert!(page.starts_with(HEAD), "docs/faults.md: run these tests with {BLESS}=1");
        let headings: Vec<String> =
            FAULTS.iter().map(|(number, title)| format!("{number}: {title}")).collect();
        let found: Vec<String> = sections(&page)
            .iter()
            .map(|text| text.lines().next().unwrap_or_default()[3..].to_owned())
            .collect();
        assert_eq!(found, headings);
    }
}
