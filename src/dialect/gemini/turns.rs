//! A caller's contents, read as turns. Also the parts that a provider's answer shares with them.
//!
//! Calls and results are tied by ids here, while Gemini's callers may leave ids out: a call then gets its number in the
//! conversation, which never changes as the conversation grows, and a result goes to the first open call of its name.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use crate::dialect::chat::{Arguments, Dropped, Part, Role, Thought, ToolCall, ToolResult, Turn, Words};
use crate::dialect::json::Text;
use crate::dialect::json::shape::{Json, shape};
use crate::error::RequestError;

use super::members::{Content, FunctionCall, FunctionResponse, Many, Part as Piece, object};
use super::{media, signature};

shape! {
    /// What a tool said, where it is only words.
    Said {
        "result" => result: Json<'a>,
        "output" => output: Json<'a>,
        "error" => error: Json<'a>,
    }
}

/// Reads `contents`.
///
/// # Errors
/// Says which content cannot be used.
pub(super) fn read<'a>(raw: &'a str, dropped: &mut Dropped) -> Result<Vec<Turn<'a>>, RequestError> {
    let contents = serde_json::from_str::<Many<Content<'a>>>(raw).map_err(|_| complaint(raw))?.0;
    if contents.is_empty() {
        return Err(RequestError::member("contents", "the member \"contents\" must not be empty"));
    }
    let mut reader = Reader { calls: Vec::new(), by_id: HashMap::new(), by_name: HashMap::new(), dropped };
    contents.into_iter().enumerate().map(|(place, content)| reader.turn(place, content)).collect()
}

/// Finds the content that cannot be read.
fn complaint(raw: &str) -> RequestError {
    let Ok(items) = serde_json::from_str::<Many<Json<'_>>>(raw) else {
        return RequestError::member("contents", "the member \"contents\" must be an array of objects");
    };
    let is_broken = |item: &Json<'_>| serde_json::from_str::<Content<'_>>(item.0).is_err();
    let place = items.0.iter().position(is_broken).unwrap_or(0);
    RequestError::member(
        "contents",
        format!(
            "contents[{place}] must be an object with \"role\" and \"parts\", and a part of it has a wrong type"
        ),
    )
}

/// A call, and whether it waits for its result.
struct Call<'a> {
    id: Text<'a>,
    is_answered: bool,
}

struct Reader<'a, 'd> {
    calls: Vec<Call<'a>>,
    /// Places of calls by their ids, and of those that may wait by their names: a body can hold very many.
    by_id: HashMap<String, usize>,
    by_name: HashMap<String, VecDeque<usize>>,
    dropped: &'d mut Dropped,
}

impl<'a> Reader<'a, '_> {
    fn turn(&mut self, place: usize, content: Content<'a>) -> Result<Turn<'a>, RequestError> {
        let role = match content.role.as_ref().map(Text::decode).as_deref() {
            None | Some("user" | "function" | "tool" | "") => Role::User,
            Some("model" | "assistant") => Role::Assistant,
            Some("system") => Role::System,
            Some(_) => {
                let message = format!("contents[{place}].role must be \"user\" or \"model\"");
                return Err(RequestError::member("contents", message));
            }
        };
        for name in &content.unknown {
            self.dropped.add(format!("contents.{name}"));
        }
        let mut parts = Vec::new();
        for piece in content.parts.map(|parts| parts.0).unwrap_or_default() {
            self.part(place, piece, &mut parts)?;
        }
        // An empty text says nothing, but a turn has to say something.
        let has_more = parts.iter().any(|part| !is_empty_text(part));
        let mut kept = 0;
        parts.retain(|part| {
            let keeps = !is_empty_text(part) || (!has_more && kept == 0);
            kept += usize::from(keeps);
            keeps
        });
        Ok(Turn { role, name: None, parts })
    }

    fn part(
        &mut self,
        place: usize,
        piece: Piece<'a>,
        parts: &mut Vec<Part<'a>>,
    ) -> Result<(), RequestError> {
        for name in &piece.unknown {
            self.dropped.add(format!("contents.parts.{name}"));
        }
        if let Some(call) = piece.call {
            let call = self.call(place, call)?;
            push_signature(piece.signature, parts);
            parts.push(Part::ToolCall(Box::new(call)));
        } else if let Some(response) = piece.response {
            parts.push(Part::ToolResult(Box::new(self.result(place, response)?)));
        } else if let Some(found) = plain_part(piece, parts) {
            parts.push(found);
        }
        Ok(())
    }

    fn call(&mut self, place: usize, call: FunctionCall<'a>) -> Result<ToolCall<'a>, RequestError> {
        let Some(name) = call.name.filter(|name| !name.is_empty()) else {
            let message = format!("contents[{place}] has a functionCall without \"name\"");
            return Err(RequestError::member("contents", message));
        };
        let arguments = match call.args {
            None => "{}",
            Some(json) => object(json).ok_or_else(|| {
                let message = format!("contents[{place}] has a functionCall whose \"args\" is no object");
                RequestError::member("contents", message)
            })?,
        };
        let place = self.calls.len();
        let id = match call.id.filter(|id| !id.is_empty()) {
            Some(id) => id,
            None => Text::owned(&format!("call_{place}")),
        };
        self.calls.push(Call { id: id.clone(), is_answered: false });
        self.by_id.insert(id.escaped().to_owned(), place);
        self.by_name.entry(name.escaped().to_owned()).or_default().push_back(place);
        Ok(ToolCall { id, name, arguments: Arguments::Object(Cow::Borrowed(arguments)), cache: None })
    }

    /// The first call of a function that waits.
    fn first_open(&mut self, name: &Text<'_>) -> Option<usize> {
        let waiting = self.by_name.get_mut(name.escaped())?;
        while let Some(place) = waiting.pop_front() {
            if self.calls.get(place).is_some_and(|call| !call.is_answered) {
                return Some(place);
            }
        }
        None
    }

    fn result(
        &mut self,
        place: usize,
        response: FunctionResponse<'a>,
    ) -> Result<ToolResult<'a>, RequestError> {
        for name in &response.unknown {
            self.dropped.add(format!("contents.parts.functionResponse.{name}"));
        }
        let id = response.id.filter(|id| !id.is_empty());
        let found = id.as_ref().and_then(|id| self.by_id.get(id.escaped()).copied());
        let found = found.or_else(|| self.first_open(response.name.as_ref()?));
        let id = match found.and_then(|found| self.calls.get_mut(found)) {
            Some(call) => {
                call.is_answered = true;
                call.id.clone()
            }
            None => id.unwrap_or_else(|| Text::owned(&format!("call_of_{place}"))),
        };
        let (mut content, is_error) = read_response(response.response);
        for piece in response.parts.map(|parts| parts.0).unwrap_or_default() {
            match plain_part(piece, &mut content) {
                Some(part) => content.push(part),
                None => self.dropped.add("contents.parts.functionResponse.parts"),
            }
        }
        Ok(ToolResult { id, name: response.name, content, is_error, cache: None })
    }
}

/// Whether a part says nothing.
pub(super) fn is_empty_text(part: &Part<'_>) -> bool {
    matches!(part, Part::Text(words) if words.text.is_empty())
}

/// What a function said: its words where it is only words, else its JSON.
fn read_response(response: Option<Json<'_>>) -> (Vec<Part<'_>>, bool) {
    let Some(json) = response else { return (Vec::new(), false) };
    let words = |text| vec![Part::Text(Words { text, ..Words::default() })];
    let said = serde_json::from_str::<Said<'_>>(json.0).ok().filter(|said| said.unknown.is_empty());
    let Some(said) = said else { return (words(Text::plain(json.0)), false) };
    match (said.result, said.output, said.error) {
        (None, None, None) => (Vec::new(), false),
        (Some(only), None, None) | (None, Some(only), None) if only.0.starts_with('"') => {
            (Text::from_json(only.0).map(words).unwrap_or_default(), false)
        }
        (None, None, Some(error)) => {
            (words(Text::from_json(error.0).unwrap_or_else(|| Text::plain(error.0))), true)
        }
        _ => (words(Text::plain(json.0)), false),
    }
}

/// A signature before the part that it belongs to.
pub(super) fn push_signature<'a>(text: Option<Text<'a>>, parts: &mut Vec<Part<'a>>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        let (signature, is_redacted) = signature::read(text);
        let thought = Thought { text: Text::default(), signature: Some(signature), is_redacted };
        parts.push(Part::Thought(Box::new(thought)));
    }
}

/// Words, thoughts and media, with their signature pushed before them. Thoughts join those before them until one has a
/// signature: a stream gives them in pieces.
pub(super) fn plain_part<'a>(piece: Piece<'a>, parts: &mut Vec<Part<'a>>) -> Option<Part<'a>> {
    if piece.thought == Some(true) {
        let (signature, is_redacted) = match piece.signature.filter(|text| !text.is_empty()) {
            Some(text) => Some(signature::read(text)).map_or((None, false), |(s, r)| (Some(s), r)),
            None => (None, false),
        };
        let text = piece.text.unwrap_or_default();
        if let Some(Part::Thought(before)) = parts.last_mut()
            && before.signature.is_none()
            && !is_redacted
        {
            before.text = Text::join([&before.text, &text], "");
            before.signature = signature;
            return None;
        }
        let thought = Thought { text, signature, is_redacted };
        let says_something = !thought.text.is_empty() || thought.signature.is_some();
        return says_something.then(|| Part::Thought(Box::new(thought)));
    }
    let found = match (piece.text, piece.inline, piece.file) {
        (Some(text), _, _) => Part::Text(Words { text, ..Words::default() }),
        (None, Some(blob), _) => Part::Media(Box::new(media::read_blob(blob)?)),
        (None, None, Some(file)) => Part::Media(Box::new(media::read_file(file)?)),
        (None, None, None) => return None,
    };
    push_signature(piece.signature, parts);
    Some(found)
}
