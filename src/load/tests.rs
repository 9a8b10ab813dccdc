//! Load against the mock provider on a port of its own.

use super::*;
use crate::mock::server::{MockOptions, MockServer};
use crate::mock::{Fault, FaultPlan, Place};

const HUNDRED: Timing =
    Timing { connections: 4, threads: 2, rate: None, until: Until::Requests(100), warmup: Duration::ZERO };

fn options(server: &MockServer, stream: bool) -> LoadOptions {
    let body =
        format!(r#"{{"model":"demo","messages":[{{"role":"user","content":"hi"}}],"stream":{stream}}}"#);
    LoadOptions {
        vary: false,
        headers: Vec::new(),
        url: format!("{}/chat/completions", server.base_url()),
        key: "sk-demo".into(),
        body: body.into(),
        timeout: Duration::from_secs(20),
        timing: HUNDRED,
    }
}

/// Starts a server with a fault, loads it and stops it.
fn load(fault: Option<Fault>, change: impl FnOnce(&mut LoadOptions), stream: bool) -> Report {
    let faults = fault.map(|fault| FaultPlan::always(&[fault]));
    actix_rt::System::new().block_on(async {
        let server =
            MockServer::start(MockOptions { faults, ..MockOptions::default() }).expect("a free port");
        let mut options = options(&server, stream);
        change(&mut options);
        let run = move || run(&options, &Live::default());
        let report = actix_web::web::block(run).await.expect("no panic").expect("a usable URL");
        server.stop().await;
        report
    })
}

fn errors(report: &Report) -> Vec<(&str, u64)> {
    report.errors.iter().map(|(kind, count)| (kind.as_str(), *count)).collect()
}

#[test]
fn a_well_provider_answers_every_request() {
    let report = load(None, |_| {}, false);
    assert_eq!((report.requests, report.succeeded, errors(&report)), (100, 100, vec![]));
    assert!(report.rps > 0.0 && report.bytes > 0 && report.first_event_ms.is_none());
}

#[test]
fn streams_are_read_to_their_end() {
    let report = load(None, |_| {}, true);
    assert_eq!((report.succeeded, errors(&report)), (100, vec![]));
    assert!(report.first_event_ms.is_some() && report.gap_ms.is_some());
}

#[test]
fn an_open_loop_sends_as_many_as_it_was_told() {
    let report = load(None, |options| options.timing.rate = Some(2000.0), false);
    assert_eq!((report.succeeded, report.missed, errors(&report)), (100, 0, vec![]));
}

#[test]
fn each_fault_is_reported_as_what_it_is() {
    let kinds = [
        ("cut", "cut stream"),
        ("no-done", "cut stream"),
        ("reset", "connection lost"),
        ("429", "http 429 requests"),
    ];
    for (fault, kind) in kinds {
        let report = load(fault.parse().ok(), |_| {}, true);
        assert_eq!((report.succeeded, errors(&report)), (0, vec![(kind, 100)]), "{fault}");
    }
}

#[test]
fn a_stalled_request_times_out() {
    let quick = |options: &mut LoadOptions| {
        options.timeout = Duration::from_millis(50);
        options.timing.until = Until::Requests(4);
    };
    for fault in [Fault::Stall, Fault::Hang(Place { after: 2, of: None })] {
        assert_eq!(errors(&load(Some(fault), quick, true)), [("timeout", 4)]);
    }
}

#[test]
fn connections_are_shared_out_to_the_last() {
    assert_eq!((0..3).map(|index| share(8, 3, index)).collect::<Vec<_>>(), [3, 3, 2]);
}

#[test]
fn a_url_that_cannot_be_used_is_refused() {
    for url in ["", "127.0.0.1:3000", "ftp://host/", "http://"] {
        let options = LoadOptions {
            url: url.into(),
            key: String::new(),
            body: Bytes::new(),
            vary: false,
            headers: Vec::new(),
            timeout: Duration::from_secs(1),
            timing: HUNDRED,
        };
        assert!(run(&options, &Live::default()).is_err(), "{url}");
    }
}

#[test]
fn the_actors_are_asked_without_a_gateway() {
    let report = actors::run(HUNDRED, &Live::default());
    assert_eq!((report.succeeded, errors(&report)), (100, vec![]));
    assert!(report.asks_per_second.is_some_and(|asks| asks > 0.0));
}
