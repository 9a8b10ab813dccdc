//! Requests: each rule of reading and writing, by table.

use super::*;
use crate::dialect::chat::{
    CacheFor, Effort, Format, Media, MediaKind, Origin, Part, Role, Signature, Source, Thinking, Thought,
    Tool, ToolChoice, ToolResult, Turn, Words,
};

const HI: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

/// What a conversation holds after these members are read, and what was reported.
fn read<T>(members: &str, look: impl FnOnce(&Conversation<'_>) -> T) -> (T, String) {
    let members =
        if members.contains("\"messages\"") { members.to_owned() } else { format!("{HI},{members}") };
    let object = object(&format!("{{\"model\":\"m\",{members}}}"));
    let mut dropped = Dropped::default();
    let conversation =
        read_request(&object, &mut dropped).unwrap_or_else(|error| panic!("{members}: {error}"));
    (look(&conversation), dropped.to_line())
}

fn refused(members: &str) -> String {
    let object = object(&format!("{{{members}}}"));
    read_request(&object, &mut Dropped::default()).expect_err(members).to_string()
}

fn messages<T>(messages: &str, look: impl FnOnce(&Conversation<'_>) -> T) -> (T, String) {
    read(&format!("\"messages\":[{messages}]"), look)
}

#[test]
fn what_cannot_be_used_is_named_with_its_place_and_without_its_content() {
    for (members, words) in [
        ("\"model\":\"m\"", "must not be empty"),
        ("\"messages\":[]", "must not be empty"),
        ("\"messages\":{}", "must be an array"),
        ("\"messages\":[\"secret\"]", "messages[0] must be an object"),
        (
            r#""messages":[{"role":"user","content":"a"},{"role":"user","content":7}]"#,
            "messages[1].content has",
        ),
        (r#""messages":[{"content":"a"}]"#, "messages[0] cannot be used: it has no role"),
        (r#""messages":[{"role":"secret","content":"a"}]"#, "its role is unknown"),
        (r#""messages":[{"role":"user"}]"#, "it has no content"),
        (r#""messages":[{"role":"tool","content":"a"}]"#, "without a tool_call_id"),
        (r#""messages":[{"role":"tool","tool_call_id":"","content":"a"}]"#, "without a tool_call_id"),
        (r#""messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}]"#, "has no id"),
        (r#""messages":[{"role":"assistant","tool_calls":[{"id":"1","function":{}}]}]"#, "has no name"),
        (r#""messages":[{"role":"user","content":[{"type":"text"}]}]"#, "a text part has no text"),
        (r#""messages":[{"role":"user","content":[{"type":"image_url"}]}]"#, "no image_url"),
        (r#""messages":[{"role":"user","content":[{"type":"file","file":{}}]}]"#, "neither file_data nor"),
        ("\"temperature\":\"secret\"", "\"temperature\" must be a number"),
        ("\"max_tokens\":-1", "\"max_tokens\" must be a whole number"),
        ("\"tools\":{}", "\"tools\" must be an array"),
        ("\"tools\":[{\"type\":\"function\"}]", "a tool has no function"),
        ("\"tool_choice\":\"secret\"", "\"tool_choice\" must be"),
        ("\"tool_choice\":{\"type\":\"function\"}", "names no function"),
        ("\"stop\":1", "\"stop\" must be"),
        ("\"stream\":\"yes\"", "\"stream\" must be a boolean"),
    ] {
        let error = refused(members);
        assert!(error.contains(words), "{members}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn instructions_before_the_first_turn_are_the_conversations_and_later_ones_are_turns() {
    let (found, dropped) = messages(
        r#"{"role":"system","content":"a"},{"role":"developer","content":[{"type":"text","text":"b"}]},
           {"role":"user","content":"c","name":"N"},{"role":"system","content":"d"}"#,
        |to| {
            assert_eq!(to.turns[0].name, Some(text("N")));
            (to.system.len(), to.turns.iter().map(|turn| turn.role).collect::<Vec<_>>())
        },
    );
    assert_eq!(found, (2, vec![Role::User, Role::System]));
    assert_eq!(dropped, "");
}

#[test]
fn tool_messages_in_a_row_are_one_turn_and_old_calls_find_their_results() {
    messages(
        r#"{"role":"assistant","content":null,"tool_calls":[
             {"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},
             {"id":"2","type":"function","function":{"name":"g","arguments":""}}]},
           {"role":"tool","tool_call_id":"1","content":"x"},
           {"role":"tool","tool_call_id":"2","content":[{"type":"text","text":"y"}]},
           {"role":"user","content":"z"}"#,
        |to| {
            assert_eq!(to.turns.iter().map(|turn| turn.parts.len()).collect::<Vec<_>>(), [2, 2, 1]);
            let Part::ToolCall(call) = &to.turns[0].parts[0] else { panic!("a call") };
            assert_eq!(call.arguments.as_object(), "{\"a\":1}");
            let Part::ToolResult(result) = &to.turns[1].parts[1] else { panic!("a result") };
            assert!(result.id == *"2" && result.content.len() == 1);
        },
    );
    messages(
        r#"{"role":"user","content":"q"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},
           {"role":"function","name":"f","content":"x"}"#,
        |to| {
            let (Part::ToolCall(call), Part::ToolResult(result)) =
                (&to.turns[1].parts[0], &to.turns[2].parts[0])
            else {
                panic!("a call and its result")
            };
            assert_eq!(call.id, result.id);
            assert_eq!(result.name, Some(text("f")));
        },
    );
}

#[test]
fn media_is_found_here_and_at_addresses() {
    let inline = |media_type, data| Source::Inline { media_type: text(media_type), data: text(data) };
    let url = |url| Source::Url { url: text(url), media_type: None };
    for (part, kind, source) in [
        (
            r#"{"type":"image_url","image_url":{"url":"data:image/jpeg;base64,QUI="}}"#,
            MediaKind::Image,
            inline("image/jpeg", "QUI="),
        ),
        (r#"{"type":"image_url","image_url":"https://a/b.png"}"#, MediaKind::Image, url("https://a/b.png")),
        (
            r#"{"type":"image_url","image_url":{"url":"data:;base64,QUI="}}"#,
            MediaKind::Image,
            inline("image/png", "QUI="),
        ),
        (
            r#"{"type":"input_audio","input_audio":{"data":"QUI=","format":"wav"}}"#,
            MediaKind::Audio,
            inline("audio/wav", "QUI="),
        ),
        (
            r#"{"type":"file","file":{"filename":"f","file_data":"data:application/pdf;base64,QUI="}}"#,
            MediaKind::Document,
            inline("application/pdf", "QUI="),
        ),
        (
            r#"{"type":"file","file":{"file_data":"data:image/png;x=y;base64,QUI="}}"#,
            MediaKind::Image,
            inline("image/png", "QUI="),
        ),
        (
            r#"{"type":"file","file":{"file_data":"QUI="}}"#,
            MediaKind::Document,
            inline("application/pdf", "QUI="),
        ),
        (r#"{"type":"file","file":{"file_id":"file-1"}}"#, MediaKind::Document, Source::File(text("file-1"))),
        (r#"{"type":"video_url","video_url":{"url":"https://a/b"}}"#, MediaKind::Video, url("https://a/b")),
    ] {
        messages(&format!("{{\"role\":\"user\",\"content\":[{part}]}}"), |to| {
            let Part::Media(media) = &to.turns[0].parts[0] else { panic!("media: {part}") };
            assert_eq!((media.kind, &media.source), (kind, &source), "{part}");
        });
    }
}

#[test]
fn marks_for_the_cache_stand_on_parts_messages_and_tools() {
    let (_, dropped) = read(
        r#""messages":[{"role":"system","content":"s","cache_control":{"type":"ephemeral","ttl":"1h"}},
            {"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"text","text":"b"}]}],
            "tools":[{"type":"function","function":{"name":"f"},"cache_control":{"type":"ephemeral"}}]"#,
        |to| {
            let mark = |part: &Part<'_>| match part {
                Part::Text(words) => words.cache,
                _ => None,
            };
            assert_eq!(mark(&to.system[0]), Some(CacheFor::Hour));
            let parts = &to.turns[0].parts;
            assert_eq!((mark(&parts[0]), mark(&parts[1])), (Some(CacheFor::Short), None));
            assert_eq!(to.tools[0].cache, Some(CacheFor::Short));
            assert_eq!(written(to, &Manners::default()).1, "cache_control");
        },
    );
    assert_eq!(dropped, "");
}

#[test]
fn thoughts_come_back_with_the_signature_of_whoever_had_them() {
    let details = |details: &str| {
        let message = format!(
            r#"{{"role":"assistant","content":"w","reasoning":"bare","reasoning_details":[{details}],
               "tool_calls":[{{"id":"c1","function":{{"name":"f","arguments":"{{}}"}}}},{{"id":"c2","function":{{"name":"g","arguments":"{{}}"}}}}]}}"#
        );
        let show = |to: &Conversation<'_>| {
            let parts = to.turns[0].parts.iter().map(|part| match part {
                Part::Thought(own) => {
                    let signature = own.signature.as_ref();
                    let signature = signature.map_or(String::new(), |signature| {
                        format!("{:?}={}", signature.origin, signature.data.decode())
                    });
                    format!("{}[{signature}]{}", own.text.decode(), if own.is_redacted { "!" } else { "" })
                }
                Part::Text(_) => "text".to_owned(),
                Part::ToolCall(call) => call.id.decode().into_owned(),
                other => panic!("{other:?}"),
            });
            parts.collect::<Vec<_>>().join(" ")
        };
        messages(&message, show).0
    };
    for (entries, wanted) in [
        ("", "bare[] text c1 c2"),
        (r#"{"type":"reasoning.text","text":"t","signature":"s"}"#, "t[Anthropic=s] text c1 c2"),
        (
            r#"{"type":"reasoning.encrypted","data":"d","format":"anthropic-claude-v1"}"#,
            "bare[] [Anthropic=d]! text c1 c2",
        ),
        (
            r#"{"type":"reasoning.summary","summary":"t","format":"openai-responses-v1"},{"type":"reasoning.encrypted","data":"d","format":"openai-responses-v1"}"#,
            "t[OpenAi=d] text c1 c2",
        ),
        (
            r#"{"type":"reasoning.encrypted","data":"d","format":"google-gemini-v1","id":"c2"}"#,
            "bare[] text c1 [Google=d] c2",
        ),
        (
            r#"{"type":"reasoning.encrypted","data":"d","format":"google-gemini-v1"}"#,
            "bare[] text [Google=d] c1 c2",
        ),
        (r#"{"type":"reasoning.encrypted","data":"d","format":"xai-responses-v1"}"#, "bare[] text c1 c2"),
        (
            r#"{"type":"reasoning.text","text":"t","signature":"aisix.google.s","format":"unknown"}"#,
            "t[] text [Google=s] c1 c2",
        ),
    ] {
        assert_eq!(details(entries), wanted, "{entries}");
    }
}

#[test]
fn how_much_to_think_is_read_from_every_vendors_member() {
    for (members, thinking) in [
        (r#""reasoning_effort":"none""#, Some(Thinking::Off)),
        (r#""reasoning_effort":"xhigh""#, Some(Thinking::Effort(Effort::Max))),
        (r#""reasoning":{"effort":"low"}"#, Some(Thinking::Effort(Effort::Low))),
        (r#""reasoning":{"max_tokens":2000}"#, Some(Thinking::Budget(2000))),
        (r#""reasoning":{"enabled":true}"#, Some(Thinking::Adaptive)),
        (r#""reasoning":{"enabled":false,"effort":"low"}"#, Some(Thinking::Off)),
        (r#""thinking":{"type":"enabled","budget_tokens":5000}"#, Some(Thinking::Budget(5000))),
        (r#""thinking":{"type":"disabled"}"#, Some(Thinking::Off)),
        (r#""thinking":{"type":"adaptive"}"#, Some(Thinking::Adaptive)),
        (r#""thinking":{"type":"disabled"},"reasoning_effort":"high""#, Some(Thinking::Effort(Effort::High))),
        (r#""n":1"#, None),
    ] {
        assert_eq!(read(members, |to| to.thinking), (thinking, String::new()), "{members}");
    }
    assert_eq!(read(r#""reasoning":{"exclude":true}"#, |to| to.shows_thoughts).0, Some(false));
}

#[test]
fn members_that_the_conversation_cannot_say_are_reported_and_null_is_absent() {
    for (members, dropped) in [
        (
            "\"logit_bias\":{},\"modalities\":[\"text\"],\"verbosity\":\"low\"",
            "logit_bias, modalities, verbosity",
        ),
        ("\"logit_bias\":null,\"tools\":null,\"stop\":null", ""),
        (
            "\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false}",
            "stream_options.include_obfuscation",
        ),
        ("\"tools\":[{\"type\":\"custom\",\"custom\":{}}]", "tools.custom"),
        ("\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{}}", "tool_choice.allowed_tools"),
        ("\"top_logprobs\":2", "top_logprobs"),
        ("\"reasoning_effort\":\"weird\"", "reasoning_effort"),
        ("\"thinking\":{\"type\":\"enabled\",\"clear_thinking\":true}", "thinking.clear_thinking"),
        (r#""messages":[{"role":"assistant","content":"a","audio":{"id":"1"}}]"#, "messages.audio"),
        (
            r#""messages":[{"role":"user","content":[{"type":"odd"},{"type":"text","text":"a","x":1}]}]"#,
            "messages.content.odd, messages.content.x",
        ),
        (r#""messages":[{"role":"user","content":"a","tool_calls":[],"x":null}]"#, ""),
    ] {
        assert_eq!(read(members, |_| ()).1, dropped, "{members}");
    }
}

#[test]
fn settings_are_read() {
    let (_, dropped) = read(
        r#""max_tokens":5,"max_completion_tokens":7,"temperature":0.70,"top_k":3,"stop":"x","n":2,"logprobs":true,
           "top_logprobs":4,"user":"u","metadata":{"a":"b"},"store":false,"stream":true,"parallel_tool_calls":false,
           "functions":[{"name":"f"}],"function_call":{"name":"f"},"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object"},"strict":true}}"#,
        |to| {
            assert_eq!((to.max_output_tokens, to.answers, to.logprobs), (Some(7), Some(2), Some(4)));
            assert_eq!((to.sampling.temperature, to.sampling.top_k), (Some("0.70"), Some("3")));
            assert_eq!(to.stop, [text("x")]);
            assert_eq!(to.openai.as_slice(), [("metadata", "{\"a\":\"b\"}"), ("store", "false")]);
            assert_eq!(to.tool_choice, Some(ToolChoice::Named(text("f"))));
            assert!(to.is_stream && to.parallel_tool_calls == Some(false) && to.tools.len() == 1);
            assert!(
                matches!(&to.format, Format::JsonSchema { strict: Some(true), schema, .. } if schema == "{\"type\":\"object\"}")
            );
        },
    );
    assert_eq!(dropped, "");
}

fn asked(role: Role, parts: Vec<Part<'static>>) -> Conversation<'static> {
    Conversation { turns: vec![Turn { role, name: None, parts }], ..Conversation::default() }
}

fn said(words: &'static str) -> Part<'static> {
    Part::Text(Words { text: text(words), ..Words::default() })
}

fn media(kind: MediaKind, source: Source<'static>) -> Part<'static> {
    Part::Media(Box::new(Media { kind, source, name: None, detail: None, cache: None }))
}

fn result(content: Vec<Part<'static>>) -> Part<'static> {
    let result = ToolResult { id: text("1"), name: None, content, is_error: false, cache: None };
    Part::ToolResult(Box::new(result))
}

#[test]
fn results_stand_before_the_rest_and_their_media_behind_them() {
    let picture = || media(MediaKind::Image, Source::Url { url: text("https://a"), media_type: None });
    let (body, dropped) = written(
        &asked(Role::User, vec![said("w"), result(vec![said("a"), said("b"), picture()])]),
        &Manners::default(),
    );
    let wanted = serde_json::json!([
        {"role": "tool", "tool_call_id": "1", "content": "a\nb"},
        {"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "https://a"}},
            {"type": "text", "text": "w"},
        ]},
    ]);
    assert_eq!((&body["messages"], dropped.as_str()), (&wanted, ""));
}

#[test]
fn a_request_keeps_to_its_providers_manners() {
    let thought = Thought { text: text("t"), ..Thought::default() };
    let mut conversation = asked(Role::Assistant, vec![Part::Thought(Box::new(thought)), said("w")]);
    conversation.system.push(said("s"));
    conversation.max_output_tokens = Some(9);
    conversation.thinking = Some(Thinking::Budget(2048));
    conversation.is_stream = true;
    conversation.format =
        Format::JsonSchema { name: None, description: None, schema: "{}".into(), strict: None };
    let (body, dropped) = written(&conversation, &Manners::default());
    assert_eq!(body["messages"][0]["role"], "system");
    assert_eq!((&body["max_tokens"], &body["reasoning_effort"]), (&9.into(), &"medium".into()));
    assert_eq!(body["stream_options"], serde_json::json!({"include_usage": true}));
    assert_eq!(body["response_format"]["json_schema"]["schema"], serde_json::json!({}));
    assert!(body["messages"][1].get("reasoning_content").is_none());
    assert_eq!(dropped, "messages.thinking");
    let manners = Manners {
        max_tokens: "max_completion_tokens",
        takes_effort: false,
        takes_schema: false,
        takes_developer: true,
        takes_files: false,
        replays_reasoning: true,
        ..Manners::USUAL
    };
    let (body, dropped) = written(&conversation, &manners);
    assert_eq!(body["messages"][0]["role"], "developer");
    assert_eq!(
        (&body["max_completion_tokens"], &body["messages"][1]["reasoning_content"]),
        (&9.into(), &"t".into())
    );
    assert_eq!(body["response_format"], serde_json::json!({"type": "json_object"}));
    assert_eq!(dropped, "reasoning_effort, response_format.json_schema");
}

#[test]
fn a_provider_that_refuses_what_it_does_not_know_is_spared_it() {
    let mut conversation = asked(Role::User, vec![said("w")]);
    conversation.turns[0].name = Some(text("ann"));
    conversation.user = Some(text("u"));
    conversation.sampling.seed = Some("7");
    conversation.logprobs = Some(2);
    conversation.openai.extend([("store", "true"), ("metadata", "{}")]);
    let manners = crate::providers::find("mistral", None).expect("a row").manners();
    let (body, dropped) = written(&conversation, &manners);
    let wanted = serde_json::json!({"model": "own", "messages": [{"role": "user", "content": "w"}],
        "random_seed": 7, "metadata": {}});
    assert_eq!((&body, &*dropped), (&wanted, "messages.name, logprobs, user, store"));
}

#[test]
fn documents_are_files_or_words_or_reported() {
    let pdf = || Source::Inline { media_type: text("application/pdf"), data: text("QUI=") };
    let file = serde_json::json!([{"type": "file", "file":
        {"filename": "document.pdf", "file_data": "data:application/pdf;base64,QUI="}}]);
    let takes = Manners::default();
    let refuses = Manners { takes_files: false, ..takes };
    for (source, manners, content, dropped) in [
        (pdf(), takes, file, ""),
        (pdf(), refuses, serde_json::json!([]), "messages.content.file"),
        (Source::Plain(text("p")), refuses, serde_json::json!([{"type": "text", "text": "p"}]), ""),
        (
            Source::Url { url: text("https://a"), media_type: None },
            takes,
            serde_json::json!([]),
            "messages.content.file",
        ),
        (Source::File(text("f")), takes, serde_json::json!([{"type": "file", "file": {"file_id": "f"}}]), ""),
    ] {
        let (body, lost) = written(&asked(Role::User, vec![media(MediaKind::Document, source)]), &manners);
        assert_eq!((&body["messages"][0]["content"], lost.as_str()), (&content, dropped));
    }
}

#[test]
fn what_the_dialect_cannot_say_is_reported_and_thoughts_are_only_mentioned() {
    let signature = Some(Signature { origin: Origin::Anthropic, data: text("s") });
    let thought = Thought { text: text("t"), signature, is_redacted: false };
    let mut conversation = asked(Role::Assistant, vec![Part::Thought(Box::new(thought)), said("w")]);
    conversation.sampling.top_k = Some("3");
    conversation.tools.push(Tool {
        name: text("f"),
        description: None,
        parameters: None,
        strict: None,
        cache: Some(CacheFor::Short),
    });
    assert_eq!(written(&conversation, &Manners::default()).1, "cache_control, top_k, messages.thinking");
}
