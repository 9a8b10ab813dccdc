//! The names of faults: words with figures behind them, and the numbers of the faults that a gateway must survive.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Fault, Place, RetryAfter};

/// The number of tokens before something happens, where the name does not say it.
const TOKENS_BEFORE: usize = 5;
/// The wait before a late answer, where the name does not say it.
const LATE: Duration = Duration::from_secs(20);
/// The silence in the middle of an answer, where the name does not say it.
const SILENCE: Duration = Duration::from_secs(30);
/// The requests until a flapping provider changes, where the name does not say it.
const FLAP: u64 = 3;
/// The longest answer that a name can ask for: more words do not get an event each.
const MAX_WORDS: usize = 4096;

/// The names of all faults, each with what it does to a stream and, where that differs, to a whole answer.
pub const FAULTS: &[(&str, &str, &str)] = &[
    ("<status>", "answers that HTTP status, 400 to 599; 429 with Retry-After: 1", ""),
    ("<status>-once", "the same for a model's first request; later ones are answered", ""),
    ("429-<s>", "429 with Retry-After: s", ""),
    ("429-date-<s>", "429 with Retry-After as the HTTP date in s seconds", ""),
    ("429-once-<s>", "429-<s> for a model's first request; later ones are answered", ""),
    ("flap[-<n>]", "answers n requests of a model (3), then n with 503, and so on", ""),
    ("well", "nothing goes wrong", ""),
    ("reset", "resets the connection before the head", ""),
    ("stall", "never answers", ""),
    ("late[-<ms>]", "sends the head at once and the first byte after ms (20 s)", ""),
    ("late-token[-<ms>]", "sends what opens a stream at once and the first token after ms (20 s)", "late"),
    ("cut[-<n>[-<of>]]", "breaks the connection after n tokens (5)", "half way"),
    ("hang[-<n>[-<of>]]", "falls silent for ever after n tokens (5)", "half way"),
    ("stall-<n>[-<ms>[-<of>]]", "falls silent for ms (30 s) after n tokens, and goes on", "half way"),
    ("in-band[-<n>[-<of>]]", "an error under status 200 after n tokens (5)", "the error as body"),
    ("garbage", "one malformed event in the middle", "half of the body"),
    ("no-done", "ends without its last word, such as [DONE], where the dialect has one", "nothing"),
    ("no-finish", "ends before the finish reason", "nothing"),
    ("context-length", "400: the prompt is too long", ""),
    ("prompt-filter", "400: the prompt is against the content policy", ""),
    ("content-filter", "stops half way, with a content filter as the finish reason", ""),
    ("no-prefill", "400 when the caller has begun the answer", ""),
];

/// The numbers of faults, each with the name that it stands for and what it is. Figures are those of the table in
/// which the numbers stand: a first token after 20 s, a cut after 40 of 60 tokens, a silence of 30 s.
pub const NUMBERS: &[(&str, &str, &str)] = &[
    ("s01", "429-once-1", "429 with Retry-After"),
    ("s02", "429", "429 every time"),
    ("s03", "500-once", "500 once"),
    ("s04", "503", "503 for ever"),
    ("s05", "reset", "TCP reset before the head"),
    ("s06", "stall", "no answer at all"),
    ("s07", "late-token-20000", "first token after 20 s"),
    ("s08", "cut-40-60", "stream cut after 40 of 60 tokens"),
    ("s09", "stall-30-30000-60", "stream stalls for 30 s in the middle"),
    ("s10", "garbage", "one malformed event"),
    ("s11", "no-done", "no [DONE]"),
    ("s12", "context-length", "400 context length exceeded"),
    ("s13", "prompt-filter", "400 content filter"),
    ("s13-finish", "content-filter", "finish reason content filter"),
    ("s14", "no-prefill", "rejects an assistant prefill"),
    ("s15", "flap-3", "flapping"),
    ("s16", "well", "well: who serves when others fail"),
];

/// A name that is no fault.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownFault(String);

impl fmt::Display for UnknownFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = FAULTS.iter().map(|(name, ..)| *name).collect();
        write!(f, "there is no fault \"{}\"; known: s01 to s16, {}", self.0, names.join(", "))
    }
}

impl std::error::Error for UnknownFault {}

impl FromStr for Fault {
    type Err = UnknownFault;

    /// Reads a name or a number, in letters of either case.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let lower = name.to_ascii_lowercase();
        let numbered = NUMBERS.iter().find(|(number, ..)| *number == lower);
        let plain = numbered.map_or(lower.as_str(), |(_, stands_for, _)| *stands_for);
        read(plain).ok_or_else(|| UnknownFault(name.to_owned()))
    }
}

fn read(name: &str) -> Option<Fault> {
    let (words, figures) = figures(name)?;
    let millis = |figures: &[u64], usual: Duration| match figures {
        [] => Some(usual),
        [ms] => Some(Duration::from_millis(*ms)),
        _ => None,
    };
    let seconds = |seconds: u64| u32::try_from(seconds).ok();
    match (words, figures.as_slice()) {
        ("", [code]) => status(*code).map(Fault::Status),
        ("", [429, wait]) => seconds(*wait).map(|wait| Fault::Limited(RetryAfter::Seconds(wait))),
        ("429-date", [wait]) => seconds(*wait).map(|wait| Fault::Limited(RetryAfter::Date(wait))),
        ("429-once", [wait]) => seconds(*wait).map(|wait| Fault::LimitedOnce(RetryAfter::Seconds(wait))),
        ("flap", []) => Some(Fault::Flap(FLAP)),
        ("flap", [times]) if *times > 0 => Some(Fault::Flap(*times)),
        ("late", figures) => millis(figures, LATE).map(Fault::Late),
        ("late-token", figures) => millis(figures, LATE).map(Fault::LateToken),
        ("cut", figures) => place(figures).map(Fault::Cut),
        ("hang", figures) => place(figures).map(Fault::Hang),
        ("in-band", figures) => place(figures).map(Fault::InBand),
        ("stall", []) => Some(Fault::Stall),
        ("stall", [after]) => place(&[*after]).map(|place| Fault::Pause(place, SILENCE)),
        ("stall", [after, ms, of @ ..]) => {
            let place = place(&[&[*after], of].concat())?;
            Some(Fault::Pause(place, Duration::from_millis(*ms)))
        }
        (words, []) => match words.strip_suffix("-once") {
            Some(code) => status(code.parse().ok()?).map(Fault::StatusOnce),
            None => plain(words),
        },
        _ => None,
    }
}

/// The names without figures.
fn plain(name: &str) -> Option<Fault> {
    Some(match name {
        "well" => Fault::Well,
        "reset" => Fault::Reset,
        "garbage" => Fault::Garbage,
        "no-done" => Fault::NoDone,
        "no-finish" => Fault::NoFinish,
        "context-length" => Fault::ContextLength,
        "prompt-filter" => Fault::PromptFilter,
        "content-filter" => Fault::ContentFilter,
        "no-prefill" => Fault::NoPrefill,
        _ => return None,
    })
}

/// A name's words, and the figures behind them: `cut-40-60` is `cut` with 40 and 60.
fn figures(name: &str) -> Option<(&str, Vec<u64>)> {
    let (mut words, mut figures) = (name, Vec::new());
    while !words.is_empty() {
        let (before, last) = words.rsplit_once('-').unwrap_or(("", words));
        if last.is_empty() || !last.bytes().all(|byte| byte.is_ascii_digit()) {
            break;
        }
        figures.insert(0, last.parse().ok()?);
        words = before;
    }
    (!name.starts_with('-')).then_some((words, figures))
}

fn status(code: u64) -> Option<u16> {
    u16::try_from(code).ok().filter(|code| (400..600).contains(code))
}

fn place(figures: &[u64]) -> Option<Place> {
    let number = |figure: u64| usize::try_from(figure).ok();
    let (after, of) = match figures {
        [] => (TOKENS_BEFORE, None),
        [after] => (number(*after)?, None),
        [after, of] => (number(*after)?, Some(number(*of)?)),
        _ => return None,
    };
    of.is_none_or(|of| (1..=MAX_WORDS).contains(&of)).then_some(Place { after, of })
}
