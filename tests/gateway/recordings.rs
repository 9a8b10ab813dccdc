//! Every recorded exchange in OpenAI's chat dialect, replayed through the gateway.
//!
//! What a real client sent must reach the provider, and what a real provider answered must reach the caller, byte for
//! byte but for the few members that the gateway owns. The recordings lie beside the project; where they do not, these
//! tests say so and pass.

use aisix::dialect::sse::Reader;
use bytes::Bytes;
use serde_json::{Value, json};

mod exchange;
mod expected;
mod stage;

use exchange::{Exchange, exchanges, with_member, with_model};
use expected::{Counted, End};
use stage::{Case, Seen, Sending, Stage, cases};

/// Longest stream that is sent through a socket byte by byte.
const SHORT: usize = 4000;
/// Longer streams are cut at fewer places.
const LONG: usize = 20_000;
/// The distance between two cuts of a long stream: a prime, so that cuts fall on every part of a frame.
const LONG_STEP: usize = 7;

/// Replays some exchanges and reports everything that is wrong with all of them.
fn replay(which: fn(&Exchange) -> bool, sending: Sending, check: fn(&Case<'_>, &Seen) -> Result<(), String>) {
    let mut exchanges = exchanges();
    exchanges.retain(which);
    let cases = cases(&exchanges);
    let stage = Stage::set(&cases);
    let mut problems = Vec::new();
    for case in &cases {
        let seen = stage.play(case, sending);
        let outcome = check_request(case, &seen).and_then(|()| check_headers(case, &seen));
        if let Err(problem) = outcome.and_then(|()| check(case, &seen)) {
            problems.push(format!("{} as {:?}: {problem}", case.exchange.id, case.model));
        }
    }
    assert!(problems.is_empty(), "{} of {} differ:\n{}", problems.len(), cases.len(), problems.join("\n"));
}

/// What real clients sent, recorded.
pub fn requests() -> Vec<String> {
    exchanges().into_iter().map(|exchange| exchange.request).collect()
}

fn is_whole(exchange: &Exchange) -> bool {
    exchange.status < 400 && !exchange.is_stream
}

fn is_error(exchange: &Exchange) -> bool {
    exchange.status >= 400
}

fn is_stream(exchange: &Exchange) -> bool {
    exchange.is_stream
}

#[test]
fn whole_answers_are_passed_on_but_for_the_model() {
    replay(is_whole, Sending::Whole, check_whole);
}

#[test]
fn error_answers_keep_what_a_caller_may_know() {
    replay(is_error, Sending::Whole, check_error);
}

#[test]
fn streams_are_passed_on_frame_by_frame() {
    replay(is_stream, Sending::Whole, check_stream);
}

#[test]
fn streams_that_come_byte_by_byte_are_the_same() {
    replay(|exchange| exchange.is_stream && exchange.body.len() < SHORT, Sending::ByteByByte, check_stream);
}

#[test]
fn finished_streams_that_lack_their_end_are_given_one() {
    replay(
        |exchange| exchange.is_stream && exchange.body.contains("[DONE]"),
        Sending::WithoutDone,
        check_stream,
    );
}

#[test]
fn frames_do_not_depend_on_where_a_stream_is_cut() {
    let mut streams = exchanges();
    streams.retain(is_stream);
    let (first, second) = streams.split_at(streams.len() / 2);
    std::thread::scope(|scope| {
        for half in [first, second] {
            scope.spawn(|| half.iter().for_each(check_cuts));
        }
    });
}

/// What was asked of the provider: the caller's own bytes, but for the model and the wish for usage.
fn check_request(case: &Case<'_>, seen: &Seen) -> Result<(), String> {
    let received = &seen.received;
    let sent: Value = serde_json::from_str(&case.request()).expect("JSON");
    let mut wanted = with_model(&case.request(), &case.upstream_model);
    if sent["stream"] == true && sent.get("stream_options").is_none() {
        wanted = with_member(&wanted, r#""stream_options":{"include_usage":true}"#);
    }
    same("the request's body", &String::from_utf8_lossy(&received.body), &wanted)?;
    same(
        "the request's line",
        &format!("{} {}", received.method, received.path),
        "POST /v1/chat/completions",
    )?;
    same("the credential", received.header("authorization").unwrap_or_default(), "Bearer sk-provider")?;
    let id = seen.response.header("x-aisix-request-id").unwrap_or_default();
    same("the request's id", received.header("x-aisix-request-id").unwrap_or_default(), id)?;
    let everything = format!("{:?}{}", received.headers, String::from_utf8_lossy(&received.body));
    if everything.contains(&case.key) {
        Err("the provider was told the caller's key".to_owned())
    } else {
        Ok(())
    }
}

/// The provider's headers are between the provider and the gateway.
fn check_headers(case: &Case<'_>, seen: &Seen) -> Result<(), String> {
    const OWN: [&str; 4] = ["content-type", "cache-control", "retry-after", "date"];
    let own = case.exchange.headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    let passed: Vec<_> = own.filter(|(name, value)| seen.response.header(name) == Some(value)).collect();
    if passed.is_empty() { Ok(()) } else { Err(format!("headers were passed on: {passed:?}")) }
}

fn check_whole(case: &Case<'_>, seen: &Seen) -> Result<(), String> {
    same("the status", &seen.response.status.to_string(), &case.exchange.status.to_string())?;
    same("the type", seen.response.header("content-type").unwrap_or_default(), "application/json")?;
    same("the body", &seen.response.text(), &with_model(&case.exchange.body, &case.model))?;
    let body: Value = serde_json::from_str(&case.exchange.body).expect("JSON");
    check_counted(expected::counted(&body["usage"]), seen)
}

fn check_error(case: &Case<'_>, seen: &Seen) -> Result<(), String> {
    let header = |wanted: &str| case.exchange.headers.iter().find(|(name, _)| name == wanted);
    let retry_after = header("retry-after").map(|(_, value)| value.as_str());
    let refusal = expected::refusal(case.exchange.status, &case.exchange.body, retry_after);
    check_refusal(&refusal, seen)
}

fn check_refusal(refusal: &expected::Refusal, seen: &Seen) -> Result<(), String> {
    same("the status", &seen.response.status.to_string(), &refusal.status.to_string())?;
    same("the error", &seen.response.json().to_string(), &json!({ "error": refusal.error }).to_string())?;
    let retry_after = seen.response.header("retry-after").map(str::to_owned);
    same("Retry-After", &format!("{retry_after:?}"), &format!("{:?}", refusal.retry_after))?;
    same("the tokens of a refusal", &seen.counted.total.to_string(), "0")
}

fn check_stream(case: &Case<'_>, seen: &Seen) -> Result<(), String> {
    let sent: Value = serde_json::from_str(&case.request()).expect("JSON");
    let hides_usage = sent.get("stream_options").is_none();
    let expected = expected::stream(&case.exchange.body, &case.model, hides_usage);
    if let End::Refused(error) = &expected.end {
        let status =
            error["code"].as_u64().and_then(|code| u16::try_from(code).ok()).expect("a status is recorded");
        return check_refusal(&expected::from_error(status, error, None), seen);
    }
    let text = seen.response.text();
    same("the status", &seen.response.status.to_string(), "200")?;
    same("the type", seen.response.header("content-type").unwrap_or_default(), "text/event-stream")?;
    let End::Failed(error) = &expected.end else {
        same("the stream", &text, &expected.text)?;
        return check_counted(expected.counted, seen);
    };
    let (relayed, last) = text.split_at(text.len().min(expected.text.len()));
    same("the stream before its failure", relayed, &expected.text)?;
    check_error_frame(last, error)
}

/// The last frame of a stream that the provider gave up (§3.8).
fn check_error_frame(frame: &str, reported: &Value) -> Result<(), String> {
    let data = frame.strip_prefix("event: error\ndata: ").and_then(|rest| rest.strip_suffix("\n\n"));
    let body: Value = data.and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
    let members: Vec<&String> =
        body["error"].as_object().map(|error| error.keys().collect()).unwrap_or_default();
    same("the members of the error frame", &format!("{members:?}"), r#"["message", "type"]"#)
        .map_err(|problem| format!("{problem}, the frame is {frame:?}"))?;
    same(
        "the type of the error frame",
        body["error"]["type"].as_str().unwrap_or_default(),
        "upstream_in_band_error",
    )?;
    // Groq names the status in a member of its own.
    let status = reported["code"].as_u64().or(reported["status_code"].as_u64());
    let is_callers = status.is_some_and(|status| (400..500).contains(&status));
    let words = reported["message"].as_str().expect("recorded errors have words");
    let is_told = body["error"]["message"] == words;
    if is_told == is_callers { Ok(()) } else { Err(format!("the words of the error frame: {frame:?}")) }
}

/// What the gateway counted is what the provider counted; where it counted nothing, the gateway guesses.
fn check_counted(expected: Option<Counted>, seen: &Seen) -> Result<(), String> {
    match expected {
        Some(expected) => same("the usage", &format!("{:?}", seen.counted), &format!("{expected:?}")),
        None if seen.counted.total > 0 => Ok(()),
        None => Err("nothing was counted".to_owned()),
    }
}

/// Compares, and shows the place where two texts part.
fn same(what: &str, found: &str, wanted: &str) -> Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    let parting = found.bytes().zip(wanted.bytes()).take_while(|(left, right)| left == right).count();
    let shown = |text: &str| {
        let bytes = &text.as_bytes()[parting.saturating_sub(20)..text.len().min(parting + 120)];
        String::from_utf8_lossy(bytes).into_owned()
    };
    Err(format!("{what}, from byte {parting} on: {:?}, and not {:?}", shown(found), shown(wanted)))
}

/// Cuts a stream in two at every place, and once everywhere.
fn check_cuts(exchange: &Exchange) {
    let whole = expected::frames(&exchange.body);
    let stream = Bytes::from(exchange.body.clone());
    check_frames(std::slice::from_ref(&stream), &whole, || format!("{} in one piece", exchange.id));
    let bytes: Vec<Bytes> = (0..stream.len()).map(|at| stream.slice(at..=at)).collect();
    check_frames(&bytes, &whole, || format!("{} byte by byte", exchange.id));
    let step = if stream.len() > LONG { LONG_STEP } else { 1 };
    for cut in (0..stream.len()).step_by(step) {
        let halves = [stream.slice(..cut), stream.slice(cut..)];
        check_frames(&halves, &whole, || format!("{} cut at {cut}", exchange.id));
    }
}

/// Reads pieces, and asserts that they give these frames and nothing else.
fn check_frames(pieces: &[Bytes], whole: &[&str], what: impl Fn() -> String) {
    let mut reader = Reader::default();
    let mut rest = whole.iter();
    let mut check = |frame: &[u8]| {
        let wanted = rest.next().map(|frame| frame.as_bytes());
        assert_eq!(Some(frame), wanted, "{}: {}", what(), String::from_utf8_lossy(frame));
    };
    for piece in pieces {
        reader.push(piece.clone());
        while let Some(frame) = reader.next_frame().expect("recorded frames are small") {
            check(frame.bytes);
        }
    }
    while let Some(frame) = reader.finish() {
        check(frame.bytes);
    }
    assert_eq!(rest.count(), 0, "{}: frames are missing", what());
}
