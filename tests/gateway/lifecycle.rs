//! From the configuration to the last byte: probes, draining, the command line, and signals to the real process.

use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::*;

const STREAM: &str = r#","stream":true"#;

fn half_a_stream(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::start(move |request, _| {
        if request.json()["stream"] == true {
            Answer::events()
                .event(&delta("half"))
                .wait(&gate)
                .event(&finish())
                .event("data: [DONE]\n\n")
                .end()
        } else {
            Answer::json(200, &completion("hello", 5, 7))
        }
    })
}

#[test]
fn probes_tell_their_checks_when_asked() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    for addr in [gateway.addr(), gateway.admin_addr()] {
        let probes: [(_, &[_]); 2] =
            [("livez", &["ping", "shutdown"]), ("readyz", &["shutdown", "config", "ledger"])];
        for (probe, checks) in probes {
            let ask = |query: &str| {
                let mut connection = Connection::open(addr);
                connection.send(&request_text("GET", &format!("/{probe}{query}"), "", &[], b""));
                connection.response().expect(200)
            };
            for query in ["", "?x=1"] {
                let response = ask(query);
                assert_eq!(response.text(), "ok");
                assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
                assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
            }
            for query in ["?verbose", "?verbose=1", "?a=b&verbose=false"] {
                let text = ask(query).text();
                for check in checks {
                    assert!(text.contains(&format!("[+]{check} ok\n")), "{query}: {text}");
                }
                assert!(text.trim_end().ends_with(&format!("{probe} check passed")), "{query}: {text}");
            }
        }
    }
}

#[test]
fn a_drain_fails_the_probes_at_once_and_serves_everybody_to_the_end() {
    let gate = Gate::default();
    let upstream = half_a_stream(&gate);
    let mut gateway = gateway_over(&upstream, "");
    let mut kept = gateway.connect();
    kept.send(&request_text("GET", "/livez", "", &[], b""));
    kept.response().expect(200);
    let mut stream = gateway.stream(&chat_body("m", STREAM));
    stream.until("half");

    let began = Instant::now();
    gateway.drain(Duration::from_millis(300));
    for path in ["/livez", "/readyz", "/livez?verbose"] {
        let probe = gateway.send("GET", path, "", &[], b"").expect(503);
        let name = &path[1..path.find('?').unwrap_or(path.len())];
        assert!(probe.text().contains("[-]shutdown failed"), "{}", probe.text());
        assert!(probe.text().trim_end().ends_with(&format!("{name} check failed")), "{}", probe.text());
    }
    // New requests are served, on new connections and on old ones.
    gateway.chat(&chat_body("m", "")).expect(200);
    kept.send(&request_text("POST", "/v1/chat/completions", "sk-test", &[], chat_body("m", "").as_bytes()));
    let served = kept.response().expect(200);
    assert_eq!(served.header("connection"), Some("close"), "a caller is told to go elsewhere: {served:?}");

    // The stream is what the end waits for, however long.
    until("the time to drain is over", || began.elapsed() > Duration::from_millis(500));
    assert!(!gateway.has_ended());
    gate.open();
    assert!(stream.rest().ends_with("data: [DONE]\n\n"));
    drop(stream);
    gateway.wait_for_end();
    assert!(TcpStream::connect(gateway.addr()).is_err(), "nobody listens any more");
    gateway.settled();
}

#[test]
fn a_drain_with_nothing_open_ends_by_itself() {
    let upstream = Upstream::well();
    let mut gateway = gateway_over(&upstream, "");
    gateway.chat(&chat_body("m", "")).expect(200);
    gateway.drain(Duration::ZERO);
    gateway.wait_for_end();
    gateway.settled();
}

#[test]
fn the_admin_listener_asks_for_its_key_and_answers_in_its_own_envelope() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "[admin]\nadmin_keys = [\"sk-admin\"]\n");
    let ask = |method: &str, path: &str, key: &str| {
        let mut connection = Connection::open(gateway.admin_addr());
        connection.send(&request_text(method, path, key, &[], b""));
        connection.response()
    };
    for (method, path, key, status) in [
        ("GET", "/admin/v1/actors", "", 401),
        ("GET", "/admin/v1/actors", "sk-test", 401),
        ("GET", "/nowhere", "sk-admin", 404),
        ("POST", "/admin/v1/actors", "sk-admin", 405),
    ] {
        let response = ask(method, path, key).expect(status);
        let body = response.json();
        assert!(body["error_msg"].is_string(), "{body}");
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{body}");
    }
    gateway.chat(&chat_body("m", "")).expect(200);
    gateway.settled();
    let actors = ask("GET", "/admin/v1/actors", "sk-admin").expect(200).json();
    assert_eq!(actors["open_exchanges"], 0);
    assert_eq!(actors["provider_pool"]["leased"], 1);
    assert_eq!(actors["candidate_router"]["succeeded"], 1);
}

#[test]
fn the_shipped_configuration_answers_without_a_key_of_a_provider_and_without_a_network() {
    let gateway = Gateway::start(include_str!("../../config.toml"));
    let response = gateway.post_json("/v1/chat/completions", "sk-demo", &chat_body("demo", "")).expect(200);
    assert_eq!(response.json()["model"], "demo");
    let mut connection = gateway.connect();
    let body = chat_body("demo-auto", STREAM);
    connection.send(&request_text("POST", "/v1/chat/completions", "sk-demo", &[], body.as_bytes()));
    let mut stream = connection.stream();
    assert_eq!(stream.head.header("x-aisix-served-by"), Some("demo"));
    assert!(stream.rest().ends_with("data: [DONE]\n\n"));
    gateway.settled();
}

#[test]
fn check_says_that_a_good_file_is_good() {
    let output = run(&["check"], include_str!("../../config.toml"));
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("ok"), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// A file with a problem in every table.
const BROKEN: &str = r#"[proxy]
adress = "127.0.0.1:1"

[[provider_keys]]
display_name = "openai-main"
provider = "openai"
api_key = "${NOT_SET}"

[[models]]
display_name = "m"
provider_key = "opnai-main"
model_name = "x"

[[api_keys]]
display_name = "k"
key = "sk-secret-value"
allowed_models = ["*"]
expires_at = "tomorrow"
"#;

#[test]
fn check_reports_every_problem_of_a_bad_file_with_its_place() {
    for arguments in [&["check"][..], &["serve"], &[]] {
        let output = run(arguments, BROKEN);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        let problems = String::from_utf8_lossy(&output.stderr);
        for part in [".toml:2: proxy", "adress", "NOT_SET", "did you mean \"openai-main\"", "expires_at"] {
            assert!(problems.contains(part), "{arguments:?}: {part} in {problems}");
        }
        assert!(!problems.contains("sk-secret-value"), "{problems}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_aisix"))
        .args(["check", "--config", "/nowhere/aisix.toml"])
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/aisix.toml"), "{output:?}");
}

#[test]
fn a_signal_lets_a_stream_finish_and_ends_with_success() {
    for name in ["TERM", "INT"] {
        let gate = Gate::default();
        let upstream = half_a_stream(&gate);
        let mut process = Process::start(&upstream);
        let mut stream = process.stream();
        stream.until("half");
        process.signal(name);
        until("the probes fail", || {
            let mut connection = Connection::open(process.addr);
            connection.send(&request_text("GET", "/readyz", "", &[], b""));
            connection.response().status == 503
        });
        gate.open();
        assert!(stream.rest().ends_with("data: [DONE]\n\n"), "{name}");
        drop(stream);
        assert_eq!(process.exit_code(), Some(0), "{name}");
    }
}

#[test]
fn every_failed_attempt_is_one_warning_in_the_log() {
    let upstream = Upstream::in_turn(vec![
        Answer::json(500, r#"{"error":{"message":"sk-upstream"}}"#),
        Answer::json(200, &completion("hello", 5, 7)),
    ]);
    let mut process = Process::start(&upstream);
    let mut connection = Connection::open(process.addr);
    let headers = [("x-aisix-request-id", "abc-14")];
    let body = chat_body("m", "");
    connection.send(&request_text("POST", "/v1/chat/completions", "sk-test", &headers, body.as_bytes()));
    connection.response().expect(200);
    drop(connection);
    process.signal("TERM");
    assert_eq!(process.exit_code(), Some(0));
    let log = process.log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    for part in ["attempt failed", "abc-14", "target=m", "provider_key=up", "upstream returned 500"] {
        assert!(warnings[0].contains(part), "{part} in {log}");
    }
    assert!(!log.contains("sk-upstream"), "{log}");
}

#[test]
fn an_address_that_is_taken_is_named_and_ends_with_a_failure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = taken.local_addr().expect("bound");
    let free = "[proxy]\naddr = \"127.0.0.1:0\"\n[admin]\nenabled = false\n";
    for (name, config) in [
        ("proxy.addr", format!("[proxy]\naddr = \"{addr}\"\n[admin]\nenabled = false\n")),
        (
            "observability.metrics.prometheus.addr",
            format!("{free}[observability.metrics.prometheus]\naddr = \"{addr}\"\n"),
        ),
    ] {
        let output = run(&["serve"], &config);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(words.contains(name) && words.contains(&addr.to_string()), "{words}");
    }
}

#[test]
fn a_caller_that_is_killed_cancels_the_provider_at_once() {
    let upstream = Upstream::always(Answer::events().event(&delta("half")).stall());
    let gateway = gateway_over(&upstream, "");
    let body = chat_body("m", STREAM);
    let request = request_text("POST", "/v1/chat/completions", "sk-test", &[], body.as_bytes());
    let file = written(&String::from_utf8(request).expect("text"));
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{} && cat {} >&3 && exec cat <&3",
        gateway.addr().port(),
        file.display()
    );
    let mut caller =
        Command::new("bash").args(["-c", &script]).stdout(Stdio::null()).spawn().expect("bash runs");
    upstream.wait_for_requests(1);
    until("the stream has begun", || gateway.books().router.succeeded == 1);
    let killed = Instant::now();
    signal(caller.id(), "KILL");
    let noticed = upstream.wait_for_hang_up();
    assert!(noticed - killed < Duration::from_secs(1), "{:?}", noticed - killed);
    caller.wait().expect("it was our child");
    std::fs::remove_file(file).expect("it was written");
    gateway.settled();
}
