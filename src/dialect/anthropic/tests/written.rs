//! What is written to the provider, by table.

use std::borrow::Cow;

use serde_json::json;

use super::super::super::chat::{
    Arguments, CacheFor, Effort, Format, Media, MediaKind, Origin, Part, Role, Sampling, Signature, Source,
    Thinking, Thought, Tool, ToolCall, ToolChoice, ToolResult, Turn, Words,
};
use super::super::super::json::Text;
use super::*;

const OLDER: &str = "claude-sonnet-4-20250514";

fn text(words: &'static str) -> Part<'static> {
    Part::Text(Words { text: Text::plain(words), ..Words::default() })
}

fn turn(role: Role, parts: Vec<Part<'static>>) -> Turn<'static> {
    Turn { role, name: None, parts }
}

fn call(id: &'static str) -> Part<'static> {
    let arguments = Arguments::Text(Text::plain(r#"{"a":1}"#));
    Part::ToolCall(Box::new(ToolCall { id: Text::plain(id), name: Text::plain("f"), arguments, cache: None }))
}

fn result(id: &'static str, content: Vec<Part<'static>>) -> Part<'static> {
    let id = Text::plain(id);
    Part::ToolResult(Box::new(ToolResult { id, name: None, content, is_error: false, cache: None }))
}

fn thought(origin: Origin) -> Part<'static> {
    let signature = Some(Signature { origin, data: Text::plain("s") });
    Part::Thought(Box::new(Thought { text: Text::plain("hm"), signature, is_redacted: false }))
}

fn tool() -> Tool<'static> {
    let name = Text::plain("f");
    Tool { name, description: None, parameters: None, strict: None, cache: None }
}

fn saying(turns: Vec<Turn<'static>>) -> Conversation<'static> {
    Conversation { turns, ..Conversation::default() }
}

fn hello() -> Conversation<'static> {
    saying(vec![turn(Role::User, vec![text("hi")])])
}

/// The messages of a conversation, and what was dropped.
fn messages(turns: Vec<Turn<'static>>) -> (Value, String) {
    let (body, dropped) = written(&saying(turns), OLDER);
    (body["messages"].clone(), dropped)
}

#[test]
fn sides_take_turns_and_results_come_first() {
    let (messages, dropped) = messages(vec![
        turn(Role::User, vec![text("a")]),
        turn(Role::System, vec![text("b"), text(" \n")]),
        turn(Role::Assistant, vec![call("t1"), call("t2")]),
        turn(Role::User, vec![text("c"), result("t1", vec![text("1")])]),
        turn(Role::User, vec![result("t2", vec![])]),
        turn(Role::Assistant, vec![thought(Origin::OpenAi), text("")]),
        turn(Role::User, vec![text("d")]),
        turn(Role::Assistant, vec![text("prefill")]),
    ]);
    let text = |text: &str| json!({"type": "text", "text": text});
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {"a": 1}});
    let wanted = json!([
        {"role": "user", "content": [text("a"), text("b")]},
        {"role": "assistant", "content": [call("t1"), call("t2")]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "1"},
            {"type": "tool_result", "tool_use_id": "t2"},
            text("c"), text("d"),
        ]},
        {"role": "assistant", "content": [text("prefill")]},
    ]);
    assert_eq!((messages, dropped.as_str()), (wanted, "messages.thinking"));
}

#[test]
fn instructions_alone_become_the_message_that_is_asked_for() {
    let mut conversation = Conversation::default();
    conversation.turns.push(turn(Role::User, vec![text("")]));
    assert!(refuse_silence(&conversation).is_err());
    conversation.system.extend([text(" "), text("be brief")]);
    assert!(refuse_silence(&conversation).is_ok());
    let (body, dropped) = written(&conversation, "claude-sonnet-4-5");
    let wanted = json!([{"role": "user", "content": [{"type": "text", "text": "be brief"}]}]);
    assert_eq!((&body["messages"], &body["system"], &*dropped), (&wanted, &Value::Null, ""));
    conversation.system.clear();
    conversation.turns.push(turn(Role::Assistant, vec![thought(Origin::Anthropic)]));
    assert!(refuse_silence(&conversation).is_ok());
}

#[test]
fn only_anthropics_own_thoughts_go_back() {
    let (messages, dropped) = messages(vec![turn(
        Role::Assistant,
        vec![thought(Origin::Google), thought(Origin::Anthropic), Part::Refusal(Text::plain("no"))],
    )]);
    let wanted = json!([
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "no"},
    ]);
    assert_eq!((&messages[0]["content"], dropped.as_str()), (&wanted, "messages.thinking"));
}

#[test]
fn ids_are_made_to_fit_the_same_way_in_call_and_result() {
    let (messages, _) = messages(vec![
        turn(Role::Assistant, vec![call("a.b"), call("a:b"), call("call_1-Z")]),
        turn(Role::User, vec![result("a.b", vec![]), result("a:b", vec![]), result("call_1-Z", vec![])]),
    ]);
    let id = |message: usize, place: usize, name: &str| messages[message]["content"][place][name].clone();
    for place in 0..3 {
        assert_eq!(id(0, place, "id"), id(1, place, "tool_use_id"));
        let fit = id(0, place, "id");
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        assert!(fit.as_str().expect("an id").bytes().all(is_fit), "{fit}");
    }
    assert_ne!(id(0, 0, "id"), id(0, 1, "id"));
    assert_eq!(id(0, 2, "id"), "call_1-Z");
}

fn media(kind: MediaKind, source: Source<'static>) -> Part<'static> {
    Part::Media(Box::new(Media { kind, source, name: None, detail: None, cache: None }))
}

#[test]
fn media_is_written_where_anthropic_has_a_form_for_it() {
    let inline =
        |media_type, data| Source::Inline { media_type: Text::plain(media_type), data: Text::plain(data) };
    for (part, wanted, dropped) in [
        (
            media(MediaKind::Image, inline("image/png", "AA==")),
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}),
            "",
        ),
        (
            media(MediaKind::Image, Source::Url { url: Text::plain("u"), media_type: None }),
            json!({"type": "image", "source": {"type": "url", "url": "u"}}),
            "",
        ),
        (
            media(MediaKind::Document, Source::Plain(Text::plain("t"))),
            json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "t"}}),
            "",
        ),
        (
            media(MediaKind::Document, inline("text/csv", "YSxiCg==")),
            json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b\n"}}),
            "",
        ),
        (media(MediaKind::Document, inline("application/zip", "AA==")), Value::Null, "messages.content.file"),
        (media(MediaKind::Audio, inline("audio/wav", "AA==")), Value::Null, "messages.content.input_audio"),
        (media(MediaKind::Video, inline("video/mp4", "AA==")), Value::Null, "messages.content.video_url"),
    ] {
        let (messages, names) = messages(vec![turn(Role::User, vec![part])]);
        assert_eq!((&messages[0]["content"][0], names.as_str()), (&wanted, dropped));
    }
    let shown = media(MediaKind::Image, Source::File(Text::plain("f")));
    let (messages, names) = messages(vec![turn(Role::Assistant, vec![shown])]);
    assert_eq!((messages, names.as_str()), (json!([]), "messages.content.image_url"));
}

#[test]
fn instructions_are_one_text_or_marked_blocks() {
    let mut conversation = hello();
    conversation.system = vec![text("a"), text(" "), text("b")];
    assert_eq!(written(&conversation, OLDER).0["system"], "a\n\nb");
    let marked = Words { text: Text::plain("c"), cache: Some(CacheFor::Hour), ..Words::default() };
    conversation.system.push(Part::Text(marked));
    let system = &written(&conversation, OLDER).0["system"];
    assert_eq!(
        system[2],
        json!({"type": "text", "text": "c", "cache_control": {"type": "ephemeral", "ttl": "1h"}})
    );
    conversation.system = vec![text("\n")];
    assert_eq!(written(&conversation, OLDER).0.get("system"), None);
}

#[test]
fn thinking_is_asked_for_as_the_models_generation_takes_it() {
    let adaptive = |effort: &str| (json!({"type": "adaptive"}), json!({"effort": effort}));
    let enabled = |budget: u64| (json!({"type": "enabled", "budget_tokens": budget}), Value::Null);
    for (model, wanted, (thinking, output), dropped) in [
        (OLDER, Thinking::Budget(1500), enabled(1500), ""),
        (OLDER, Thinking::Budget(10), enabled(1024), ""),
        (OLDER, Thinking::Effort(Effort::Minimal), enabled(1024), ""),
        (OLDER, Thinking::Adaptive, enabled(2048), ""),
        (OLDER, Thinking::Off, (json!({"type": "disabled"}), Value::Null), ""),
        ("claude-opus-4-6", Thinking::Budget(2048), enabled(2048), ""),
        ("claude-opus-4-6", Thinking::Effort(Effort::Max), adaptive("max"), ""),
        ("claude-sonnet-5", Thinking::Budget(2048), adaptive("medium"), ""),
        ("claude-sonnet-5", Thinking::Off, (Value::Null, Value::Null), "reasoning_effort"),
        ("other", Thinking::Adaptive, (json!({"type": "adaptive"}), Value::Null), ""),
    ] {
        let (body, names) = written(&Conversation { thinking: Some(wanted), ..hello() }, model);
        assert_eq!((&body["thinking"], &body["output_config"]), (&thinking, &output), "{model} {wanted:?}");
        assert_eq!(names, dropped, "{model} {wanted:?}");
    }
}

#[test]
fn thoughts_are_shown_or_hidden_as_wanted() {
    for (model, shows, display) in [
        (OLDER, Some(true), Value::Null),
        (OLDER, Some(false), json!("omitted")),
        ("claude-sonnet-5", Some(true), json!("summarized")),
        ("claude-sonnet-5", None, Value::Null),
    ] {
        let thinking = Some(Thinking::Effort(Effort::Low));
        let (body, _) = written(&Conversation { thinking, shows_thoughts: shows, ..hello() }, model);
        assert_eq!(body["thinking"]["display"], display, "{model} {shows:?}");
    }
}

#[test]
fn there_is_always_room_beside_the_thoughts() {
    for (asked, budget, most, dropped) in [
        (None, 1024, 4096, ""),
        (None, 8192, 12_288, ""),
        (Some(3000), 2000, 3000, ""),
        (Some(1000), 2000, 3000, "max_tokens"),
    ] {
        let thinking = Some(Thinking::Budget(budget));
        let (body, names) = written(&Conversation { max_output_tokens: asked, thinking, ..hello() }, OLDER);
        assert_eq!((&body["max_tokens"], names.as_str()), (&json!(most), dropped), "{asked:?} {budget}");
    }
}

#[test]
fn an_answer_begun_without_thoughts_goes_on_without() {
    let begun = |first: Vec<Part<'static>>| {
        let results = turn(Role::User, vec![result("t", vec![text("1")])]);
        saying(vec![turn(Role::User, vec![text("a")]), turn(Role::Assistant, first), results])
    };
    let thinking = Some(Thinking::Effort(Effort::High));
    let (body, dropped) = written(&Conversation { thinking, ..begun(vec![call("t")]) }, OLDER);
    assert_eq!((body.get("thinking"), dropped.as_str()), (None, "reasoning_effort"));
    let own = begun(vec![thought(Origin::Anthropic), call("t")]);
    let (body, dropped) = written(&Conversation { thinking, ..own }, OLDER);
    assert_eq!((&body["thinking"]["type"], dropped.as_str()), (&json!("enabled"), ""));
    let (body, dropped) = written(&Conversation { thinking, ..begun(vec![call("t")]) }, "claude-opus-4-6");
    assert_eq!((&body["thinking"]["type"], dropped.as_str()), (&json!("adaptive"), ""));
}

#[test]
fn figures_give_way_where_the_model_refuses_them() {
    let thinking = Some(Thinking::Budget(1024));
    for (model, thinking, [temperature, top_p, top_k], wanted, dropped) in [
        (OLDER, None, ["0.5", "0.9", "40"], json!([0.5, 0.9, 40]), ""),
        (OLDER, None, ["1.5", "1", "40"], json!([1, 1, 40]), "temperature"),
        (OLDER, thinking, ["0.5", "0.9", "40"], json!([null, null, null]), "temperature, top_p, top_k"),
        (OLDER, thinking, ["1.0", "0.95", "40"], json!([1.0, 0.95, null]), "top_k"),
        ("claude-haiku-4-5", None, ["0.5", "0.9", "40"], json!([0.5, null, 40]), "top_p"),
        (
            "claude-sonnet-5",
            None,
            ["0.5", "0.9", "40"],
            json!([null, null, null]),
            "temperature, top_p, top_k",
        ),
        ("claude-sonnet-5", None, ["1", "1", "40"], json!([null, null, null]), "top_k"),
    ] {
        let sampling = Sampling {
            temperature: Some(temperature),
            top_p: Some(top_p),
            top_k: Some(top_k),
            ..Sampling::default()
        };
        let (body, names) = written(&Conversation { sampling, thinking, ..hello() }, model);
        assert_eq!(
            json!([body["temperature"], body["top_p"], body["top_k"]]),
            wanted,
            "{model} {temperature}"
        );
        assert_eq!(names, dropped, "{model} {temperature}");
    }
}

#[test]
fn a_model_that_thinks_is_not_made_to_call_a_tool() {
    let named = ToolChoice::Named(Text::plain("f"));
    let thinking = Some(Thinking::Budget(1024));
    for (choice, parallel, thinking, wanted, dropped) in [
        (Some(ToolChoice::Required), None, None, json!({"type": "any"}), ""),
        (Some(named.clone()), Some(true), None, json!({"type": "tool", "name": "f"}), ""),
        (
            Some(named),
            Some(false),
            thinking,
            json!({"type": "auto", "disable_parallel_tool_use": true}),
            "tool_choice",
        ),
        (Some(ToolChoice::None), Some(false), thinking, json!({"type": "none"}), ""),
        (None, Some(false), None, json!({"type": "auto", "disable_parallel_tool_use": true}), ""),
        (None, Some(true), None, Value::Null, ""),
    ] {
        let conversation = Conversation {
            tools: vec![tool()],
            tool_choice: choice,
            parallel_tool_calls: parallel,
            thinking,
            ..hello()
        };
        let (body, names) = written(&conversation, OLDER);
        assert_eq!((&body["tool_choice"], names.as_str()), (&wanted, dropped));
    }
    let (body, names) = written(&Conversation { tool_choice: Some(ToolChoice::Required), ..hello() }, OLDER);
    assert_eq!((body.get("tool_choice"), names.as_str()), (None, "tool_choice"));
}

#[test]
fn a_schema_always_says_that_it_is_one_of_an_object() {
    let nothing = json!({"type": "object", "properties": {}});
    for (parameters, wanted) in [
        (None, nothing.clone()),
        (Some("{ }"), nothing.clone()),
        (Some("null"), nothing),
        (Some(r#"{"properties":{}}"#), json!({"type": "object", "properties": {}})),
        (Some(r#"{"type":"object","x":1}"#), json!({"type": "object", "x": 1})),
    ] {
        let tools = vec![Tool { parameters: parameters.map(Cow::Borrowed), ..tool() }];
        let (body, _) = written(&Conversation { tools, ..hello() }, OLDER);
        assert_eq!(body["tools"][0]["input_schema"], wanted, "{parameters:?}");
    }
}

#[test]
fn what_anthropic_has_no_member_for_is_named() {
    let mut conversation = Conversation {
        answers: Some(2),
        logprobs: Some(0),
        format: Format::JsonObject,
        stop: vec![Text::plain("\\n"), Text::from_escaped("\\n")],
        user: Some(Text::plain("u")),
        is_stream: true,
        ..hello()
    };
    conversation.sampling.seed = Some("1");
    conversation.openai.push(("store", "true"));
    let (body, dropped) = written(&conversation, OLDER);
    assert_eq!(dropped, "n, logprobs, seed, store, stop, response_format");
    assert_eq!(body["stop_sequences"], json!(["\\n"]));
    assert_eq!((&body["metadata"]["user_id"], &body["stream"]), (&json!("u"), &json!(true)));
}

#[test]
fn broken_arguments_become_none_and_are_named() {
    for (arguments, dropped) in [
        ("", ""),
        ("{ }", ""),
        (r#"{"a":"#, "messages.tool_calls.function.arguments"),
        ("[1]", "messages.tool_calls.function.arguments"),
    ] {
        let (id, name) = (Text::plain("t"), Text::plain("f"));
        let arguments = Arguments::Text(Text::plain(arguments));
        let call = Part::ToolCall(Box::new(ToolCall { id, name, arguments, cache: None }));
        let (messages, names) = messages(vec![turn(Role::Assistant, vec![call])]);
        assert_eq!((&messages[0]["content"][0]["input"], names.as_str()), (&json!({}), dropped));
    }
}
