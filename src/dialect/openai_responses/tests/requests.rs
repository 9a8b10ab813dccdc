//! Requests, rule by rule.

use serde_json::{Value, json};

use super::*;
use crate::dialect::chat::{
    Arguments, CacheFor, Effort, Media, MediaKind, Origin, Part, Role, Signature, Source, Thinking, Thought,
    Tool, ToolCall, ToolChoice, ToolResult, Turn, Words,
};
use crate::dialect::json::Text;

/// A request with these members beside its input.
fn with(members: Value) -> Value {
    let mut body = json!({"model": "m", "input": "hi"});
    for (name, value) in members.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

fn text(text: &str) -> Part<'_> {
    Part::Text(Words { text: Text::plain(text), ..Words::default() })
}

fn user(parts: Vec<Part<'_>>) -> Conversation<'_> {
    Conversation { turns: vec![Turn { role: Role::User, name: None, parts }], ..Conversation::default() }
}

#[test]
fn members_are_carried() {
    for (members, name) in [
        (json!({"temperature": 0.70, "top_p": 1}), "temperature"),
        (json!({"max_output_tokens": 16}), "max_output_tokens"),
        (json!({"text": {"format": {"type": "json_object"}}}), "text"),
        (
            json!({"text": {"format": {"type": "json_schema", "name": "n\"", "description": "d", "schema": {"a": 1.50}, "strict": true}}}),
            "text",
        ),
        (json!({"reasoning": {"effort": "none"}}), "reasoning"),
        (json!({"reasoning": {"effort": "xhigh", "summary": "auto"}}), "reasoning"),
        (json!({"user": "u\n"}), "user"),
        (json!({"metadata": {"a": "b"}}), "metadata"),
        (json!({"store": true}), "store"),
        (json!({"service_tier": "flex"}), "service_tier"),
        (json!({"prompt_cache_key": "k"}), "prompt_cache_key"),
        (json!({"prompt_cache_retention": "24h"}), "prompt_cache_retention"),
        (json!({"safety_identifier": "s"}), "safety_identifier"),
        (json!({"stream": true}), "stream"),
        (json!({"include": ["message.output_text.logprobs"], "top_logprobs": 3}), "include"),
        (json!({"top_logprobs": 3, "include": ["message.output_text.logprobs"]}), "top_logprobs"),
    ] {
        let (back, dropped) = translated(&with(members.clone())).expect("reads");
        assert_eq!((&back[name], &*dropped), (&members[name], ""), "{members}");
    }
}

#[test]
fn what_cannot_be_carried_is_named() {
    for (members, names) in [
        (json!({"truncation": "disabled", "background": false, "temperature": null}), ""),
        (json!({"truncation": "auto", "max_tool_calls": 3}), "max_tool_calls, truncation"),
        (json!({"text": {"verbosity": "low", "format": {"type": "text"}}}), "text.verbosity"),
        (json!({"reasoning": {"effort": "low", "context": "all_turns"}}), "reasoning.context"),
        (json!({"include": ["file_search_call.results"]}), "include.file_search_call.results"),
        (
            json!({"tools": [{"type": "web_search"}, {"type": "mcp", "server_label": "x"}]}),
            "tools.web_search, tools.mcp",
        ),
        (
            json!({"tools": [{"type": "function", "name": "f", "parameters": null, "defer_loading": true}]}),
            "tools.defer_loading",
        ),
        (json!({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}), "tool_choice"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (
            json!({"input": [{"type": "web_search_call", "id": "ws"}, {"type": "custom_tool_call", "input": "x"}]}),
            "input.web_search_call, input.custom_tool_call",
        ),
        (
            json!({"input": [{"role": "assistant", "content": [{"type": "sparkle"}], "phase": "commentary"}]}),
            "input.phase, input.content.sparkle",
        ),
        (
            json!({"input": [{"type": "message", "id": "msg_1", "status": "completed", "role": "user", "content": "x"}]}),
            "",
        ),
    ] {
        let (_, dropped) = translated(&with(members.clone())).expect("reads");
        assert_eq!(dropped, names, "{members}");
    }
}

#[test]
fn what_cannot_be_used_is_refused_with_its_member() {
    for (members, param, words) in [
        (json!({"input": null}), "input", "is missing"),
        (json!({"input": 1}), "input", "a string or an array"),
        (json!({"input": [1]}), "input", "input[0]"),
        (json!({"input": [{"role": "user", "content": "x"}, {"role": 1}]}), "input", "input[1]"),
        (json!({"input": [{"content": "x"}]}), "input", "neither a type nor a role"),
        (json!({"input": [{"role": "tool", "content": "x"}]}), "input", "role"),
        (json!({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}), "input", "picture"),
        (json!({"input": [{"role": "user", "content": {"type": "input_text"}}]}), "input", "content"),
        (json!({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}), "input", "call_id"),
        (json!({"input": [{"type": "function_call_output", "output": "x"}]}), "input", "call_id"),
        (json!({"input": [{"type": "item_reference", "id": "msg_1"}]}), "input", "natively"),
        (json!({"input": [{"id": "msg_1"}]}), "input", "natively"),
        (json!({"previous_response_id": "resp_1"}), "previous_response_id", "natively"),
        (json!({"conversation": {"id": "conv_1"}}), "conversation", "natively"),
        (json!({"prompt": {"id": "pmpt_1"}}), "prompt", "natively"),
        (json!({"background": true}), "background", "natively"),
        (json!({"stream": "yes"}), "stream", "a boolean"),
        (json!({"max_output_tokens": -1}), "max_output_tokens", "a whole number"),
        (json!({"temperature": "hot"}), "temperature", "a number"),
        (json!({"tools": [{"type": "function"}]}), "tools", "no name"),
        (json!({"tool_choice": "sometimes"}), "tool_choice", "auto"),
        (json!({"text": {"format": {"type": "json_schema", "name": "x"}}}), "text", "schema"),
        (json!({"text": {"format": {"type": "xml"}}}), "text", "json_schema"),
        (json!({"reasoning": {"effort": "heroic"}}), "reasoning", "effort"),
        (json!({"instructions": ["x"]}), "instructions", "a string"),
    ] {
        let Err(RequestError::Invalid { message, param: at }) = translated(&with(members.clone())) else {
            panic!("accepted: {members}")
        };
        assert_eq!(at, Some(param), "{members}");
        assert!(message.contains(words), "{members}: {message}");
    }
}

#[test]
fn items_become_turns() {
    let body = object(&json!({"model": "m", "instructions": "first", "input": [
        {"role": "developer", "content": "second"},
        {"role": "user", "content": [{"type": "input_text", "text": "look", "prompt_cache_breakpoint": {"mode": "explicit"}},
            {"type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "low"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
            "encrypted_content": "xyz"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "calling"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"a\":\"\\n\"}"},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_file", "file_id": "file-1"}]},
        {"role": "system", "content": "later"},
        {"role": "user", "content": "thanks"},
    ]}));
    let mut dropped = Dropped::default();
    let conversation = read_request(&body, &mut dropped).expect("reads");
    assert_eq!(conversation.system, [text("first"), text("second")]);
    let roles: Vec<_> = conversation.turns.iter().map(|turn| (turn.role, turn.parts.len())).collect();
    let expected =
        [(Role::User, 2), (Role::Assistant, 4), (Role::User, 2), (Role::System, 1), (Role::User, 1)];
    assert_eq!(roles, expected);
    let Part::Text(look) = &conversation.turns[0].parts[0] else { panic!("a text") };
    assert_eq!(look.cache, Some(CacheFor::Short));
    let Part::Media(picture) = &conversation.turns[0].parts[1] else { panic!("a picture") };
    let source = Source::Inline { media_type: Text::plain("image/png"), data: Text::plain("QUJD") };
    assert_eq!((picture.kind, &picture.source), (MediaKind::Image, &source));
    let said = &conversation.turns[1].parts;
    let signature = Signature { origin: Origin::OpenAi, data: Text::plain("rs_1:xyz") };
    let thought = Thought { text: Text::plain("a\n\nb"), signature: Some(signature), is_redacted: false };
    assert_eq!(said[0], Part::Thought(Box::new(thought)));
    let Part::ToolCall(call) = &said[2] else { panic!("a call") };
    assert_eq!((&call.id, &*call.arguments.as_object()), (&Text::plain("c1"), r#"{"a":"\n"}"#));
    let Part::ToolResult(result) = &conversation.turns[2].parts[1] else { panic!("a result") };
    assert_eq!(result.id, Text::plain("c2"));
    assert!(
        matches!(&result.content[..], [Part::Media(file)] if file.source == Source::File(Text::plain("file-1")))
    );
    assert!(dropped.is_empty());
}

#[test]
fn instructions_alone_are_the_input() {
    let (back, _) =
        translated(&json!({"model": "m", "input": [{"role": "developer", "content": "x"}]})).expect("reads");
    assert_eq!(
        (&back["instructions"], &back["input"]),
        (&Value::Null, &json!([{"role": "system", "content": "x"}]))
    );
    let (back, _) = translated(&with(json!({"instructions": "x"}))).expect("reads");
    assert_eq!(
        (&back["instructions"], &back["input"]),
        (&json!("x"), &json!([{"role": "user", "content": "hi"}]))
    );
}

#[test]
fn media_are_written_as_the_dialect_has_them() {
    let media = |kind, source| {
        Part::Media(Box::new(Media { kind, source, name: Some(Text::plain("n")), detail: None, cache: None }))
    };
    let inline =
        |media_type| Source::Inline { media_type: Text::plain(media_type), data: Text::plain("QQ==") };
    let url = Source::Url { url: Text::plain("https://x/y"), media_type: None };
    for (part, piece) in [
        (
            media(MediaKind::Image, inline("image/png")),
            json!({"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,QQ=="}),
        ),
        (
            media(MediaKind::Image, url.clone()),
            json!({"type": "input_image", "detail": "auto", "image_url": "https://x/y"}),
        ),
        (
            media(MediaKind::Document, inline("application/pdf")),
            json!({"type": "input_file", "filename": "n", "file_data": "data:application/pdf;base64,QQ=="}),
        ),
        (media(MediaKind::Document, url), json!({"type": "input_file", "file_url": "https://x/y"})),
        (
            media(MediaKind::Document, Source::File(Text::plain("file-1"))),
            json!({"type": "input_file", "file_id": "file-1"}),
        ),
        (
            media(MediaKind::Document, Source::Plain(Text::plain("t"))),
            json!({"type": "input_text", "text": "n\n\nt"}),
        ),
    ] {
        let mut dropped = Dropped::default();
        let back = written(&user(vec![text("t"), part]), &mut dropped);
        assert_eq!(back["input"][0]["content"][1], piece);
        assert!(dropped.is_empty());
        // What the dialect has in this form, it reads again as the same.
        let mut again = json!({"model": "m"});
        again["input"] = back["input"].clone();
        assert_eq!(translated(&again).expect("reads").0["input"], back["input"]);
    }
    let mut dropped = Dropped::default();
    let back = written(&user(vec![media(MediaKind::Video, inline("video/mp4"))]), &mut dropped);
    assert_eq!((&back["input"], &*dropped.to_line()), (&json!([]), "messages.content.video"));
}

#[test]
fn media_are_read_however_they_are_given() {
    for (piece, back) in [
        (json!({"type": "input_file", "detail": "high", "file_id": "f"}), None),
        (json!({"type": "input_image", "detail": "auto", "file_id": "f"}), None),
        (
            json!({"type": "input_file", "filename": "n", "file_data": "QQ=="}),
            Some(
                json!({"type": "input_file", "filename": "n", "file_data": "data:application/pdf;base64,QQ=="}),
            ),
        ),
        (
            json!({"type": "input_image", "detail": "auto", "image_url": "data:image/png;x=y;base64,QQ=="}),
            Some(json!({"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,QQ=="})),
        ),
        (json!({"type": "input_image", "detail": "auto", "image_url": "data:image/svg+xml,<svg>"}), None),
        (json!({"type": "text", "text": "t"}), Some(json!({"type": "input_text", "text": "t"}))),
    ] {
        let other = json!({"type": "input_text", "text": "what is it?"});
        let input = json!([{"role": "user", "content": [other, piece]}]);
        let (written, dropped) = translated(&with(json!({"input": input}))).expect("reads");
        assert_eq!(written["input"][0]["content"][1], back.unwrap_or(piece));
        assert_eq!(dropped, "");
    }
}

#[test]
fn sounds_are_named_and_left_out() {
    let (name, detail, cache) = (None, None, None);
    let source = Source::Inline { media_type: Text::plain("audio/mpeg"), data: Text::plain("QQ==") };
    let sound = Part::Media(Box::new(Media { kind: MediaKind::Audio, source, name, detail, cache }));
    let content = vec![sound.clone()];
    let result = ToolResult { id: Text::plain("c"), name: None, content, is_error: false, cache: None };
    let mut dropped = Dropped::default();
    let back = written(&user(vec![sound, Part::ToolResult(Box::new(result))]), &mut dropped);
    let output = json!([{"type": "function_call_output", "call_id": "c", "output": ""}]);
    assert_eq!((&back["input"], &*dropped.to_line()), (&output, "messages.content.input_audio"));
}

#[test]
fn what_the_dialect_cannot_say_is_named() {
    let mut conversation = user(vec![text("t")]);
    conversation.turns[0].name = Some(Text::plain("Ann"));
    conversation.stop = vec![Text::plain("x")];
    conversation.answers = Some(2);
    conversation.sampling.top_k = Some("1");
    conversation.sampling.seed = Some("1");
    conversation.sampling.presence_penalty = Some("1");
    conversation.sampling.frequency_penalty = Some("1");
    conversation.tool_choice = Some(ToolChoice::Required);
    let failed = ToolResult {
        id: Text::plain("c"),
        name: None,
        content: vec![],
        is_error: true,
        cache: Some(CacheFor::Hour),
    };
    conversation.turns[0].parts.push(Part::ToolResult(Box::new(failed)));
    let mut dropped = Dropped::default();
    let back = written(&conversation, &mut dropped);
    assert_eq!(
        dropped.to_line(),
        "stop, n, top_k, seed, presence_penalty, frequency_penalty, messages.name, cache_control, is_error, tool_choice"
    );
    assert_eq!(back["input"][0], json!({"type": "function_call_output", "call_id": "c", "output": ""}));
    assert_eq!(back["input"][1], json!({"role": "user", "content": [{"type": "input_text", "text": "t"}]}));
}

#[test]
fn a_tool_is_not_strict_unless_somebody_said_so() {
    let mut conversation = user(vec![text("t")]);
    let tool =
        |strict| Tool { name: Text::plain("f"), description: None, parameters: None, strict, cache: None };
    conversation.tools = vec![tool(None), tool(Some(true))];
    conversation.tool_choice = Some(ToolChoice::Named(Text::plain("f")));
    let back = written(&conversation, &mut Dropped::default());
    assert_eq!(
        back["tools"][0],
        json!({"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": false})
    );
    assert_eq!(back["tools"][1]["strict"], true);
    assert_eq!(back["tool_choice"], json!({"type": "function", "name": "f"}));
}

#[test]
fn reasoning_survives_without_state() {
    let sealed = json!(["reasoning.encrypted_content"]);
    for (thinking, shows, effort, include) in [
        (None, None, Value::Null, Value::Null),
        (Some(Thinking::Off), Some(true), json!({"effort": "none"}), Value::Null),
        (Some(Thinking::Adaptive), None, json!({"effort": "medium"}), sealed.clone()),
        (Some(Thinking::Effort(Effort::Max)), None, json!({"effort": "xhigh"}), sealed.clone()),
        (
            Some(Thinking::Budget(5000)),
            Some(true),
            json!({"effort": "high", "summary": "auto"}),
            sealed.clone(),
        ),
        (None, Some(true), json!({"summary": "auto"}), sealed.clone()),
    ] {
        let mut conversation = user(vec![text("t")]);
        conversation.thinking = thinking;
        conversation.shows_thoughts = shows;
        conversation.max_output_tokens = Some(1);
        let back = written(&conversation, &mut Dropped::default());
        assert_eq!((&back["reasoning"], &back["include"]), (&effort, &include), "{thinking:?}");
        assert_eq!((&back["store"], &back["max_output_tokens"]), (&json!(false), &json!(16)));
    }
}

#[test]
fn only_thoughts_that_the_provider_signed_go_back_to_it() {
    let thought = |origin, data| {
        let signature = Some(Signature { origin, data: Text::plain(data) });
        Part::Thought(Box::new(Thought { text: Text::plain("hm"), signature, is_redacted: false }))
    };
    let call = ToolCall {
        id: Text::plain("c"),
        name: Text::plain("f"),
        arguments: Arguments::Object("{\"a\": 1}".into()),
        cache: None,
    };
    let mut conversation = user(vec![text("t")]);
    let unsigned = Part::Thought(Box::new(Thought { text: Text::plain("hm"), ..Thought::default() }));
    let parts = vec![
        thought(Origin::Anthropic, "a"),
        thought(Origin::OpenAi, "rs_1:xyz"),
        thought(Origin::OpenAi, "xyz"),
        unsigned,
        Part::ToolCall(Box::new(call)),
    ];
    conversation.turns.push(Turn { role: Role::Assistant, name: None, parts });
    let mut dropped = Dropped::default();
    let back = written(&conversation, &mut dropped);
    let summary = json!([{"type": "summary_text", "text": "hm"}]);
    assert_eq!(
        back["input"].as_array().expect("items")[1..],
        [
            json!({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "xyz"}),
            json!({"type": "reasoning", "summary": summary, "encrypted_content": "xyz"}),
            json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{\"a\": 1}"}),
        ]
    );
    assert_eq!(back["include"][0], "reasoning.encrypted_content");
    assert_eq!((&*dropped.to_line(), dropped.lost()), ("messages.thinking", None));
}
