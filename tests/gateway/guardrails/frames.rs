//! Frames that go out as they came: whatever they hold is judged, pieces of an answer or not.

use super::*;

/// A gateway before a provider that speaks this protocol.
fn speaking(adapter: &str, upstream: &Upstream, more: &str) -> Gateway {
    let own = format!("provider = \"{adapter}\"");
    let key = provider_key("up", &upstream.url()).replace("provider = \"openai\"", &own);
    Gateway::start(&(key + &model("m", "up", "retries = 0") + &api_key("sk-test", "\"*\"", "") + more))
}

/// Where each dialect is asked for a stream, and with what.
fn asking(adapter: &str) -> (&'static str, &'static str) {
    match adapter {
        "anthropic" => (
            "/v1/messages",
            r#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
        ),
        "gemini" => (
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#,
        ),
        "chat" => (
            "/v1/chat/completions",
            r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
        ),
        _ => ("/v1/responses", r#"{"model":"m","stream":true,"input":"hi"}"#),
    }
}

/// The frame of an event, with its name where it has a type.
fn frame(event: &str) -> String {
    let json: Value = serde_json::from_str(event).expect(event);
    let name = json["type"].as_str().map(|name| format!("event: {name}\n")).unwrap_or_default();
    format!("{name}data: {event}\n\n")
}

/// The events before and after those of a test.
fn around(adapter: &str) -> (&'static str, &'static [&'static str]) {
    match adapter {
        "anthropic" => (
            r#"{"type":"message_start","message":{"id":"m1","type":"message","role":"assistant","model":"u","content":[],"stop_reason":null,"usage":{"input_tokens":5,"output_tokens":1}}}"#,
            &[
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}"#,
                r#"{"type":"message_stop"}"#,
            ],
        ),
        "gemini" => (
            r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"well"}]}}]}"#,
            &[
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"."}]},"finishReason":"STOP"}]}"#,
            ],
        ),
        "chat" => (
            r#"{"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"well"}}]}"#,
            &[r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#],
        ),
        _ => (
            r#"{"type":"response.created","response":{"id":"r","model":"u","output":[]}}"#,
            &[r#"{"type":"response.completed","response":{"id":"r","model":"u","output":[]}}"#],
        ),
    }
}

/// What a caller gets of a stream of these events.
fn answered(adapter: &str, rule: &str, events: &[&str]) -> String {
    let (before, after) = around(adapter);
    let all = std::iter::once(&before).chain(events).chain(after);
    let frames: Vec<String> = all.map(|event| frame(event)).collect();
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    let upstream = Upstream::always(Answer::stream(&frames));
    let provider = if ["chat", "responses"].contains(&adapter) { "openai" } else { adapter };
    let gateway = speaking(provider, &upstream, rule);
    let (path, body) = asking(adapter);
    let text = gateway.post_json(path, "sk-test", body).text();
    gateway.settled();
    text
}

/// Asserts that a stream goes out without the word that is forbidden, and is blocked with it.
#[track_caller]
fn check(adapter: &str, events: &[&str]) {
    let windows = "stream_processing_mode = \"window\"\nwindow_size = 12\nwindow_overlap = 10";
    for more in ["", windows] {
        let rule = keyword("k", "darn", &format!("hook_point = \"output\"\n{more}"));
        let text = answered(adapter, &rule, events);
        assert!(text.contains("response blocked by content policy (guardrail 'k')"), "{events:?}: {text}");
        for word in ["darn", "\"rn"] {
            assert!(!text.contains(word), "{events:?}: {text}");
        }
        let fine: Vec<String> = events.iter().map(|event| event.replace("rn", "sh")).collect();
        let fine: Vec<&str> = fine.iter().map(String::as_str).collect();
        let text = answered(adapter, &rule, &fine);
        assert!(!text.contains("blocked") && text.contains("sh"), "{events:?}: {text}");
    }
}

#[test]
fn whatever_an_event_of_the_responses_api_holds_is_judged() {
    for event in [
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"custom_tool_call","id":"i","call_id":"c","name":"f","input":"oh darn"}}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"mcp_call","id":"i","name":"f","arguments":"{}","output":"darn"}}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"web_search_call","id":"i","action":{"type":"search","query":"darn"}}}"#,
        r#"{"type":"response.something_new","words":["darn"]}"#,
        r#"{"type":"response.completed","response":{"id":"r","model":"u","output":[{"type":"message","content":[{"type":"output_text","text":"darn"}]}]}}"#,
    ] {
        check("responses", &[event]);
    }
    for kind in [
        "custom_tool_call_input.delta",
        "mcp_call_arguments.delta",
        "code_interpreter_call_code.delta",
        "audio.transcript.delta",
    ] {
        let delta = |text: &str| {
            format!(r#"{{"type":"response.{kind}","item_id":"i","output_index":0,"delta":"{text}"}}"#)
        };
        check("responses", &[&delta("oh da"), &delta("rn it")]);
    }
}

#[test]
fn whatever_an_event_of_anthropics_holds_is_judged() {
    let start =
        |block: &str| format!(r#"{{"type":"content_block_start","index":0,"content_block":{block}}}"#);
    let delta = |delta: &str| format!(r#"{{"type":"content_block_delta","index":0,"delta":{delta}}}"#);
    for block in [
        r#"{"type":"text","text":"darn"}"#,
        r#"{"type":"tool_use","id":"t","name":"f","input":{"a":"darn"}}"#,
        r#"{"type":"web_search_tool_result","tool_use_id":"t","content":[{"type":"web_search_result","title":"darn","url":"u"}]}"#,
        r#"{"type":"code_execution_tool_result","tool_use_id":"t","content":{"type":"code_execution_result","stdout":"darn"}}"#,
    ] {
        check("anthropic", &[&start(block)]);
    }
    check(
        "anthropic",
        &[&delta(r#"{"type":"new_delta","said":"da"}"#), &delta(r#"{"type":"new_delta","said":"rn"}"#)],
    );
    let searched = start(r#"{"type":"server_tool_use","id":"t","name":"web_search","input":{}}"#);
    let input = |text: &str| delta(&format!(r#"{{"type":"input_json_delta","partial_json":"{text}"}}"#));
    check("anthropic", &[&searched, &input(r#"{\"query\":\"da"#), &input(r#"rn\"}"#)]);
    let cited = r#"{"type":"citations_delta","citation":{"type":"char_location","cited_text":"darn","document_index":0}}"#;
    check("anthropic", &[&delta(cited)]);
    let linked = r#"{"type":"citations_delta","citation":{"type":"web_search_result_location","cited_text":"x","title":"t","url":"https://darn.example"}}"#;
    check("anthropic", &[&delta(r#"{"type":"text_delta","text":"x"}"#), &delta(linked)]);
}

#[test]
fn whatever_a_chunk_of_a_chat_or_of_gemini_holds_is_judged() {
    let chunk = |delta: &str| format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{delta}}}]}}"#);
    let spoken = |text: &str| chunk(&format!(r#"{{"audio":{{"transcript":"{text}"}}}}"#));
    check("chat", &[&spoken("da"), &spoken("rn")]);
    let input =
        |text: &str| chunk(&format!(r#"{{"tool_calls":[{{"index":0,"custom":{{"input":"{text}"}}}}]}}"#));
    check("chat", &[&input("da"), &input("rn")]);
    check(
        "chat",
        &[&chunk(r#"{"annotations":[{"type":"url_citation","url_citation":{"title":"darn","url":"u"}}]}"#)],
    );
    check("chat", &[&chunk(r#"{"something_new":{"x":"darn"}}"#)]);
    let part =
        |part: &str| format!(r#"{{"candidates":[{{"content":{{"role":"model","parts":[{part}]}}}}]}}"#);
    for own in [
        r#"{"executableCode":{"language":"PYTHON","code":"darn"}}"#,
        r#"{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"darn"}}"#,
        r#"{"somethingNew":{"x":"darn"}}"#,
    ] {
        check("gemini", &[&part(own)]);
    }
}

#[test]
fn what_an_event_says_again_fills_no_buffer() {
    let words = "fine words ".repeat(30);
    let said = format!(
        r#"{{"type":"response.output_text.delta","item_id":"i","output_index":0,"content_index":0,"delta":"{words}"}}"#
    );
    let done = format!(
        r#"{{"type":"response.output_text.done","item_id":"i","output_index":0,"content_index":0,"text":"{words}"}}"#
    );
    let whole = format!(
        r#"{{"type":"response.completed","response":{{"id":"r","model":"u","instructions":"never say darn","output":[{{"type":"message","content":[{{"type":"output_text","text":"{words}"}}]}}]}}}}"#
    );
    let rule = keyword("k", "darn", "hook_point = \"output\"\nmax_buffer_bytes = 600");
    let text = answered("responses", &rule, &[&said, &done, &whole]);
    assert!(!text.contains("blocked") && text.matches(&words).count() == 3, "{text}");
}

#[test]
fn a_source_with_personal_data_does_not_go_out() {
    let delta = |delta: &str| format!(r#"{{"type":"content_block_delta","index":0,"delta":{delta}}}"#);
    let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let cited = |quote: &str, url: &str| {
        delta(&format!(
            r#"{{"type":"citations_delta","citation":{{"type":"web_search_result_location","cited_text":"{quote}","title":"t","url":"https://{url}"}}}}"#
        ))
    };
    let said = delta(r#"{"type":"text_delta","text":"fine"}"#);
    let stop = r#"{"type":"content_block_stop","index":0}"#;
    let (open, private) = (cited("words", "open.example"), cited("ann@x.example", "private.example"));
    let events = [start, &said, &open, &private, stop];
    let text = answered("anthropic", &email("mask", ""), &events);
    assert!(text.contains("fine") && text.contains("https://open.example"), "{text}");
    assert!(!text.contains("ann@x") && !text.contains("private.example"), "{text}");

    let cited = |title: &str, url: &str| {
        let source = format!(r#"{{"url":"https://{url}","title":"{title}","start_index":0,"end_index":4}}"#);
        format!(
            r#"{{"id":"c","choices":[{{"index":0,"delta":{{"annotations":[{{"type":"url_citation","url_citation":{source}}}]}}}}]}}"#
        )
    };
    let (open, private) = (cited("words", "open.example"), cited("ann@x.example", "private.example"));
    let text = answered("chat", &email("mask", ""), &[&open, &private]);
    assert!(text.contains("well") && text.contains("https://open.example"), "{text}");
    assert!(!text.contains("ann@x") && !text.contains("private.example"), "{text}");
}
