//! Streams of pictures, transcripts and continued texts: live, byte for byte, with what they counted.

use aisix::endpoints::{ENDPOINTS, Operation};

use super::*;

/// The operations whose streams are no conversations.
const STREAMED: [Operation; 5] = [
    Operation::Complete,
    Operation::Image,
    Operation::EditImage,
    Operation::Transcribe,
    Operation::Translate,
];

fn sample(operation: Operation) -> Sample {
    let row = ENDPOINTS.iter().find(|row| row.operation == operation).expect("a row");
    Sample::streamed(row, "m").expect("it is streamed")
}

/// The provider's events, of which those after the first wait for the gate.
fn gated(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |request, _| {
        let events = answers::events(&request.path);
        let first = Answer::events().event(&events[0]).wait(&gate);
        events[1..].iter().fold(first, |answer, event| answer.event(event)).end()
    })
}

#[test]
fn events_come_as_they_are_while_they_are_made() {
    for operation in STREAMED {
        let gate = Gate::default();
        let upstream = gated(&gate);
        let usage = UsageFile::new();
        let gateway = gateway_over(&upstream, &usage.settings());
        let sample = sample(operation);
        let mut stream = sample.begin(&gateway, "sk-test", &[]).stream();
        assert_eq!(stream.head.header("content-type"), Some("text/event-stream"));
        stream.until("\n\n");
        gate.open();
        let text = stream.rest().to_owned();
        let events = answers::events(&sample.path);
        // The caller did not ask for usage, and does not get it; the model is the one that it named.
        let is_text = operation == Operation::Complete;
        let wanted = events.iter().filter(|event| !is_text || !event.contains("\"choices\":[],"));
        let wanted: String = wanted.map(String::as_str).collect();
        assert_eq!(text, wanted.replace("upstream-m", "m"), "{operation}");
        let received = &upstream.received()[0];
        if is_text {
            assert_eq!(received.json()["stream_options"]["include_usage"], true);
        } else {
            assert!(!String::from_utf8_lossy(&received.body).contains("stream_options"), "{operation}");
        }
        let record = &usage.wait_for(&gateway, 1)[0];
        assert_eq!((&record["prompt_tokens"], &record["completion_tokens"]), (&5.into(), &7.into()));
        assert!(record.get("usage_estimated").is_none() && record["upstream_ttft_ms"].is_u64(), "{record}");
    }
}

#[test]
fn a_provider_that_cannot_stream_an_operation_answers_it_whole() {
    for operation in STREAMED.into_iter().filter(|operation| *operation != Operation::Complete) {
        let upstream = Upstream::always(Answer::json(200, answers::TRANSCRIPT));
        let usage = UsageFile::new();
        let gateway = gateway_over(&upstream, &usage.settings());
        let response = sample(operation).send(&gateway, "sk-test").expect(200);
        assert_eq!(response.text(), answers::TRANSCRIPT);
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(usage.wait_for(&gateway, 1)[0]["completion_tokens"], 7, "{operation}");
    }
}

#[test]
fn a_failure_before_the_first_event_is_a_plain_error() {
    for operation in STREAMED {
        let event =
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"too vile\",\"code\":400}}\n\n";
        let upstream = Upstream::always(Answer::stream(&[event]));
        let gateway = gateway_over(&upstream, &model("once", "up", "retries = 0"));
        let response = sample(operation).send(&gateway, "sk-test").expect(400);
        assert_eq!(response.error_message(), "too vile", "{operation}");
        gateway.settled();
    }
}

#[test]
fn a_finished_stream_without_its_last_word_is_closed_properly() {
    let upstream = Upstream::start(|request, _| {
        let events = answers::events(&request.path);
        let kept = events.iter().filter(|event| !event.contains("[DONE]")).map(String::as_str);
        Answer::stream(&kept.collect::<Vec<_>>())
    });
    let gateway = gateway_over(&upstream, "");
    for operation in STREAMED {
        let mut stream = sample(operation).begin(&gateway, "sk-test", &[]).stream();
        let text = stream.rest();
        assert!(!text.contains("error"), "{operation}: {text}");
        assert_eq!(text.contains("[DONE]"), operation == Operation::Complete, "{operation}: {text}");
    }
    gateway.settled();
}
