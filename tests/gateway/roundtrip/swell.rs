//! Conversations and answers that are big in one way each: `count` of the same thing.

use std::borrow::Cow;

use aisix::dialect::chat::{
    Answer, Arguments, Citation, Conversation, Origin, Part, Reply, Role, Signature, Thought, Tool, ToolCall,
    ToolResult, Turn, Words,
};
use aisix::dialect::json::Text;

/// A way to be big.
pub type Shape<T> = (&'static str, fn(usize) -> T);

/// Big conversations.
pub const CONVERSATIONS: &[Shape<Conversation<'static>>] = &[
    ("turns", |count| talk((0..count).map(|place| turn(place % 2 == 1, vec![text("a\\\"b")])).collect())),
    ("turns of one side", |count| talk((0..count).map(|_| turn(false, vec![text("a")])).collect())),
    ("texts in one turn", |count| talk(vec![turn(false, vec![text("a"); count])])),
    ("empty texts", |count| {
        talk(vec![turn(false, vec![text(""); count]), turn(true, vec![text(""); count])])
    }),
    ("calls and results", |count| called(count, |place| place)),
    ("results the other way round", |count| called(count, move |place| count - 1 - place)),
    ("results of one call", |count| called(count, |_| 0)),
    ("results of no call", |count| called(count, move |place| count + place)),
    ("signed thoughts", |count| {
        let parts = (0..count).flat_map(|place| [thought(place), call(place)]);
        talk(vec![turn(false, vec![text("a")]), turn(true, parts.collect())])
    }),
    ("tools", |count| Conversation {
        tools: (0..count).map(tool).collect(),
        ..talk(vec![turn(false, vec![text("a")])])
    }),
    ("instructions", |count| Conversation {
        system: vec![text("a"); count],
        ..talk(vec![turn(false, vec![text("a")])])
    }),
    ("texts that end the answer", |count| Conversation {
        stop: vec![Text::plain("a"); count],
        ..talk(vec![turn(false, vec![text("a")])])
    }),
    ("escapes", |count| talk(vec![turn(false, vec![escapes(count)]), turn(true, vec![escapes(count)])])),
];

/// Big answers.
pub const REPLIES: &[Shape<Reply<'static>>] = &[
    ("texts", |count| answer(vec![text("a"); count])),
    ("calls", |count| answer((0..count).map(call).collect())),
    ("calls of one id", |count| answer((0..count).map(|_| call(0)).collect())),
    ("signed thoughts", |count| answer((0..count).flat_map(|place| [thought(place), text("a")]).collect())),
    ("signed calls", |count| answer((0..count).flat_map(|place| [thought(place), call(place)]).collect())),
    ("sources", |count| answer(vec![cited(count)])),
    ("sources of many texts", |count| answer((0..count).map(|_| cited(1)).collect())),
    ("escapes", |count| answer(vec![escapes(count)])),
    ("answers", |count| Reply {
        answers: (0..count).map(|_| Answer { parts: vec![text("a")], ..Answer::default() }).collect(),
        ..Reply::default()
    }),
];

fn talk(turns: Vec<Turn<'static>>) -> Conversation<'static> {
    Conversation { turns, max_output_tokens: Some(100), ..Conversation::default() }
}

fn turn(is_model: bool, parts: Vec<Part<'static>>) -> Turn<'static> {
    Turn { role: if is_model { Role::Assistant } else { Role::User }, name: None, parts }
}

fn answer(parts: Vec<Part<'static>>) -> Reply<'static> {
    Reply { answers: vec![Answer { parts, ..Answer::default() }], ..Reply::default() }
}

fn text(escaped: &'static str) -> Part<'static> {
    Part::Text(Words { text: Text::from_escaped(escaped), ..Words::default() })
}

fn escapes(count: usize) -> Part<'static> {
    let text = Text::owned_escaped(&"\\ud83d\\ude00\\\"\\\\\\n".repeat(count));
    Part::Text(Words { text, ..Words::default() })
}

fn id(place: usize) -> Text<'static> {
    Text::owned(&format!("call_{place}"))
}

fn call(place: usize) -> Part<'static> {
    let arguments = Arguments::Object(Cow::Borrowed("{\"a\":1}"));
    Part::ToolCall(Box::new(ToolCall { id: id(place), name: Text::plain("f"), arguments, cache: None }))
}

/// A signature of one provider after the other.
fn thought(place: usize) -> Part<'static> {
    let origins = [Origin::Google, Origin::Anthropic, Origin::OpenAi];
    let data = Text::owned(&format!("rs{place}:EqoB"));
    let signature = Some(Signature { origin: origins[place % 3], data });
    Part::Thought(Box::new(Thought { text: Text::plain("a"), signature, is_redacted: false }))
}

/// Calls, and results of which each answers the call at `of(place)`.
fn called(count: usize, of: impl Fn(usize) -> usize) -> Conversation<'static> {
    let result = |place| {
        let result = ToolResult {
            id: id(of(place)),
            name: None,
            content: vec![text("a")],
            is_error: false,
            cache: None,
        };
        Part::ToolResult(Box::new(result))
    };
    let calls = (0..count).map(call).collect();
    talk(vec![turn(false, vec![text("a")]), turn(true, calls), turn(false, (0..count).map(result).collect())])
}

fn tool(place: usize) -> Tool<'static> {
    Tool {
        name: Text::owned(&format!("f{place}")),
        description: None,
        parameters: Some(Cow::Borrowed("{\"type\":\"object\",\"properties\":{\"a\":{}}}")),
        strict: None,
        cache: None,
    }
}

/// A text with so many sources, each of a place of its own.
fn cited(count: usize) -> Part<'static> {
    let source = |place: u64| Citation {
        url: Some(Text::plain("https://example.com")),
        title: Some(Text::plain("a")),
        quote: None,
        place: Some((place % 9, place % 9 + 1)),
    };
    let citations = (0..count as u64).map(source).collect();
    Part::Text(Words { text: Text::plain("words with ten and more"), citations, cache: None })
}
