//! A random caller: what it asks for, whether it leaves, and what it sees.

use std::time::{Duration, Instant};

use fastrand::Rng;

use super::answer::Told;
use super::world::World;
use crate::harness::*;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Chat,
    Messages,
    Responses,
    Gemini,
    /// Gemini's stream as a JSON array.
    GeminiArray,
    Embed,
    Count,
    GeminiCount,
}

const KINDS: [Kind; 13] = [
    Kind::Chat,
    Kind::Chat,
    Kind::Chat,
    Kind::Messages,
    Kind::Messages,
    Kind::Responses,
    Kind::Responses,
    Kind::Gemini,
    Kind::Gemini,
    Kind::GeminiArray,
    Kind::Embed,
    Kind::Count,
    Kind::GeminiCount,
];

/// One request to be made.
#[derive(Debug, Clone)]
pub struct Asking {
    pub number: usize,
    pub kind: Kind,
    pub is_stream: bool,
    pub model: String,
    pub tags: &'static str,
    /// When the caller leaves, whatever it has by then.
    pub leaves_after: Option<Duration>,
}

/// What a caller saw.
#[derive(Debug)]
pub struct Seen {
    pub asking: Asking,
    /// Nothing where the caller left.
    pub answer: Option<Answered>,
}

/// An answer, as its caller saw it.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    pub retry_after: Option<String>,
    pub error_type: String,
    /// When its head was there.
    pub head_after: Duration,
    /// What it says; nothing where it is a refusal.
    pub told: Option<Told>,
}

impl Asking {
    /// The request of this number.
    pub fn of(seed: u64, number: usize, world: &World) -> Self {
        let mut rng = Rng::with_seed(seed.rotate_left(32) ^ number as u64);
        let kind = rng.choice(KINDS).expect("some");
        let is_conversation = !matches!(kind, Kind::Embed | Kind::Count | Kind::GeminiCount);
        let is_stream = kind == Kind::GeminiArray || (is_conversation && rng.u32(..3) > 0);
        let model = match rng.u32(..10) {
            0 => rng.choice(&world.targets).expect("some").name.clone(),
            _ => "group".to_owned(),
        };
        let tags = rng.choice(["", "", "red", "blue", "gold, red", "nobody"]).expect("some");
        let leaves_after = (rng.u32(..6) == 0).then(|| Duration::from_millis(rng.u64(..500)));
        Self { number, kind, is_stream, model, tags, leaves_after }
    }

    fn request(&self) -> Vec<u8> {
        let Self { model, is_stream, .. } = self;
        let stream = format!(",\"stream\":{is_stream}");
        let turn = r#""messages":[{"role":"user","content":"hello"}]"#;
        let contents = r#"{"contents":[{"role":"user","parts":[{"text":"hello"}]}]}"#.to_owned();
        let at = |method: &str| format!("/v1beta/models/{model}:{method}");
        let (path, body) = match self.kind {
            Kind::Chat => {
                ("/v1/chat/completions".to_owned(), format!(r#"{{"model":"{model}",{turn}{stream}}}"#))
            }
            Kind::Messages => (
                "/v1/messages".to_owned(),
                format!(r#"{{"model":"{model}","max_tokens":64,{turn}{stream}}}"#),
            ),
            Kind::Responses => {
                ("/v1/responses".to_owned(), format!(r#"{{"model":"{model}","input":"hello"{stream}}}"#))
            }
            Kind::Gemini if *is_stream => (at("streamGenerateContent?alt=sse"), contents),
            Kind::Gemini => (at("generateContent"), contents),
            Kind::GeminiArray => (at("streamGenerateContent"), contents),
            Kind::Embed => ("/v1/embeddings".to_owned(), format!(r#"{{"model":"{model}","input":"hello"}}"#)),
            Kind::Count => {
                ("/v1/messages/count_tokens".to_owned(), format!(r#"{{"model":"{model}",{turn}}}"#))
            }
            Kind::GeminiCount => (at("countTokens"), contents),
        };
        let id = format!("chaos-{}", self.number);
        let mut headers = vec![("x-aisix-request-id", &*id), ("x-aisix-routing-key", &*id)];
        if !self.tags.is_empty() {
            headers.push(("x-aisix-routing-tags", self.tags));
        }
        request_text("POST", &path, "sk-test", &headers, body.as_bytes())
    }

    /// Asks, and reads the answer unless it leaves before.
    pub fn ask(self, gateway: &Gateway) -> Seen {
        let mut connection = gateway.connect();
        let began = Instant::now();
        connection.send(&self.request());
        if let Some(time) = self.leaves_after {
            std::thread::sleep(time);
            connection.leave();
            return Seen { asking: self, answer: None };
        }
        connection.wait_for_head();
        let head_after = began.elapsed();
        let response = connection.response();
        let is_stream = self.is_stream && response.status == 200;
        let told = (response.status == 200).then(|| match is_stream {
            true => Told::stream(self.kind, &response.text()),
            false => Told::whole(self.kind, &response.json()),
        });
        let error_type = match told {
            None => response.error()["type"].as_str().unwrap_or_default().to_owned(),
            Some(_) => String::new(),
        };
        let retry_after = response.header("retry-after").map(str::to_owned);
        let answer = Answered { status: response.status, retry_after, error_type, head_after, told };
        Seen { asking: self, answer: Some(answer) }
    }
}
