//! Conversations made up of what dialects can say.

use std::borrow::Cow;

use aisix::dialect::chat::{
    Arguments, CacheFor, Conversation, Format, Media, MediaKind, Origin, Part, Role, Sampling, Signature,
    Source, Thinking, Thought, Tool, ToolCall, ToolChoice, ToolResult, Turn, Words,
};
use aisix::dialect::json::Text;
use proptest::prelude::*;
use proptest::sample::select;

use super::can::Can;

const SCHEMAS: [&str; 3] = [
    r#"{"type":"object","properties":{}}"#,
    r#"{"type":"object","properties":{"city":{"type":"string","description":"A \"city\""}},"required":["city"]}"#,
    r#"{"properties":{"a":{"anyOf":[{"type":"null"},{"$ref":"b"}]}},"type":"object","$defs":{"b":{}}}"#,
];
const TOOLS: [&str; 3] = ["look_up", "get-weather", "f"];

/// Words that do not begin or end with space, in the spelling of our own writer or in another.
pub fn text() -> impl Strategy<Value = Text<'static>> {
    prop_oneof![
        4 => "[a-z][ a-zé😀\"\\\\/\n\t\u{1}{}:]{0,12}[a-z]".prop_map(|text| Text::owned(&text)),
        1 => select(&["\\u0041b", "\\u00e9\\ud83d\\ude00\\/a", "a\\u000ab", "\\b\\f\\r.", "data:x,y"][..])
            .prop_map(Text::owned_escaped),
    ]
}

/// One line.
fn line() -> impl Strategy<Value = Text<'static>> {
    "[a-z][ a-zé\"\\\\]{0,8}[a-z]".prop_map(|text| Text::owned(&text))
}

/// Perhaps something, where it can be said.
fn perhaps<T: std::fmt::Debug + Clone + 'static>(
    can: bool,
    what: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<T>> {
    if can { prop::option::of(what).boxed() } else { Just(None).boxed() }
}

fn mark(can: &Can) -> BoxedStrategy<Option<CacheFor>> {
    perhaps(can.mark, select(&[CacheFor::Short, CacheFor::Hour][..]))
}

fn words<T: Strategy<Value = Text<'static>>>(
    text: T,
    can: &Can,
) -> impl Strategy<Value = Part<'static>> + use<T> {
    (text, mark(can)).prop_map(|(text, cache)| Part::Text(Words { text, cache, ..Words::default() }))
}

fn picture(can: &Can) -> impl Strategy<Value = Part<'static>> + use<> {
    let detail = perhaps(can.detail, select(&["low", "high", "auto"][..]).prop_map(Text::plain));
    (any::<bool>(), detail, mark(can)).prop_map(|(is_here, detail, cache)| {
        let source = match is_here {
            true => inline("image/png"),
            false => Source::Url { url: Text::plain("https://example.com/a.png?b=\"c\""), media_type: None },
        };
        media(MediaKind::Image, source, None, detail, cache)
    })
}

fn inline(media_type: &'static str) -> Source<'static> {
    Source::Inline { media_type: Text::plain(media_type), data: Text::plain("aGk+/w==") }
}

fn media(
    kind: MediaKind,
    source: Source<'static>,
    name: Option<Text<'static>>,
    detail: Option<Text<'static>>,
    cache: Option<CacheFor>,
) -> Part<'static> {
    Part::Media(Box::new(Media { kind, source, name, detail, cache }))
}

fn document(can: &Can) -> impl Strategy<Value = Part<'static>> + use<> {
    let name = perhaps(can.name_files, Just(Text::plain("a \"b\".pdf")));
    let by_id = if can.refer_to_files { any::<bool>().boxed() } else { Just(false).boxed() };
    (by_id, name, mark(can)).prop_map(|(by_id, name, cache)| match by_id {
        true => media(MediaKind::Document, Source::File(Text::plain("file-1")), None, None, cache),
        false => media(MediaKind::Document, inline("application/pdf"), name, None, cache),
    })
}

/// What a user says or shows.
fn shown(can: &Can) -> BoxedStrategy<Part<'static>> {
    let sound = media(MediaKind::Audio, inline("audio/wav"), None, None, None);
    let sound = if can.hear { Just(sound).boxed() } else { picture(can).boxed() };
    prop_oneof![5 => words(text(), can), 2 => picture(can), 1 => document(can), 1 => sound].boxed()
}

pub fn arguments() -> impl Strategy<Value = Arguments<'static>> {
    let json = select(&["{}", r#"{"city":"Z\u00fcrich \"\\\n"}"#, r#"{"a":[1,{"b":null}],"c":1.50}"#][..]);
    (json, any::<bool>()).prop_map(|(json, is_text)| match is_text {
        true => Arguments::Text(Text::owned(json)),
        false => Arguments::Object(Cow::Borrowed(json)),
    })
}

/// Signatures that look like the provider's own.
pub fn signature(origin: Origin) -> Signature<'static> {
    let data = match origin {
        Origin::OpenAi => "rs_1:gAAA+/=",
        Origin::Anthropic | Origin::Google => "EqoB+/c=",
    };
    Signature { origin, data: Text::plain(data) }
}

type Called =
    (&'static str, Arguments<'static>, Option<CacheFor>, Vec<Part<'static>>, bool, Option<CacheFor>);

/// A call, and what the tool said.
fn called(can: &Can) -> impl Strategy<Value = Called> + use<> {
    let said = prop_oneof![
        3 => text().boxed(),
        1 => Just(Text::owned("{\"degrees\": 20.5, \"sky\":\"\\u00e9\"}")).boxed(),
    ];
    let plain = Can { mark: false, ..can.clone() };
    let said = prop::collection::vec(words(said, &plain), 0..3);
    let pictures = if can.show_results { 0..2 } else { 0..1 };
    let pictures = prop::collection::vec(picture(&plain), pictures);
    let content = (said, pictures).prop_map(|(said, pictures)| [said, pictures].concat());
    let failed = if can.fail { any::<bool>().boxed() } else { Just(false).boxed() };
    (select(&TOOLS[..]), arguments(), mark(can), content, failed, mark(can))
}

/// What the model says, what tools say to that, and what the user says then.
fn round(can: Can) -> impl Strategy<Value = Vec<Turn<'static>>> {
    let thought = perhaps(can.own_thoughts.is_some(), (text(), any::<bool>()));
    let instruct = if can.instruct_later { 0..2 } else { 0..1 };
    let instruct = prop::collection::vec(prop::collection::vec(words(line(), &can), 1..2), instruct);
    let user = prop::collection::vec(
        (perhaps(can.name, Just(Text::plain("Zoë"))), prop::collection::vec(shown(&can), 1..4)),
        1..3,
    );
    (thought, words(text(), &can), prop::collection::vec(called(&can), 0..3), user, instruct).prop_map(
        move |(thought, words, called, user, instruct)| {
            let mut model = thought_of(thought, can.own_thoughts);
            // Google's signature belongs to the part behind it.
            if called.is_empty() || can.own_thoughts != Some(Origin::Google) {
                model.push(words);
            }
            let mut turns = vec![Turn { role: Role::Assistant, name: None, parts: model }];
            let results = calls(called, &mut turns[0].parts);
            if !results.is_empty() {
                turns.push(Turn { role: Role::User, name: None, parts: results });
            }
            turns.extend(user.into_iter().map(|(name, parts)| Turn { role: Role::User, name, parts }));
            turns.extend(instruct.into_iter().map(|parts| Turn { role: Role::System, name: None, parts }));
            turns
        },
    )
}

fn thought_of(thought: Option<(Text<'static>, bool)>, own: Option<Origin>) -> Vec<Part<'static>> {
    let (Some((text, is_redacted)), Some(origin)) = (thought, own) else { return Vec::new() };
    let is_redacted = is_redacted && origin == Origin::Anthropic;
    // Thoughts that are hidden, or that only Google's signature stands for, have no words.
    let text = if is_redacted || origin == Origin::Google { Text::default() } else { text };
    vec![Part::Thought(Box::new(Thought { text, signature: Some(signature(origin)), is_redacted }))]
}

/// Adds the calls, without ids yet, and gives their results.
fn calls(called: Vec<Called>, parts: &mut Vec<Part<'static>>) -> Vec<Part<'static>> {
    let mut results = Vec::new();
    for (name, arguments, cache, content, is_error, result_cache) in called {
        let name = Text::plain(name);
        let id = Text::default();
        let call = ToolCall { id: id.clone(), name: name.clone(), arguments, cache };
        parts.push(Part::ToolCall(Box::new(call)));
        // Only Gemini names the tool here; other writers look for the call.
        let result = ToolResult { id, name: None, content, is_error, cache: result_cache };
        results.push(Part::ToolResult(Box::new(result)));
    }
    results
}

/// Numbers calls and results alike: results stand in the order of their calls.
fn number(turns: &mut [Turn<'static>]) {
    let (mut calls, mut results) = (0, 0);
    let next = |count: &mut usize| {
        *count += 1;
        Text::owned(&format!("call/{count}"))
    };
    for part in turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        match part {
            Part::ToolCall(call) => call.id = next(&mut calls),
            Part::ToolResult(result) => result.id = next(&mut results),
            _ => {}
        }
    }
}

fn tool(can: &Can) -> impl Strategy<Value = Tool<'static>> + use<> {
    (text(), select(&SCHEMAS[..]), perhaps(can.be_strict, Just(true)), mark(can)).prop_map(
        |(description, schema, strict, cache)| Tool {
            name: Text::default(),
            description: Some(description),
            parameters: Some(Cow::Borrowed(schema)),
            strict,
            cache,
        },
    )
}

type Offered = (Vec<Tool<'static>>, Option<ToolChoice<'static>>, Option<bool>);

/// Tools, and which of them to call.
fn offered(can: &Can) -> impl Strategy<Value = Offered> + use<> {
    let choice = select(&[0_usize, 1, 2, 3, 4][..]);
    (prop::collection::vec(tool(can), 0..4), choice, perhaps(can.queue_calls, any::<bool>())).prop_map(
        |(mut tools, choice, parallel)| {
            tools.iter_mut().zip(TOOLS).for_each(|(tool, name)| tool.name = Text::plain(name));
            let choice = match (choice, tools.is_empty()) {
                (0, _) | (_, true) => None,
                (1, _) => Some(ToolChoice::Auto),
                (2, _) => Some(ToolChoice::Required),
                (3, _) => Some(ToolChoice::Named(Text::plain(TOOLS[0]))),
                _ => Some(ToolChoice::None),
            };
            // Where no tool may be called, it means nothing.
            let parallel = parallel.filter(|_| choice != Some(ToolChoice::None));
            (tools, choice, parallel)
        },
    )
}

fn sampling(can: &Can) -> impl Strategy<Value = Sampling<'static>> + use<> {
    let number = |can, numbers: &'static [&'static str]| perhaps(can, select(numbers));
    (
        number(true, &["0", "0.70", "1e0"]),
        number(true, &["0.5", "1"]),
        number(can.top_k, &["1", "40"]),
        number(can.penalise, &["7", "-1"]),
        number(can.penalise, &["0.5", "-2"]),
        number(can.penalise, &["0", "1.5"]),
    )
        .prop_map(|(temperature, top_p, top_k, seed, presence_penalty, frequency_penalty)| Sampling {
            temperature,
            top_p,
            top_k,
            seed,
            presence_penalty,
            frequency_penalty,
        })
}

fn format(can: &Can) -> BoxedStrategy<Format<'static>> {
    let (named, any_object) = (can.name_schemas, can.any_object);
    let schema = (select(&SCHEMAS[..]), line(), any::<bool>()).prop_map(move |(schema, words, strict)| {
        let schema = Cow::Borrowed(schema);
        let (name, description) = (Text::plain("shape"), words);
        match named {
            true => Format::JsonSchema {
                name: Some(name),
                description: Some(description),
                schema,
                strict: Some(strict),
            },
            false => Format::JsonSchema { name: None, description: None, schema, strict: None },
        }
    });
    let object = Just(if any_object { Format::JsonObject } else { Format::Text });
    prop_oneof![2 => Just(Format::Text), 1 => object, 1 => schema].boxed()
}

/// A conversation of what can be said.
pub fn conversation(can: &Can) -> impl Strategy<Value = Conversation<'static>> + use<> {
    let talk = (
        prop::collection::vec(words(line(), can), 0..3),
        prop::collection::vec(shown(can), 1..4),
        prop::collection::vec(round(can.clone()), 0..3),
    );
    let thinking = perhaps(!can.think.is_empty(), select([&can.think[..], &[Thinking::Off]].concat()));
    let shows = select([&can.show_thoughts[..], &[None][..can.show_thoughts.is_empty().into()]].concat());
    let knows_shows = !can.show_thoughts.is_empty();
    let rest = (
        perhaps(can.repeat, 2_u64..4),
        perhaps(can.weigh, select(&[0_u64, 3][..])),
        perhaps(can.user, line()),
        perhaps(
            can.openai,
            select(&[("metadata", r#"{"a":"b"}"#), ("store", "true"), ("service_tier", "\"flex\"")][..]),
        ),
        perhaps(can.stream, Just(true)),
        prop::collection::vec(line(), if can.stop { 0..3 } else { 0..1 }),
    );
    let asked = (offered(can), sampling(can), format(can), thinking, shows, 10_000_u64..20_000);
    (talk, asked, rest).prop_map(move |((system, first, rounds), asked, rest)| {
        let ((tools, choice, parallel), sampling, format, thinking, shows, most) = asked;
        let (answers, logprobs, user, openai, stream, stop) = rest;
        let mut turns = vec![Turn { role: Role::User, name: None, parts: first }];
        turns.extend(rounds.into_iter().flatten());
        number(&mut turns);
        // Anthropic's models neither take figures nor can be made to call a tool while they think.
        let thinking = thinking.filter(|own| knows_shows || *own == Thinking::Off);
        let thinks = thinking.is_some_and(|own| own != Thinking::Off);
        let is_forced = matches!(choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
        // Nor do they go on thinking about an answer that they began without.
        let thinking = thinking.filter(|_| !thinks || (!is_forced && turns.len() == 1));
        let thinks = thinks && thinking.is_some();
        Conversation {
            system,
            turns,
            tools,
            tool_choice: choice,
            parallel_tool_calls: parallel,
            max_output_tokens: Some(most),
            sampling: if thinks { Sampling::default() } else { sampling },
            stop,
            format,
            thinking,
            shows_thoughts: shows.filter(|_| thinks),
            answers,
            logprobs,
            user,
            openai: openai.into_iter().collect(),
            is_stream: stream.unwrap_or(false),
        }
    })
}
