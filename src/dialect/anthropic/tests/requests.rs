//! What is read of requests, by table.

use super::super::super::chat::{
    CacheFor, Effort, Format, MediaKind, Origin, Part, Role, Source, Thinking, ToolChoice,
};
use super::super::super::json::Text;
use super::*;

const TOOLS: &str = r#""tools":[{"name":"f","input_schema":{"type":"object"}}]"#;

/// A request with these members, and what is dropped of it.
fn check(members: &str, dropped: &str, look: impl FnOnce(&Conversation<'_>)) {
    let body = match members.contains(r#""messages""#) {
        true => object(&format!("{{{members}}}")),
        false => object(&format!(r#"{{"messages":[{{"role":"user","content":"hi"}}],{members}}}"#)),
    };
    let mut names = Dropped::default();
    let conversation = read_request(&body, &mut names).unwrap_or_else(|error| panic!("{members}: {error}"));
    assert_eq!(names.to_line(), dropped, "{members}");
    look(&conversation);
}

/// A request whose only turn says this.
fn check_content(content: &str, dropped: &str, look: impl FnOnce(&[Part<'_>])) {
    let members = format!(r#""messages":[{{"role":"user","content":{content}}}]"#);
    check(&members, dropped, |conversation| look(&conversation.turns[0].parts));
}

#[test]
fn thinking_and_effort_become_one_wish() {
    for (members, thinking, shows, dropped) in [
        (
            r#""thinking":{"type":"enabled","budget_tokens":2048}"#,
            Some(Thinking::Budget(2048)),
            Some(true),
            "",
        ),
        (r#""thinking":{"type":"adaptive","display":"omitted"}"#, Some(Thinking::Adaptive), Some(false), ""),
        (r#""thinking":{"type":"disabled"}"#, Some(Thinking::Off), None, ""),
        (r#""output_config":{"effort":"xhigh"}"#, Some(Thinking::Effort(Effort::Max)), None, ""),
        (
            r#""output_config":{"effort":"low"},"thinking":{"type":"adaptive"}"#,
            Some(Thinking::Effort(Effort::Low)),
            Some(true),
            "",
        ),
        (
            r#""output_config":{"effort":"max"},"thinking":{"type":"disabled"}"#,
            Some(Thinking::Off),
            None,
            "output_config.effort",
        ),
        (r#""thinking":null"#, None, None, ""),
    ] {
        check(members, dropped, |conversation| {
            assert_eq!((conversation.thinking, conversation.shows_thoughts), (thinking, shows), "{members}");
        });
    }
}

#[test]
fn a_choice_of_tools_is_read_with_whether_several_may_be_called() {
    for (choice, read, parallel) in [
        (r#"{"type":"auto"}"#, ToolChoice::Auto, None),
        (r#"{"type":"any","disable_parallel_tool_use":true}"#, ToolChoice::Required, Some(false)),
        (r#"{"type":"none"}"#, ToolChoice::None, None),
        (r#"{"type":"tool","name":"f"}"#, ToolChoice::Named(Text::plain("f")), None),
    ] {
        check(&format!(r#"{TOOLS},"tool_choice":{choice}"#), "", |conversation| {
            assert_eq!(
                (conversation.tool_choice.as_ref(), conversation.parallel_tool_calls),
                (Some(&read), parallel)
            );
        });
    }
}

#[test]
fn a_choice_of_tools_that_are_not_carried_is_named() {
    let native = r#""tools":[{"type":"web_search_20250305","name":"web_search"}]"#;
    check(
        &format!(r#"{native},"tool_choice":{{"type":"tool","name":"web_search"}}"#),
        "tools.web_search_20250305, tool_choice",
        |read| {
            assert!(read.tools.is_empty() && read.tool_choice.is_none());
        },
    );
    check(&format!(r#"{native},"tool_choice":{{"type":"auto"}}"#), "tools.web_search_20250305", |read| {
        assert_eq!(read.tool_choice, None);
    });
}

#[test]
fn tools_keep_schema_and_mark() {
    let tools = r#""tools":[{"type":"custom","name":"f","description":"d","input_schema":{"type":"object"},
        "strict":true,"cache_control":{"type":"ephemeral","ttl":"1h"},"eager_input_streaming":true}]"#;
    check(tools, "tools.eager_input_streaming", |read| {
        let tool = &read.tools[0];
        assert_eq!((tool.parameters.as_deref(), tool.strict), (Some(r#"{"type":"object"}"#), Some(true)));
        assert_eq!(tool.cache, Some(CacheFor::Hour));
    });
}

#[test]
fn both_names_of_the_form_of_an_answer_are_known() {
    for members in [
        r#""output_format":{"type":"json_schema","schema":{"a": 1}}"#,
        r#""output_config":{"format":{"type":"json_schema","schema":{"a": 1}}}"#,
    ] {
        check(members, "", |read| {
            let Format::JsonSchema { schema, .. } = &read.format else { panic!("{members}") };
            assert_eq!(schema, r#"{"a": 1}"#);
        });
    }
}

#[test]
fn members_that_only_anthropic_knows_are_named() {
    let members = r#""service_tier":"auto","container":"c","mcp_servers":[],"context_management":{},"betas":null,
        "metadata":{"user_id":"u","team":"t"},"cache_control":{"type":"ephemeral"}"#;
    check(
        members,
        "service_tier, container, mcp_servers, context_management, metadata.team, cache_control",
        |read| {
            assert_eq!(read.user, Some(Text::plain("u")));
        },
    );
}

#[test]
fn figures_stay_as_they_are_written() {
    let members =
        r#""max_tokens":7.0,"temperature":0.50,"top_p":1,"top_k":40,"stop_sequences":["a\n"],"stream":true"#;
    check(members, "", |read| {
        let sampling = &read.sampling;
        assert_eq!(
            (sampling.temperature, sampling.top_p, sampling.top_k),
            (Some("0.50"), Some("1"), Some("40"))
        );
        assert_eq!((read.max_output_tokens, read.is_stream), (Some(7), true));
        assert_eq!(read.stop[0].decode(), "a\n");
    });
}

#[test]
fn instructions_stand_before_and_among_the_turns() {
    let members = r#""system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}],
        "messages":[{"role":"user","content":"b"},{"role":"system","content":"c"}]"#;
    check(members, "", |read| {
        let Part::Text(words) = &read.system[0] else { panic!("words") };
        assert_eq!((words.text.decode().as_ref(), words.cache), ("a", Some(CacheFor::Short)));
        assert_eq!(read.turns[1].role, Role::System);
    });
    check(r#""system":"s""#, "", |read| {
        assert!(matches!(&read.system[0], Part::Text(words) if words.text == *"s"))
    });
}

#[test]
fn media_is_read_wherever_it_lies() {
    for (block, kind, source) in [
        (
            r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}}"#,
            MediaKind::Image,
            Source::Inline { media_type: Text::plain("image/png"), data: Text::plain("AA==") },
        ),
        (
            r#"{"type":"image","source":{"type":"url","url":"http://a"}}"#,
            MediaKind::Image,
            Source::Url { url: Text::plain("http://a"), media_type: None },
        ),
        (
            r#"{"type":"document","source":{"type":"file","file_id":"f"}}"#,
            MediaKind::Document,
            Source::File(Text::plain("f")),
        ),
        (
            r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"t"}}"#,
            MediaKind::Document,
            Source::Plain(Text::plain("t")),
        ),
        (
            r#"{"type":"document","source":{"type":"content","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}"#,
            MediaKind::Document,
            Source::Plain(Text::plain("a\nb")),
        ),
        (
            r#"{"type":"search_result","source":"http://s","title":"T","content":[{"type":"text","text":"a"}]}"#,
            MediaKind::Document,
            Source::Plain(Text::plain("http://s\na")),
        ),
    ] {
        check_content(&format!("[{block}]"), "", |parts| {
            let Part::Media(media) = &parts[0] else { panic!("{block}") };
            assert_eq!((media.kind, &media.source), (kind, &source), "{block}");
        });
    }
}

#[test]
fn what_belongs_to_a_document_is_kept_or_named() {
    let block = r#"[{"type":"document","source":{"type":"url","url":"u"},"title":"T","context":"C","citations":{"enabled":true}}]"#;
    check_content(block, "messages.content.citations, messages.content.context", |parts| {
        assert!(matches!(&parts[0], Part::Media(media) if media.name == Some(Text::plain("T"))));
    });
}

#[test]
fn results_of_tools_hold_words_and_pictures() {
    let content = r#"[{"type":"tool_result","tool_use_id":"t","is_error":true,"cache_control":{"type":"ephemeral"},
        "content":[{"type":"text","text":"a"},{"type":"image","source":{"type":"url","url":"u"}}]},
        {"type":"tool_result","tool_use_id":"v","content":"b"},{"type":"tool_result","tool_use_id":"w"}]"#;
    check_content(content, "", |parts| {
        let result = |place: usize| match &parts[place] {
            Part::ToolResult(result) => result,
            other => panic!("{other:?}"),
        };
        assert_eq!((result(0).content.len(), result(0).is_error), (2, true));
        assert_eq!(result(0).cache, Some(CacheFor::Short));
        assert_eq!((result(1).content.len(), result(2).content.len()), (1, 0));
    });
}

#[test]
fn thoughts_keep_their_signature_and_whose_it_is() {
    let content = r#"[{"type":"thinking","thinking":"a","signature":"s"},{"type":"redacted_thinking","data":"d"},
        {"type":"thinking","thinking":"b","signature":"aisix.google.g"},{"type":"thinking","thinking":"c","signature":""}]"#;
    check_content(content, "", |parts| {
        let read = parts.iter().map(|part| match part {
            Part::Thought(thought) => {
                thought.signature.as_ref().map(|own| (own.origin, own.data.decode().into_owned()))
            }
            other => panic!("{other:?}"),
        });
        let (own, google) = (Origin::Anthropic, Origin::Google);
        let wanted = [Some((own, "s")), Some((own, "d")), Some((google, "g")), None];
        let wanted = wanted.map(|pair| pair.map(|(origin, data)| (origin, data.to_owned())));
        assert_eq!(read.collect::<Vec<_>>(), wanted);
    });
}

#[test]
fn a_call_made_by_code_of_the_providers_is_named() {
    let call = |caller: &str| {
        format!(r#"[{{"type":"tool_use","id":"t","name":"n","input":null,"caller":{{"type":"{caller}"}}}}]"#)
    };
    check_content(&call("direct"), "", |parts| {
        assert!(matches!(&parts[0], Part::ToolCall(call) if call.arguments.as_object() == "{}"));
    });
    check_content(&call("code_execution_20250825"), "messages.content.caller", |_| {});
}

#[test]
fn what_cannot_be_used_is_named_with_its_place() {
    let content = |block: &str| {
        format!(r#"{{"messages":[{{"role":"user","content":"a"}},{{"role":"user","content":[{block}]}}]}}"#)
    };
    let setting = |members: &str| format!(r#"{{"messages":[{{"role":"user","content":"a"}}],{members}}}"#);
    for (body, member, words) in [
        ("{}".to_owned(), "messages", "missing"),
        (r#"{"messages":{}}"#.to_owned(), "messages", "must be an array"),
        (r#"{"messages":[{"role":"user","content":1}]}"#.to_owned(), "messages", "messages[0]"),
        (r#"{"messages":[{"content":"a"}]}"#.to_owned(), "messages", "\"role\""),
        (
            r#"{"messages":[{"role":"tool","content":"a"}]}"#.to_owned(),
            "messages",
            "user, assistant or system",
        ),
        (r#"{"messages":[{"role":"user"}]}"#.to_owned(), "messages", "\"content\""),
        (content("1"), "messages", "messages[1]"),
        (content(r#"{"text":"secret"}"#), "messages", "messages[1]: a block of content needs a \"type\""),
        (content(r#"{"type":"text"}"#), "messages", "needs a \"text\""),
        (
            content(r#"{"type":"tool_use","id":"secret","name":"n","input":[]}"#),
            "messages",
            "must be an object",
        ),
        (content(r#"{"type":"tool_result","content":"secret"}"#), "messages", "\"tool_use_id\""),
        (
            content(r#"{"type":"image","source":{"type":"text","data":"secret"}}"#),
            "messages",
            "\"type\" of a \"source\"",
        ),
        (content(r#"{"type":"image"}"#), "messages", "\"source\""),
        (setting(r#""system":1"#), "system", "a string or an array"),
        (setting(r#""tools":[{"input_schema":{}}]"#), "tools", "\"name\""),
        (setting(r#""tool_choice":{"type":"secret"}"#), "tool_choice", "auto, any, tool or none"),
        (setting(r#""thinking":{"type":"enabled"}"#), "thinking", "\"budget_tokens\""),
        (setting(r#""output_config":{"effort":"secret"}"#), "output_config", "xhigh or max"),
        (setting(r#""output_format":{"type":"json_object"}"#), "output_format", "json_schema"),
        (setting(r#""max_tokens":-1"#), "max_tokens", "a whole number"),
        (setting(r#""temperature":"secret""#), "temperature", "a number"),
        (setting(r#""stop_sequences":"secret""#), "stop_sequences", "an array of strings"),
    ] {
        let object = object(&body);
        let error = read_request(&object, &mut Dropped::default()).expect_err(&body);
        let RequestError::Invalid { message, param } = &error else { panic!("{body}: {error:?}") };
        assert_eq!(*param, Some(member), "{body}");
        assert!(message.contains(words) && !message.contains("secret"), "{body}: {message}");
    }
}

#[test]
fn a_thread_that_goes_on_is_asked_for_whole() {
    let ask = |thread: &str| {
        let body = format!(
            r#"{{"model":"m","max_tokens":9,"thread":{thread},"messages":[{{"role":"user","content":"a"}}]}}"#
        );
        let body = RawObject::parse(body.into()).expect("an object");
        let mut dropped = Dropped::default();
        read_request(&body, &mut dropped).map(|_| dropped.to_line()).map_err(|error| error.to_string())
    };
    assert_eq!(ask(r#"{"type":"create"}"#).as_deref(), Ok("thread"));
    let lost = ask(r#"{"type":"continue","previous_message_id":"msg_1"}"#).expect_err("it is lost");
    assert!(lost.contains("send the whole conversation"), "{lost}");
}
