//! What a request means, read from its JSON without the codecs.

use std::collections::BTreeMap;

use aisix::dialect::Dialect;
use serde_json::{Value, json};

mod anthropic;
mod gemini;
mod openai;
mod pieces;
mod settings;

pub use gemini::member as gemini_member;
pub use pieces::{list, text_of};

/// A request's meaning.
#[derive(Debug, Default, Clone)]
pub struct Asked {
    /// Instructions before the first turn.
    pub system: Vec<String>,
    /// What was said, in its order.
    pub said: Vec<Said>,
    /// Functions, as `{name, description, parameters}`.
    pub tools: Vec<Value>,
    /// Tools of the provider's own, by their kinds.
    pub foreign: Vec<String>,
    /// What else is wanted, by the names of [`settings::NAMES`].
    pub settings: BTreeMap<&'static str, Value>,
    /// Members that mean nothing here: they have to be reported.
    pub rest: Vec<String>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    System,
    User,
    Model,
}

/// A piece of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// Words; neighbours are one.
    Words(Who, Vec<String>),
    /// Media, as `{type, data}`, `{url}` or `{file}`.
    Media(Who, Value),
    /// A tool call, by its number among all calls.
    Call(usize, String, Value),
    /// What a tool said, with the number of its call.
    Result(Option<usize>, Value, Vec<Value>),
}

impl Said {
    /// Whose turn it stands in.
    pub fn who(&self) -> Who {
        match self {
            Self::Words(who, _) | Self::Media(who, _) => *who,
            Self::Call(..) => Who::Model,
            Self::Result(..) => Who::User,
        }
    }
}

/// Reads a request.
pub fn asked(dialect: Dialect, body: &Value) -> Asked {
    let mut asked = Asked::default();
    let mut calls = Calls::default();
    match dialect {
        Dialect::OpenAiChat | Dialect::Cohere => openai::chat(body, &mut asked, &mut calls),
        Dialect::OpenAiResponses => openai::responses(body, &mut asked, &mut calls),
        Dialect::Anthropic => anthropic::read(body, &mut asked, &mut calls),
        Dialect::Gemini => gemini::read(body, &mut asked, &mut calls),
        Dialect::OpenAi | Dialect::Voyage => panic!("no conversation"),
    }
    settings::read(dialect, body, &mut asked);
    asked
}

/// The calls so far: results name them by id, or by name and order.
#[derive(Default)]
struct Calls(Vec<(Option<String>, String, bool)>);

impl Calls {
    fn made(&mut self, id: Option<&str>, name: &str) -> usize {
        self.0.push((id.map(str::to_owned), name.to_owned(), false));
        self.0.len() - 1
    }

    /// The call that a result answers: that with its id, else the first of its name that waits.
    fn answered(&mut self, id: Option<&str>, name: Option<&str>) -> Option<usize> {
        let by_id = id.and_then(|id| self.0.iter().rposition(|call| call.0.as_deref() == Some(id)));
        let by_name = || self.0.iter().position(|call| !call.2 && Some(&*call.1) == name);
        let place = by_id.or_else(by_name)?;
        self.0[place].2 = true;
        Some(place)
    }
}

impl Asked {
    fn words(&mut self, who: Who, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        match self.said.last_mut() {
            Some(Said::Words(last, pieces)) if *last == who => pieces.push(text.to_owned()),
            _ => self.said.push(Said::Words(who, vec![text.to_owned()])),
        }
    }

    /// Media; a document of plain text is words.
    fn media(&mut self, who: Who, media: Value) {
        match pieces::plain(&media) {
            Some(text) => self.words(who, &text),
            None => self.said.push(Said::Media(who, media)),
        }
    }

    fn call(&mut self, calls: &mut Calls, id: Option<&str>, name: &Value, arguments: Value) {
        let name = name.as_str().unwrap_or_default();
        let number = calls.made(id, name);
        let arguments = if arguments.is_object() { arguments } else { json!({}) };
        self.said.push(Said::Call(number, name.to_owned(), arguments));
    }

    fn tool(&mut self, name: &Value, description: &Value, parameters: &Value) {
        self.tools.push(json!({
            "name": name,
            "description": if description == "" { &Value::Null } else { description },
            "parameters": pieces::schema(parameters),
        }));
    }
}
