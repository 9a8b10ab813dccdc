//! What is asked for: read from callers, and written to Google.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{object, written};
use crate::dialect::chat::{
    Arguments, CacheFor, Citation, Conversation, Dropped, Effort, Format, Media, MediaKind, Origin, Part,
    Role, Signature, Source, Thinking, Thought, Tool, ToolCall, ToolChoice, ToolResult, Turn, Words,
};
use crate::dialect::gemini::read_request;
use crate::dialect::json::Text;

const OLD: &str = "gemini-2.5-flash";
const NEW: &str = "gemini-3-pro-preview";

/// Reads a request whose contents are `hi` and whose other members are given, and tells what was dropped.
fn with_read<T>(members: &Value, check: impl FnOnce(Conversation<'_>) -> T) -> (T, String) {
    let mut request = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    for (name, value) in members.as_object().expect("members") {
        request[name] = value.clone();
    }
    let raw = object(&request.to_string());
    let mut dropped = Dropped::default();
    let conversation = read_request(&raw, &mut dropped).expect("reads");
    (check(conversation), dropped.to_line())
}

fn text(text: &str) -> Part<'_> {
    Part::Text(Words { text: Text::plain(text), ..Words::default() })
}

fn turn<'a>(role: Role, parts: Vec<Part<'a>>) -> Turn<'a> {
    Turn { role, name: None, parts }
}

fn call<'a>(id: &'a str, name: &'a str) -> Part<'a> {
    let arguments = Arguments::Text(Text::plain(r#"{"a":1}"#));
    let (id, name) = (Text::plain(id), Text::plain(name));
    Part::ToolCall(Box::new(ToolCall { id, name, arguments, cache: None }))
}

fn result<'a>(id: &'a str, content: Vec<Part<'a>>, is_error: bool) -> Part<'a> {
    Part::ToolResult(Box::new(ToolResult { id: Text::plain(id), name: None, content, is_error, cache: None }))
}

fn thought<'a>(words: &'a str, origin: Origin, data: &'a str) -> Part<'a> {
    let signature = Some(Signature { origin, data: Text::plain(data) });
    Part::Thought(Box::new(Thought { text: Text::plain(words), signature, is_redacted: false }))
}

fn media<'a>(kind: MediaKind, source: Source<'a>) -> Part<'a> {
    Part::Media(Box::new(Media { kind, source, name: None, detail: None, cache: None }))
}

fn url(url: &str) -> Source<'_> {
    Source::Url { url: Text::plain(url), media_type: None }
}

fn contents(turns: Vec<Turn<'_>>, model: &str) -> Value {
    written(&Conversation { turns, ..Conversation::default() }, model).0["contents"].clone()
}

#[test]
fn unusable_requests_say_what_is_wrong_and_where() {
    for (body, param, words) in [
        (json!({}), "contents", "is missing"),
        (json!({"contents": null}), "contents", "is missing"),
        (json!({"contents": []}), "contents", "must not be empty"),
        (json!({"contents": "secret"}), "contents", "must be an array"),
        (
            json!({"contents": [{"parts": [{"text": "a"}]}, {"parts": [{"text": 7}]}]}),
            "contents",
            "contents[1]",
        ),
        (json!({"contents": [{"role": "secret", "parts": []}]}), "contents", "contents[0].role"),
        (json!({"contents": [{"parts": [{"functionCall": {}}]}]}), "contents", "without \"name\""),
        (
            json!({"contents": [{"parts": [{"functionCall": {"name": "f", "args": "secret"}}]}]}),
            "contents",
            "\"args\"",
        ),
        (json!({"contents": {"parts": []}, "cachedContent": "secret"}), "cachedContent", "cachedContent"),
        (
            json!({"contents": {"parts": []}, "tools": [{"functionDeclarations": [{}]}]}),
            "tools",
            "needs a \"name\"",
        ),
        (
            json!({"contents": {"parts": []}, "generationConfig": {"topK": "secret"}}),
            "generationConfig",
            "types",
        ),
        (json!({"contents": {"parts": []}, "toolConfig": 7}), "toolConfig", "an object"),
        (json!({"contents": {"parts": []}, "systemInstruction": 7}), "systemInstruction", "an object"),
    ] {
        let raw = object(&body.to_string());
        let error = read_request(&raw, &mut Dropped::default()).expect_err("unusable");
        let crate::error::RequestError::Invalid { message, param: at } = error else { panic!("{body}") };
        assert_eq!(at, Some(param), "{body}");
        assert!(message.contains(words) && !message.contains("secret"), "{body}: {message}");
    }
}

#[test]
fn both_spellings_are_read() {
    let snake = json!({
        "system_instruction": {"parts": {"text": "s"}},
        "generation_config": {"max_output_tokens": 5, "stop_sequences": ["x"], "thinking_config": {"thinking_budget": -1}},
        "tool_config": {"function_calling_config": {"mode": "any", "allowed_function_names": ["f"]}},
        "tools": {"function_declarations": {"name": "f", "parameters_json_schema": {"type": "object"}}},
    });
    let (_, dropped) = with_read(&snake, |conversation| {
        assert_eq!(conversation.system, [text("s")]);
        assert_eq!(conversation.max_output_tokens, Some(5));
        assert_eq!(conversation.stop, [Text::plain("x")]);
        assert_eq!(conversation.thinking, Some(Thinking::Adaptive));
        assert_eq!(conversation.tool_choice, Some(ToolChoice::Named(Text::plain("f"))));
        assert_eq!(conversation.tools[0].parameters.as_deref(), Some(r#"{"type":"object"}"#));
    });
    assert_eq!(dropped, "");
}

#[test]
fn what_is_not_carried_is_named() {
    for (members, names) in [
        (json!({"safetySettings": [], "labels": {"a": "b"}, "model": "m"}), "labels, safetySettings"),
        (
            json!({"tools": [{"googleSearch": {}}, {"codeExecution": {}, "urlContext": null}]}),
            "tools.googleSearch, tools.codeExecution",
        ),
        (
            json!({"generationConfig": {"speechConfig": {}, "mediaResolution": "LOW"}}),
            "generationConfig.mediaResolution, generationConfig.speechConfig",
        ),
        (json!({"generationConfig": {"responseModalities": ["TEXT"]}}), ""),
        (
            json!({"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}}),
            "generationConfig.responseModalities",
        ),
        (
            json!({"contents": [{"parts": [{"executableCode": {}}, {"text": "a", "videoMetadata": {}}]}]}),
            "contents.parts.executableCode, contents.parts.videoMetadata",
        ),
        (
            json!({"toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}, "x": 1}}),
            "toolConfig.x, toolConfig.functionCallingConfig.mode",
        ),
        (
            json!({"tools": [{"functionDeclarations": [{"name": "f", "behavior": "x"}]}]}),
            "tools.functionDeclarations.behavior",
        ),
    ] {
        assert_eq!(with_read(&members, |_| ()).1, names, "{members}");
    }
}

#[test]
fn thinking_and_format_are_read() {
    for (config, thinking, shows) in [
        (json!({"thinkingBudget": 0}), Some(Thinking::Off), None),
        (json!({"thinkingBudget": 2048, "includeThoughts": true}), Some(Thinking::Budget(2048)), Some(true)),
        (json!({"thinkingLevel": "HIGH"}), Some(Thinking::Effort(Effort::High)), None),
        (json!({"includeThoughts": false}), None, Some(false)),
    ] {
        let members = json!({"generationConfig": {"thinkingConfig": config}});
        let (found, _) =
            with_read(&members, |conversation| (conversation.thinking, conversation.shows_thoughts));
        assert_eq!(found, (thinking, shows), "{config}");
    }
    let schema = |schema: &str| Format::JsonSchema {
        name: None,
        description: None,
        schema: Cow::Owned(schema.to_owned()),
        strict: None,
    };
    for (config, format) in [
        (json!({"responseMimeType": "application/json"}), Format::JsonObject),
        (json!({"responseMimeType": "text/plain"}), Format::Text),
        (json!({"responseSchema": {"type": "STRING"}}), schema(r#"{"type":"string"}"#)),
        (json!({"responseJsonSchema": {"$ref": "#"}}), schema(r##"{"$ref":"#"}"##)),
    ] {
        let (is_so, _) = with_read(&json!({"generationConfig": config}), |found| found.format == format);
        assert!(is_so, "{config}");
    }
}

#[test]
fn several_allowed_functions_are_all_or_are_told() {
    for (allowed, dropped) in [
        (json!(["f", "g"]), ""),
        (json!(["f", "h"]), "toolConfig.functionCallingConfig.allowedFunctionNames"),
    ] {
        let members = json!({
            "tools": [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": allowed}},
        });
        let (choice, lost) =
            with_read(&members, |conversation| conversation.tool_choice == Some(ToolChoice::Required));
        assert_eq!((choice, lost.as_str()), (true, dropped));
    }
}

#[test]
fn calls_without_ids_and_their_results_find_each_other() {
    let members = json!({"contents": [
        {"role": "model", "parts": [
            {"functionCall": {"name": "f"}}, {"functionCall": {"name": "g", "id": "own"}}, {"functionCall": {"name": "f"}}]},
        {"role": "function", "parts": [
            {"functionResponse": {"name": "f", "response": {"result": "1"}}},
            {"functionResponse": {"name": "g", "id": "own", "response": {"output": "2"}}},
            {"functionResponse": {"name": "f", "response": {"error": "3"}}},
            {"functionResponse": {"name": "h", "response": {"result": {"x": 4}}}}]},
    ]});
    with_read(&members, |conversation| {
        let ids = conversation.turns[0].parts.iter().map(|part| match part {
            Part::ToolCall(call) => call.id.decode().into_owned(),
            other => panic!("{other:?}"),
        });
        let ids: Vec<_> = ids.collect();
        assert_eq!(ids, ["call_0", "own", "call_2"]);
        let results = conversation.turns[1].parts.iter().map(|part| match part {
            Part::ToolResult(result) => match result.content.as_slice() {
                [Part::Text(words)] => (result.id.decode(), words.text.decode(), result.is_error),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        });
        let results: Vec<_> = results.collect();
        let expected = [
            ("call_0", "1", false),
            ("own", "2", false),
            ("call_2", "3", true),
            ("call_of_1", r#"{"result":{"x":4}}"#, false),
        ];
        assert_eq!(results, expected.map(|(id, said, failed)| (id.into(), said.into(), failed)));
    });
}

#[test]
fn signatures_are_read_before_their_part_and_thoughts_as_one() {
    let members = json!({"contents": [{"role": "model", "parts": [
        {"text": "a", "thought": true}, {"text": "b", "thought": true}, {"text": "", "thought": true, "thoughtSignature": "AAAA"},
        {"text": "", "thoughtSignature": "BBBB"}, {"functionCall": {"name": "f"}, "thought_signature": "CCCC"}]}]});
    with_read(&members, |conversation| {
        let parts = &conversation.turns[0].parts;
        assert_eq!(parts[0], thought("ab", Origin::Google, "AAAA"));
        assert_eq!(parts[1], thought("", Origin::Google, "BBBB"));
        assert_eq!(parts[2], thought("", Origin::Google, "CCCC"));
        assert!(matches!(parts[3], Part::ToolCall(_)));
        assert_eq!(parts.len(), 4);
    });
}

#[test]
fn roles_are_joined_and_results_stand_right_after_their_calls() {
    let turns = vec![
        turn(Role::User, vec![text("q")]),
        turn(Role::System, vec![text("s")]),
        turn(Role::Assistant, vec![text("t"), call("1", "f"), call("2", "g")]),
        turn(Role::User, vec![text("next"), result("2", vec![text("two")], false)]),
        turn(Role::User, vec![result("1", vec![text(r#"{"one":1}"#)], false), result("9", vec![], true)]),
    ];
    let expected = json!([
        {"role": "user", "parts": [{"text": "q"}, {"text": "s"}]},
        {"role": "model", "parts": [
            {"text": "t"}, {"functionCall": {"name": "f", "args": {"a": 1}}}, {"functionCall": {"name": "g", "args": {"a": 1}}}]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "g", "response": {"result": "two"}}},
            {"functionResponse": {"name": "f", "response": {"one": 1}}},
            {"functionResponse": {"name": "unknown", "response": {"error": ""}}}]},
        {"role": "user", "parts": [{"text": "next"}]},
    ]);
    assert_eq!(contents(turns, OLD), expected);
}

#[test]
fn a_result_that_nobody_asked_for_is_refused_by_its_id() {
    let refused =
        |turns| crate::dialect::gemini::refuse_orphans(&Conversation { turns, ..Conversation::default() });
    let call = || turn(Role::Assistant, vec![call("1", "f")]);
    let said = |id| turn(Role::User, vec![result(id, vec![text("a")], false)]);
    assert!(refused(vec![call(), said("1")]).is_ok());
    for turns in [vec![call(), said("2")], vec![said("2"), call()]] {
        assert!(refused(turns).expect_err("an orphan").to_string().contains("\"2\""));
    }
}

#[test]
fn a_conversation_of_only_instructions_becomes_a_turn() {
    let system = vec![text("be brief")];
    let (request, _) = written(&Conversation { system, ..Conversation::default() }, OLD);
    assert_eq!(request["contents"], json!([{"role": "user", "parts": [{"text": "be brief"}]}]));
    assert_eq!(request["systemInstruction"], Value::Null);
    let (request, _) = written(&Conversation::default(), OLD);
    assert_eq!(request["contents"], json!([{"role": "user", "parts": [{"text": ""}]}]));
}

#[test]
fn a_signature_goes_to_the_call_and_foreign_thoughts_stay_away() {
    let skip = "skip_thought_signature_validator";
    let call_of = |signature: &str| json!({"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": signature});
    for (parts, model, expected) in [
        (
            vec![thought("", Origin::Google, "AA=="), text("t"), call("1", "f")],
            NEW,
            vec![json!({"text": "t"}), call_of("AA==")],
        ),
        (
            vec![thought("mm", Origin::Google, "AA=="), call("1", "f")],
            OLD,
            vec![json!({"text": "mm", "thought": true}), call_of("AA==")],
        ),
        (
            vec![thought("", Origin::Google, "AA=="), text("t")],
            OLD,
            vec![json!({"text": "t", "thoughtSignature": "AA=="})],
        ),
        (
            vec![text("t"), thought("", Origin::Google, "AA==")],
            OLD,
            vec![json!({"text": "t"}), json!({"text": "", "thoughtSignature": "AA=="})],
        ),
        (
            vec![
                thought("", Origin::Google, "AA=="),
                text("t"),
                thought("", Origin::Google, "BB=="),
                call("1", "f"),
            ],
            OLD,
            vec![json!({"text": "t", "thoughtSignature": "AA=="}), call_of("BB==")],
        ),
        (vec![thought("x", Origin::Anthropic, "ZZ"), call("1", "f")], NEW, vec![call_of(skip)]),
        (vec![call("1", "f")], OLD, vec![json!({"functionCall": {"name": "f", "args": {"a": 1}}})]),
    ] {
        let turns = vec![turn(Role::User, vec![text("q")]), turn(Role::Assistant, parts)];
        assert_eq!(contents(turns, model)[1]["parts"], json!(expected));
    }
}

#[test]
fn media_are_bytes_or_addresses() {
    let inline = Source::Inline { media_type: Text::plain("image/png"), data: Text::plain("AAAA") };
    for (kind, source, part) in [
        (MediaKind::Image, inline, json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}})),
        (
            MediaKind::Image,
            url("data:image/gif;base64,BBBB"),
            json!({"inlineData": {"mimeType": "image/gif", "data": "BBBB"}}),
        ),
        (
            MediaKind::Audio,
            url("gs://b/a.wav"),
            json!({"fileData": {"mimeType": "audio/wav", "fileUri": "gs://b/a.wav"}}),
        ),
        (
            MediaKind::Video,
            url("https://youtu.be/x"),
            json!({"fileData": {"mimeType": "video/mp4", "fileUri": "https://youtu.be/x"}}),
        ),
        (MediaKind::Document, Source::Plain(Text::plain("words")), json!({"text": "words"})),
    ] {
        let turns = vec![turn(Role::User, vec![media(kind, source)])];
        assert_eq!(contents(turns, OLD), json!([{"role": "user", "parts": [part]}]));
    }
}

#[test]
fn pictures_from_tools_stand_in_the_result_or_follow_it() {
    let picture = || Source::Inline { media_type: Text::plain("image/png"), data: Text::plain("AAAA") };
    let parts = || vec![text("see"), media(MediaKind::Image, picture())];
    let turns = || {
        vec![turn(Role::Assistant, vec![call("1", "f")]), turn(Role::User, vec![result("1", parts(), false)])]
    };
    let blob = json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}});
    let response = json!({"name": "f", "response": {"result": "see"}});
    let old = contents(turns(), OLD);
    assert_eq!(old[1]["parts"], json!([{"functionResponse": response}]));
    assert_eq!(old[2], json!({"role": "user", "parts": [blob]}));
    let new = contents(turns(), NEW);
    let response = json!({"name": "f", "response": {"result": "see"}, "parts": [blob]});
    assert_eq!(new[1]["parts"], json!([{"functionResponse": response}]));
    assert_eq!(new.as_array().map(Vec::len), Some(2));
}

#[test]
fn tools_take_json_schema_as_it_is() {
    let schema = r##"{"type":"object","$defs":{},"additionalProperties":false,"properties":{"a":{"$ref":"#/$defs/x"}}}"##;
    let tool = |strict, cache| Tool {
        name: Text::plain("f"),
        description: None,
        parameters: Some(Cow::Borrowed(schema)),
        strict,
        cache,
    };
    for (choice, calling) in [
        (ToolChoice::Auto, json!({"mode": "AUTO"})),
        (ToolChoice::None, json!({"mode": "NONE"})),
        (ToolChoice::Required, json!({"mode": "ANY"})),
        (ToolChoice::Named(Text::plain("f")), json!({"mode": "ANY", "allowedFunctionNames": ["f"]})),
    ] {
        let tools = vec![tool(Some(true), Some(CacheFor::Short))];
        let parallel_tool_calls = Some(false);
        let tool_choice = Some(choice);
        let conversation =
            Conversation { tools, tool_choice, parallel_tool_calls, ..Conversation::default() };
        let (request, dropped) = written(&conversation, OLD);
        assert_eq!(request["toolConfig"]["functionCallingConfig"], calling);
        let parameters = serde_json::from_str::<Value>(schema).expect("JSON");
        assert_eq!(
            request["tools"],
            json!([{"functionDeclarations": [{"name": "f", "parametersJsonSchema": parameters}]}])
        );
        assert_eq!(dropped, "cache_control, tools.strict, parallel_tool_calls");
    }
    let tool_choice = Some(ToolChoice::Required);
    let (request, _) = written(&Conversation { tool_choice, ..Conversation::default() }, OLD);
    assert_eq!(request["toolConfig"], Value::Null);
}

#[test]
fn settings_are_written_and_what_gemini_cannot_say_is_named() {
    let mut conversation = Conversation {
        stop: ["1", "2", "3", "4", "5", "6"].map(Text::plain).to_vec(),
        max_output_tokens: Some(9),
        answers: Some(2),
        logprobs: Some(3),
        thinking: Some(Thinking::Effort(Effort::Low)),
        shows_thoughts: Some(true),
        user: Some(Text::plain("u")),
        format: Format::JsonObject,
        ..Conversation::default()
    };
    conversation.sampling.temperature = Some("0.50");
    conversation.sampling.seed = Some("9999999999");
    conversation.openai.push(("metadata", "{}"));
    let (request, dropped) = written(&conversation, OLD);
    assert_eq!(dropped, "seed, stop, user, metadata");
    let expected = json!({
        "temperature": 0.5, "stopSequences": ["1", "2", "3", "4", "5"], "maxOutputTokens": 9, "candidateCount": 2,
        "responseLogprobs": true, "logprobs": 3, "responseMimeType": "application/json",
        "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 1024},
    });
    assert_eq!(request["generationConfig"], expected);
    let (request, _) = written(&conversation, NEW);
    assert_eq!(
        request["generationConfig"]["thinkingConfig"],
        json!({"includeThoughts": true, "thinkingLevel": "low"})
    );
    let (request, dropped) = written(&conversation, "gemini-2.0-flash");
    assert_eq!(request["generationConfig"]["thinkingConfig"], Value::Null);
    assert!(dropped.contains("reasoning_effort"));
}

#[test]
fn marks_and_files_that_gemini_does_not_know_are_named() {
    let citations = vec![Citation::default()];
    let words = Words { text: Text::plain("t"), citations, cache: Some(CacheFor::Hour) };
    let picture = Media {
        kind: MediaKind::Image,
        source: url("https://h/a.png"),
        name: Some(Text::plain("n")),
        detail: Some(Text::plain("high")),
        cache: None,
    };
    let parts = vec![
        Part::Text(words),
        Part::Media(Box::new(picture)),
        media(MediaKind::Document, Source::File(Text::plain("file-1"))),
    ];
    let turns = vec![Turn { role: Role::User, name: Some(Text::plain("n")), parts }];
    let (request, dropped) = written(&Conversation { turns, ..Conversation::default() }, OLD);
    assert_eq!(dropped, "messages.name, cache_control, citations, detail, filename, file_id");
    assert_eq!(request["contents"][0]["parts"].as_array().map(Vec::len), Some(2));
}
