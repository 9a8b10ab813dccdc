//! Providers that behave as the seed says, and keep a diary of who asked them and what they did.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;

use super::conduct::{Break, Conduct};
use super::words::{Parts, Wire};
use super::world::{BAD_WORD, Target};
use crate::harness::*;

/// A family of providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    OpenAi,
    /// Goes on with a turn that says so.
    Mistral,
    Anthropic,
    Gemini,
}

impl Family {
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::Mistral, Self::Anthropic, Self::Gemini];

    /// The name of a provider.
    pub fn provider(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Mistral => "mistral",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }
}

/// One request that reached a provider.
#[derive(Clone)]
pub struct Entry {
    /// The number of the caller's request.
    pub number: usize,
    pub target: String,
    pub conduct: Conduct,
    /// Whether the answer had been begun by another.
    pub is_continued: bool,
    /// The words of a whole answer.
    pub words: Vec<String>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.is_continued { ", which was given a beginning" } else { "" };
        write!(f, "{}: {:?}{more}", self.target, self.conduct)
    }
}

/// See the module.
#[derive(Default)]
pub struct Diary(Mutex<Vec<Entry>>);

impl Diary {
    /// Everything so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.0.lock().expect("no panic").clone()
    }

    /// How often a target was asked for a request.
    fn count(&self, number: usize, target: &str) -> u64 {
        let entries = self.0.lock().expect("no panic");
        entries.iter().filter(|entry| entry.number == number && entry.target == target).count() as u64
    }

    fn note(&self, entry: Entry) {
        self.0.lock().expect("no panic").push(entry);
    }
}

/// Starts the provider of a target.
pub fn start(seed: u64, target: &Target, diary: &Arc<Diary>) -> Upstream {
    let (name, diary) = (target.name.clone(), diary.clone());
    Upstream::start(move |received, _| {
        let id = received.header("x-aisix-request-id").and_then(|id| id.strip_prefix("chaos-"));
        let number = id.and_then(|id| id.parse().ok()).expect("the request's own id");
        let times = diary.count(number, &name);
        let mut rng =
            Rng::with_seed(seed ^ (number as u64) << 20 ^ times << 40 ^ (name.as_bytes()[0] as u64) << 48);
        let conduct = Conduct::of(&mut rng);
        let words = words(&mut rng, &format!("{name}{times}"), conduct);
        let body = String::from_utf8_lossy(&received.body);
        // First words are in a request only where they were given to another to go on with.
        let is_continued = body.contains("x0 ") || body.contains("x0\"");
        diary.note(Entry { number, target: name.clone(), conduct, is_continued, words: words.clone() });
        let is_stream = body.contains("\"stream\":true") || received.path.contains(":streamGenerateContent");
        let script = Script { path: &received.path, conduct, words: &words, has_usage: rng.bool() };
        if is_stream { script.stream() } else { script.whole() }
    })
}

fn words(rng: &mut Rng, name: &str, conduct: Conduct) -> Vec<String> {
    let count = if conduct == Conduct::Huge { 20_000 } else { rng.usize(4..8) };
    let mut words: Vec<String> = (0..count).map(|place| format!("{name}x{place} ")).collect();
    if conduct == Conduct::BadWord {
        words.push(format!("{BAD_WORD} "));
    }
    words
}

/// One answer.
struct Script<'a> {
    path: &'a str,
    conduct: Conduct,
    words: &'a [String],
    has_usage: bool,
}

impl Script<'_> {
    /// What is answered however the question was put.
    fn either(&self) -> Option<Answer> {
        let refusal = |status: u16, code: &str| {
            Answer::json(status, &format!(r#"{{"error":{{"message":"no","type":"bad","code":"{code}"}}}}"#))
        };
        Some(match self.conduct {
            Conduct::Status(status) => refusal(status, "nope"),
            Conduct::Limited(None) => refusal(429, "rate_limit_exceeded"),
            Conduct::Limited(Some(after)) => {
                Answer::with_headers(429, &[("retry-after", &after.to_string())], "{}")
            }
            Conduct::ContextLength => refusal(400, "context_length_exceeded"),
            Conduct::Reset => Answer::default().reset(),
            Conduct::Silent => Answer::silence(),
            Conduct::Page => Answer::with_headers(200, &[("content-type", "text/html")], "<html></html>"),
            Conduct::Garbled => Answer::json(200, "garbled"),
            _ => return None,
        })
    }

    fn whole(&self) -> Answer {
        if let Some(answer) = self.either() {
            return answer;
        }
        let wire = Wire::of(self.path);
        if matches!(self.conduct, Conduct::Swapped | Conduct::SwappedStall) {
            let begun = Answer::events().event("data: {}\n\n");
            return if self.conduct == Conduct::Swapped { begun.end() } else { begun.stall() };
        }
        if let Conduct::InBand(_, status) = self.conduct {
            return Answer::json(200, &wire.unwrap_or(Wire::Chat).failure(status));
        }
        let has_tool = matches!(self.conduct, Conduct::Tool);
        let body = match wire {
            Some(wire) => wire.whole(self.words, has_tool),
            None if self.path.ends_with("/embeddings") => answers::VECTORS.to_owned(),
            None if self.path.contains(":countTokens") => r#"{"totalTokens":5}"#.to_owned(),
            None => r#"{"input_tokens":5}"#.to_owned(),
        };
        let (half, rest) = body.split_at(body.len() / 2);
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let begun = Answer::default().raw(head.into_bytes()).raw(half.as_bytes().to_vec());
        let good = Answer::json(200, &body);
        match self.conduct {
            Conduct::Cut(_, Break::Reset) | Conduct::ToolCut(Break::Reset) => begun.reset(),
            Conduct::Cut(..) | Conduct::ToolCut(_) => begun.close(),
            Conduct::Stall(_) => begun.stall(),
            Conduct::Slow(time) | Conduct::LateFirst(time) | Conduct::LateToken(time) => {
                begun.pause(time).raw(rest.as_bytes().to_vec())
            }
            Conduct::LateHead(time) => Answer::default().pause(time).then(good),
            Conduct::LateAll(time) => {
                Answer::default().pause(time).then(begun).pause(time).raw(rest.as_bytes().to_vec())
            }
            _ => good,
        }
    }

    fn stream(&self) -> Answer {
        if let Some(answer) = self.either() {
            return answer;
        }
        let Some(wire) = Wire::of(self.path) else { return self.whole() };
        let has_tool = matches!(self.conduct, Conduct::Tool | Conduct::ToolCut(_));
        if matches!(self.conduct, Conduct::Swapped | Conduct::SwappedStall) {
            let whole = Answer::json(200, &wire.whole(self.words, false));
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
            let stalled = Answer::default().raw(head.as_bytes().to_vec()).stall();
            return if self.conduct == Conduct::Swapped { whole } else { stalled };
        }
        let Parts { opening, words, tool, finish, last } = wire.parts(self.words, has_tool, self.has_usage);
        let words = if self.conduct == Conduct::Huge { vec![words.concat()] } else { words };
        let all = [&opening[..], &words, &tool, &finish, &last].map(<[String]>::to_vec);
        let place = |count: usize| (opening.len() + count).min(opening.len() + words.len());
        let events = all.concat();
        let before_finish = opening.len() + words.len() + tool.len();
        let before_last = before_finish + finish.len();
        let pause = |time: Duration| Answer::default().pause(time);
        match self.conduct {
            Conduct::Cut(after, how) => broken(sent(&events[..place(after)]), how),
            Conduct::ToolCut(how) => broken(sent(&events[..before_finish]), how),
            Conduct::Stall(after) => sent(&events[..place(after)]).stall(),
            Conduct::InBand(after, status) => {
                sent(&events[..place(after)]).event(&wire.failure_event(status)).end()
            }
            Conduct::Malformed(at) => {
                let begun = sent(&events[..place(at)]).event("data: {\"choices\":[{\n\n");
                rest(begun, &events[place(at)..], None).end()
            }
            Conduct::NoLastWord => sent(&events[..before_last]).end(),
            Conduct::FinishedCut(how) => broken(sent(&events[..before_last]), how),
            Conduct::LateHead(time) => pause(time).then(sent(&events).end()),
            Conduct::LateFirst(time) => rest(Answer::events().pause(time), &events, None).end(),
            Conduct::LateToken(time) => {
                rest(sent(&opening).pause(time), &events[opening.len()..], None).end()
            }
            Conduct::LateAll(time) => {
                let begun = rest(pause(time).then(Answer::events()).pause(time), &opening, None);
                rest(begun.pause(time), &events[opening.len()..], None).end()
            }
            Conduct::Slow(time) => rest(Answer::events(), &events, Some(time)).end(),
            _ => sent(&events).end(),
        }
    }
}

/// The head and these events.
fn sent(events: &[String]) -> Answer {
    rest(Answer::events(), events, None)
}

fn rest(begun: Answer, events: &[String], pause: Option<Duration>) -> Answer {
    events.iter().fold(begun, |answer, event| {
        let answer = answer.event(event);
        pause.map_or(answer.clone(), |time| answer.pause(time))
    })
}

fn broken(answer: Answer, how: Break) -> Answer {
    match how {
        Break::Reset => answer.reset(),
        Break::Close => answer.close(),
        Break::End => answer.end(),
    }
}
