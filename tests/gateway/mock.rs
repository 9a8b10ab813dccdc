//! The mock provider as tests use it: its faults on a real socket, its counts, and a gateway over several of them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use aisix::mock::{Fault, FaultPlan};

use crate::harness::{
    Connection, Gateway, Mock, api_key, chat_body, provider_key, request_text, routing, until,
};

const CHAT: &str = "/v1/chat/completions";
/// How long a provider is silent before a test believes it.
const SILENCE: Duration = Duration::from_millis(100);

/// All that comes before the connection ends, and how it ends.
fn all(addr: SocketAddr, body: &str, patience: Option<Duration>) -> (String, Option<ErrorKind>) {
    let mut stream = TcpStream::connect(addr).expect("the mock accepts");
    stream.set_read_timeout(patience.or(Some(crate::harness::PATIENCE))).expect("sets");
    stream
        .write_all(&request_text("POST", CHAT, "", &[("connection", "close")], body.as_bytes()))
        .expect("it reads");
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    let end = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break None,
            Ok(count) => read.extend_from_slice(&buffer[..count]),
            Err(error) => break Some(error.kind()),
        }
    };
    (String::from_utf8_lossy(&read).into_owned(), end)
}

fn streamed(model: &str) -> String {
    chat_body(model, r#","stream":true"#)
}

/// A model with the provider's name for it.
fn named(name: &str, provider_key: &str, upstream: &str) -> String {
    format!(
        "[[models]]\ndisplay_name = \"{name}\"\nprovider_key = \"{provider_key}\"\nmodel_name = \"{upstream}\"\n"
    )
}

#[test]
fn a_reset_is_a_reset() {
    let mock = Mock::start();
    assert_eq!(
        all(mock.addr(), &chat_body("s05", ""), None),
        (String::new(), Some(ErrorKind::ConnectionReset))
    );
    assert_eq!(mock.requests("s05"), 1);
    mock.chat(&chat_body("demo", ""), &[]).expect(200);
}

#[test]
fn a_provider_that_never_answers_sends_nothing() {
    let mock = Mock::start();
    let (read, end) = all(mock.addr(), &chat_body("s06", ""), Some(SILENCE));
    assert!(
        read.is_empty() && matches!(end, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
        "{read}, {end:?}"
    );
    assert_eq!(mock.requests("s06"), 1);
}

#[test]
fn a_cut_stream_does_not_end_as_http_ends() {
    let mock = Mock::start();
    let (read, _) = all(mock.addr(), &streamed("s08"), None);
    assert!(
        read.starts_with("HTTP/1.1 200") && read.contains("word40") && !read.contains("word41"),
        "{read}"
    );
    assert!(!read.ends_with("0\r\n\r\n"), "{read}");
    let (read, _) = all(mock.addr(), &chat_body("s08", ""), None);
    assert!(read.contains("word20") && !read.contains("word60") && !read.ends_with("0\r\n\r\n"), "{read}");
    let (read, end) = all(mock.addr(), &streamed("s11"), None);
    assert!(read.ends_with("0\r\n\r\n") && end.is_none() && !read.contains("[DONE]"), "{read}");
}

#[test]
fn a_silent_stream_stays_open() {
    let mock = Mock::start();
    let mut connection = Connection::open(mock.addr());
    connection.send(&request_text("POST", CHAT, "", &[], streamed("s09").as_bytes()));
    let mut stream = connection.stream();
    let said = stream.until("word30\"").to_owned();
    assert!(!said.contains("word31"), "{said}");
    assert_eq!(mock.left_streams(), 0);
    stream.leave();
    until("the mock notices that its caller has left", || mock.left_streams() == 1);
}

#[test]
fn a_short_stall_goes_on_to_the_end() {
    let mock = Mock::start();
    let said = mock.chat(&streamed("stall-2-20-4"), &[]).expect(200).text();
    assert!(said.contains("word4") && said.ends_with("data: [DONE]\n\n"), "{said}");
}

#[test]
fn a_late_token_lets_the_stream_open() {
    let mock = Mock::start();
    let mut connection = Connection::open(mock.addr());
    let headers = [("x-mock-fault", "S07")];
    connection.send(&request_text("POST", CHAT, "", &headers, streamed("demo").as_bytes()));
    let mut stream = connection.stream();
    let said = stream.until("\"assistant\"").to_owned();
    assert!(!said.contains("You"), "{said}");
    stream.leave();
}

#[test]
fn a_header_asks_for_a_fault() {
    let mock = Mock::start();
    let ask = |fault: &str| mock.chat(&chat_body("demo", ""), &[("x-mock-fault", fault)]).status;
    assert_eq!(["s03", "s03", "s04", "429-9", "s16", "nothing"].map(ask), [500, 200, 503, 429, 200, 400]);
    let date = mock.chat(&chat_body("demo", ""), &[("x-mock-fault", "429-date-9")]).expect(429);
    assert!(date.header("retry-after").is_some_and(|date| date.ends_with(" GMT")), "{date:?}");
}

#[test]
fn a_server_tells_how_many_requests_reached_it() {
    let (one, other) = (Mock::start(), Mock::start());
    one.chat(&chat_body("demo", ""), &[]).expect(200);
    one.chat(&chat_body("bench", ""), &[]).expect(200);
    one.chat(&chat_body("s04", ""), &[]).expect(503);
    one.chat("{", &[]).expect(400);
    let mut connection = Connection::open(one.addr());
    connection.send(&request_text("GET", "/mock/requests", "", &[], b""));
    let told = connection.response().expect(200).json();
    assert_eq!(told, serde_json::json!({"total": 4, "models": {"demo": 1, "bench": 1, "s04": 1}}));
    assert_eq!((one.requests("demo"), other.requests("demo")), (1, 0));
}

#[test]
fn a_server_draws_its_faults_by_its_seed() {
    let faults = ["s04".parse::<Fault>(), "s12".parse()].map(|fault| fault.expect("a fault"));
    let plan = FaultPlan { rate: 0.5, seed: 7, ..FaultPlan::always(&faults) };
    let expected: Vec<u16> = (0..20)
        .map(|number| plan.at(number).map_or(200, |fault| if fault == faults[0] { 503 } else { 400 }))
        .collect();
    assert!([200, 400, 503].iter().all(|status| expected.contains(status)), "{expected:?}");
    for _ in 0..2 {
        let mock = Mock::faulty(plan.clone());
        let seen: Vec<u16> = (0..20).map(|_| mock.chat(&chat_body("demo", ""), &[]).status).collect();
        assert_eq!(seen, expected);
    }
}

#[test]
fn a_gateway_moves_from_one_mock_to_another() {
    let (broken, well) = (Mock::start(), Mock::start());
    let gateway = Gateway::start(
        &[
            provider_key("one", &broken.base_url()),
            provider_key("two", &well.base_url()),
            named("a", "one", "s05"),
            named("b", "two", "s16"),
            routing("auto", &["a", "b"], ""),
            api_key("sk-test", "\"*\"", ""),
        ]
        .concat(),
    );
    let answer = gateway.chat(&chat_body("auto", "")).expect(200);
    assert_eq!(answer.header("x-aisix-served-by"), Some("b"));
    assert_eq!((broken.requests("s05"), well.requests("s16")), (1, 1));
}

#[test]
fn the_provider_in_the_process_fails_like_one_on_the_wire() {
    let gateway = Gateway::start(
        &[
            "[[provider_keys]]\ndisplay_name = \"inside\"\nprovider = \"mock\"\n".to_owned(),
            named("once", "inside", "s03"),
            named("cut", "inside", "s08"),
            named("date", "inside", "429-date-40"),
            api_key("sk-test", "\"*\"", ""),
        ]
        .concat(),
    );
    gateway.chat(&chat_body("once", "")).expect(200);
    let cut = gateway.chat(&streamed("cut")).text();
    assert!(cut.contains("word40") && !cut.contains("word41") && cut.contains("\"error\""), "{cut}");
    let limited = gateway.chat(&chat_body("date", "")).expect(429);
    let seconds: u64 = limited.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!((30..=40).contains(&seconds), "{seconds}");
}
