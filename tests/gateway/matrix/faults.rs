//! What providers do wrong, at every endpoint: an error in the endpoint's own envelope, or a stream that says that it
//! broke off.

use aisix_actors::Now;
use aisix_actors::candidate_router::Check;

use super::*;

/// Rows that are asked and whose answer the gateway reads.
fn understood() -> impl Iterator<Item = &'static Endpoint> {
    read().filter(|row| reaches_provider(row))
}

/// A gateway whose model is asked once, over a provider that always gives this answer.
fn over(answer: Answer) -> (Upstream, Gateway) {
    let upstream = Upstream::always(answer);
    let gateway = gateway_over(&upstream, &model("once", "up", "retries = 0\ntimeout = 300"));
    (upstream, gateway)
}

/// What an endpoint says to this answer of its provider, unstreamed and, where it can be, streamed.
fn each(answer: Answer, check: impl Fn(&'static Endpoint, Response)) {
    let (upstream, gateway) = over(answer);
    let mut asked = 0;
    for row in understood() {
        for sample in [Some(Sample::of(row, "once")), Sample::streamed(row, "once")].into_iter().flatten() {
            let response = sample.send(&gateway, "sk-test");
            assert_common(&response);
            assert_call_id(row, &response);
            check(row, response);
            gateway.settled();
            asked += 1;
        }
    }
    assert_eq!(upstream.count(), asked, "each was asked once");
}

#[test]
fn a_refusal_keeps_its_status_its_words_and_the_time_to_wait() {
    let headers = [("content-type", "application/json"), ("retry-after", "7")];
    let body = r#"{"error":{"message":"slow down","type":"requests","param":null,"code":"too_fast"}}"#;
    each(Answer::with_headers(429, &headers, body), |row, response| {
        assert_refused(row.envelope, &response, 429, "upstream_error");
        assert_eq!(response.error_message(), "slow down", "{}", row.path);
        assert_eq!(response.header("retry-after"), Some("7"), "{}", row.path);
    });
}

#[test]
fn a_failure_of_the_provider_is_a_502_without_its_words() {
    each(Answer::json(500, r#"{"error":{"message":"at 10.0.0.7"}}"#), |row, response| {
        assert_refused(row.envelope, &response, 502, "upstream_error");
        assert_eq!(response.error_message(), "upstream returned 500", "{}", row.path);
    });
}

#[test]
fn silence_is_a_504_that_names_the_limit() {
    each(Answer::silence(), |row, response| {
        assert_refused(row.envelope, &response, 504, "timeout");
        assert!(response.error_message().contains("300ms"), "{}: {response:?}", row.path);
    });
}

#[test]
fn a_connection_that_breaks_is_a_502() {
    each(Answer::default().reset(), |row, response| {
        assert_refused(row.envelope, &response, 502, "transport_error");
    });
}

#[test]
fn what_cannot_be_read_is_a_502() {
    each(Answer::json(200, "<html>not json"), |row, response| {
        // Sound is whatever it is.
        if row.operation != Operation::Speak {
            assert_refused(row.envelope, &response, 502, "upstream_decode_error");
        }
    });
}

#[test]
fn a_failure_under_a_status_of_success_is_a_failure() {
    each(Answer::json(200, r#"{"error":{"message":"no such voice","code":400}}"#), |row, response| {
        if row.operation != Operation::Speak {
            assert_refused(row.envelope, &response, 400, "upstream_error");
        }
    });
}

#[test]
fn a_group_without_targets_is_a_503_with_the_time_to_wait() {
    let upstream = Upstream::well();
    let more = model("n", "up", "") + &routing("group", &["m", "n"], "when_all_unavailable = \"fail\"");
    let gateway = gateway_over(&upstream, &more);
    let group = gateway.gateway.snapshot().resolve("group").expect("declared").model;
    for member in &group.group.members {
        gateway.gateway.books.health.record_check(&member.target.id, Check::Failed(Some(500)), Now::read());
    }
    for row in read() {
        let response = ask(&gateway, row, "sk-test", "group");
        assert_refused(row.envelope, &response, 503, "all_candidates_unavailable");
        assert!(response.header("retry-after").is_some(), "{}", row.path);
    }
    gateway.settled();
    assert_eq!(upstream.count(), 0);
}

/// The first event of a good stream, and how it goes on.
fn begun(then: fn(Answer) -> Answer) -> Upstream {
    Upstream::start(move |request, _| {
        let path = request.path.split('?').next().unwrap_or_default();
        let first = answers::events(path).iter().take(2).fold(Answer::events(), |answer, event| {
            let is_text = !event.contains("completed") && !event.contains(".done") && !event.contains("stop");
            if is_text { answer.event(event) } else { answer }
        });
        then(first)
    })
}

#[test]
fn a_stream_that_breaks_off_ends_with_an_error_and_never_with_its_closing_words() {
    let upstream = begun(Answer::reset);
    let gateway = gateway_over(&upstream, &model("once", "up", "retries = 0"));
    for row in ENDPOINTS.iter() {
        let Some(sample) = Sample::streamed(row, "once") else { continue };
        let mut stream = sample.begin(&gateway, "sk-test", &[]).stream();
        assert_eq!(stream.head.status, 200, "{}", row.path);
        let text = stream.rest().to_owned();
        let frame = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
        let data = frame.split("data: ").nth(1).unwrap_or_else(|| panic!("{}: {text}", row.path));
        let data: Value = serde_json::from_str(data).unwrap_or_else(|_| panic!("{}: {text}", row.path));
        let is_named = frame.starts_with("event: error\n");
        assert_eq!(is_named, row.envelope != Envelope::Google, "{}: {frame}", row.path);
        match row.envelope {
            Envelope::OpenAi => assert_eq!(data["error"]["type"], "stream_aborted", "{frame}"),
            Envelope::Responses => {
                assert_eq!((&data["type"], &data["code"]), (&"error".into(), &"stream_aborted".into()));
            }
            Envelope::Anthropic => assert_eq!(
                (&data["type"], &data["error"]["type"]),
                (&"error".into(), &"stream_aborted".into())
            ),
            Envelope::Google => assert_google(&data, 502),
            Envelope::Admin => panic!("callers never see the Admin envelope"),
        }
        for word in ["[DONE]", "message_stop", "response.completed", ".done\"", "\"finishReason\":\""] {
            assert!(!text.contains(word), "{}: {text}", row.path);
        }
        gateway.settled();
    }
}

#[test]
fn a_caller_who_leaves_in_the_middle_of_a_stream_is_billed_for_it_and_keeps_nothing() {
    let upstream = begun(Answer::stall);
    let usage = UsageFile::new();
    let gateway = gateway_over(&upstream, &(scarce() + &usage.settings()));
    let mut count = 0;
    for row in ENDPOINTS.iter() {
        let Some(sample) = Sample::streamed(row, "priced") else { continue };
        let left = upstream.hang_ups();
        let mut stream = sample.begin(&gateway, "sk-test", &[]).stream();
        stream.until("data: ");
        assert_eq!(gateway.gateway.open_exchanges(), 1, "{}", row.path);
        stream.leave();
        until("the upstream is left", || upstream.hang_ups() > left);
        count += 1;
        let records = usage.wait_for(&gateway, count);
        let record = records.last().expect("one");
        assert_eq!(record["status_code"], 499, "{}", row.path);
        assert_eq!(record["error_class"], "client_disconnected", "{}", row.path);
        assert_eq!(record["inbound_protocol"], row.protocol(), "{}", row.path);
        assert_eq!(record["usage_estimated"], true, "{}: {record}", row.path);
    }
    assert!(count >= 9, "{count}");
}
