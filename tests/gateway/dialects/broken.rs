//! Streams that do not end as they should, in every pair of dialects.

use aisix::envelope::Envelope;

use super::*;
use crate::matrix::assert_refused;

impl Caller {
    fn envelope(self) -> Envelope {
        match self {
            Self::Chat => Envelope::OpenAi,
            Self::Responses => Envelope::Responses,
            Self::Messages => Envelope::Anthropic,
            Self::Gemini => Envelope::Google,
        }
    }

    /// Asserts the frame of an error after the head has gone out (§3.8), and gives what was before it.
    #[track_caller]
    fn assert_broken(self, text: &str, kind: &str) {
        let frame = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
        let data: Value = frame
            .split("data: ")
            .nth(1)
            .and_then(|data| serde_json::from_str(data).ok())
            .unwrap_or_else(|| panic!("{self:?}: {text}"));
        let found = match self {
            Self::Chat => &data["error"]["type"],
            Self::Responses => {
                assert_eq!(data["type"], "error", "{frame}");
                &data["code"]
            }
            Self::Messages => {
                assert_eq!(data["type"], "error", "{frame}");
                &data["error"]["type"]
            }
            Self::Gemini => {
                assert!(data["error"]["code"].is_u64() && data["error"]["status"].is_string(), "{frame}");
                &Value::Null
            }
        };
        assert!(found.is_null() || found == kind, "{self:?}: {frame}");
        let before = text.trim_end().strip_suffix(frame).unwrap_or_default();
        assert!(!self.is_closed(before), "{self:?}: {text}");
    }
}

/// The events of a stream of four words, and how many of them come before its end.
fn words(provider: Provider) -> (Vec<String>, usize) {
    let text = ["one ", "two ", "three ", "four"];
    match provider {
        Provider::OpenAi => {
            let mut events: Vec<String> = text.iter().map(|word| delta(word)).collect();
            events.extend([finish(), "data: [DONE]\n\n".to_owned()]);
            (events, 4)
        }
        Provider::Anthropic => {
            let named =
                |name: &str, more: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\"{more}}}\n\n");
            let message = r#","message":{"id":"msg_1","type":"message","role":"assistant","model":"upstream-m","content":[],"stop_reason":null,"usage":{"input_tokens":5,"output_tokens":1}}"#;
            let block = r#","index":0,"content_block":{"type":"text","text":""}"#;
            let mut events = vec![named("message_start", message), named("content_block_start", block)];
            events.extend(text.iter().map(|word| {
                named(
                    "content_block_delta",
                    &format!(r#","index":0,"delta":{{"type":"text_delta","text":"{word}"}}"#),
                )
            }));
            events.push(named("content_block_stop", r#","index":0"#));
            let stop =
                r#","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":7}"#;
            events.extend([named("message_delta", stop), named("message_stop", "")]);
            (events, 6)
        }
        Provider::Gemini => {
            let event = |word: &str, more: &str| {
                format!(
                    "data: {{\"candidates\":[{{\"content\":{{\"role\":\"model\",\"parts\":[{{\"text\":\"{word}\"}}]}},\"index\":0{more}}}],\"modelVersion\":\"upstream-m\"}}\r\n\r\n"
                )
            };
            let mut events: Vec<String> = text[..3].iter().map(|word| event(word, "")).collect();
            events.push(event(text[3], r#","finishReason":"STOP""#));
            (events, 3)
        }
    }
}

fn begun(provider: Provider, count: usize) -> Answer {
    words(provider).0[..count].iter().fold(Answer::events(), |answer, event| answer.event(event))
}

#[test]
fn a_stream_that_breaks_off_ends_with_an_error_in_the_callers_dialect() {
    for (caller, provider) in pairs() {
        // However it breaks: by a reset, by an end in the middle, or by an end that looks proper.
        for end in [Answer::reset, Answer::close, Answer::end] {
            let gate = Gate::default();
            let upstream = Upstream::always(end(begun(provider, words(provider).1).wait(&gate)));
            let usage = UsageFile::new();
            let gateway = provider.gateway(&upstream, &usage.settings());
            let mut stream = caller.ask(&gateway, "m", true, "").stream();
            stream.until("three");
            gate.open();
            caller.assert_broken(&stream.rest().replace("\r\n", "\n"), "stream_aborted");
            let record = usage.wait_for(&gateway, 1).pop().expect("one");
            assert_eq!(record["error_class"], "stream_aborted", "{caller:?} {provider:?}: {record}");
            // Three words were said, whatever the provider counted before the first of them.
            assert!(record["completion_tokens"].as_u64() > Some(2), "{caller:?} {provider:?}: {record}");
        }
    }
}

#[test]
fn a_finished_stream_without_its_last_word_is_closed_properly() {
    for (caller, provider) in pairs() {
        let (events, _) = words(provider);
        let kept = if provider == Provider::Gemini { events.len() } else { events.len() - 1 };
        let upstream = Upstream::always(begun(provider, kept).end());
        let usage = UsageFile::new();
        let gateway = provider.gateway(&upstream, &usage.settings());
        let text = caller.ask(&gateway, "m", true, "").response().expect(200).text().replace("\r\n", "\n");
        assert!(caller.is_closed(&text), "{caller:?} {provider:?}: {text}");
        assert_eq!(caller.streamed_words(&text), "one two three four", "{caller:?} {provider:?}: {text}");
        assert!(!text.contains("event: error"), "{caller:?} {provider:?}: {text}");
        let record = usage.wait_for(&gateway, 1).pop().expect("one");
        assert_eq!(record["status_code"], 200, "{caller:?} {provider:?}: {record}");
        assert_eq!(record["finish_reason"], "stop", "{caller:?} {provider:?}: {record}");
    }
}

/// A failure inside a stream, as the provider says it, with a status of 429.
fn failure(provider: Provider) -> &'static str {
    match provider {
        Provider::OpenAi => "data: {\"error\":{\"message\":\"slow down\",\"code\":429}}\n\n",
        Provider::Anthropic => {
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow down\"}}\n\n"
        }
        Provider::Gemini => {
            "data: {\"error\":{\"code\":429,\"message\":\"slow down\",\"status\":\"RESOURCE_EXHAUSTED\"}}\r\n\r\n"
        }
    }
}

#[test]
fn a_failure_before_the_first_event_is_a_plain_error_with_its_status() {
    for (caller, provider) in pairs() {
        let upstream = Upstream::always(Answer::stream(&[failure(provider)]));
        let gateway = provider.gateway(&upstream, "");
        let response = caller.ask(&gateway, "m", true, "").response();
        assert_refused(caller.envelope(), &response, 429, "upstream_error");
        assert_eq!(response.error_message(), "slow down", "{caller:?} {provider:?}");
        gateway.settled();
    }
}

#[test]
fn a_failure_in_the_middle_is_the_last_frame() {
    for (caller, provider) in pairs() {
        let upstream = Upstream::always(begun(provider, words(provider).1).event(failure(provider)).end());
        let gateway = provider.gateway(&upstream, "");
        let response = caller.ask(&gateway, "m", true, "").response().expect(200);
        let text = response.text().replace("\r\n", "\n");
        caller.assert_broken(&text, "upstream_in_band_error");
        assert!(text.contains("slow down"), "{caller:?} {provider:?}: {text}");
        gateway.settled();
    }
}

#[test]
fn a_refusal_keeps_status_and_words_across_dialects() {
    for (caller, provider) in pairs() {
        let body = failure(provider).split("data: ").nth(1).expect("data").trim();
        let upstream = Upstream::always(Answer::json(429, body));
        let gateway = provider.gateway(&upstream, "");
        for is_stream in [false, true] {
            let response = caller.ask(&gateway, "m", is_stream, "").response();
            assert_refused(caller.envelope(), &response, 429, "upstream_error");
            assert_eq!(response.error_message(), "slow down", "{caller:?} {provider:?}");
        }
        gateway.settled();
    }
}

#[test]
fn anthropics_clients_get_the_code_in_the_details_and_nobody_else_does() {
    let error = r#"{"type":"error","error":{"type":"not_found_error","message":"no such thread","details":{"error_code":"thread_not_found"}}}"#;
    for caller in CALLERS {
        for (answer, is_stream) in [
            (Answer::json(404, error), false),
            (Answer::json(404, error), true),
            (Answer::stream(&[&format!("event: error\ndata: {error}\n\n")]), true),
        ] {
            let upstream = Upstream::always(answer);
            let gateway = Provider::Anthropic.gateway(&upstream, "");
            let response = caller.ask(&gateway, "m", is_stream, "").response().expect(404);
            assert_eq!(response.error_message(), "no such thread", "{caller:?}");
            let code = &response.json()["error"]["details"]["error_code"];
            let wanted = (caller == Caller::Messages).then_some("thread_not_found");
            assert_eq!(code.as_str(), wanted, "{caller:?}: {response:?}");
            gateway.settled();
        }
    }
    let begun = begun(Provider::Anthropic, words(Provider::Anthropic).1);
    let upstream = Upstream::always(begun.event(&format!("event: error\ndata: {error}\n\n")).end());
    let gateway = Provider::Anthropic.gateway(&upstream, "");
    let text = Caller::Messages.ask(&gateway, "m", true, "").response().expect(200).text();
    assert!(text.contains(r#""details":{"error_code":"thread_not_found"}"#), "{text}");
    gateway.settled();
}
