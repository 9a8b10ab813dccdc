//! The books of the limits under load: sixty-four callers at once over several workers, and not one request too many.
//!
//! Windows of requests and concurrency admit exactly the limit. A steady rate admits the limit at once and as much again
//! in each second that passes. A window of tokens admits as long as what is used and held is not more than the limit, so
//! that what is used in the end is more than the limit by what one request holds, and no more.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::harness::*;

const CALLERS: usize = 64;
/// Where limits are.
const LAYERS: [&str; 3] = ["key", "model", "policy"];
const LIMITS: [usize; 3] = [1, 10, 1000];
/// What an answer of the upstream costs.
const TOKENS: usize = 12;

/// The model `m` at a provider key, and a limit somewhere.
fn config(provider_key: &str, layer: &str, limit: &str) -> String {
    let table = format!("rate_limit = {{ {limit} }}");
    let on = |place: &str| if place == layer { table.as_str() } else { "" };
    let config = [
        provider_key,
        &model("m", "up", on("model")),
        &api_key("sk-test", "\"*\"", on("key")),
        // Apart by key, so that the bucket's name is made anew by each request.
        &if layer == "policy" {
            policy("p", &format!("limits = {{ {limit} }}\ngroup_by = [\"api_key\", \"model\"]"))
        } else {
            String::new()
        },
    ];
    config.concat()
}

fn start(config: &str) -> Gateway {
    Gateway::start_with(config, &[("AISIX_PROXY__WORKERS", "4")])
}

fn limited(provider_key: &str, layer: &str, limit: &str) -> Gateway {
    start(&config(provider_key, layer, limit))
}

/// A provider inside the gateway's process.
const INSIDE: &str = "[[provider_keys]]\ndisplay_name = \"up\"\nprovider = \"mock\"\n";

fn request(more: &str) -> Vec<u8> {
    request_text("POST", "/v1/chat/completions", "sk-test", &[], chat_body("m", more).as_bytes())
}

fn of(statuses: &Statuses, status: u16) -> usize {
    statuses.get(&status).copied().unwrap_or(0)
}

fn minute() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() / 60
}

/// Does something within one minute of the clock, and so within one hour and one day: again where the minute turned.
fn within_a_minute<T>(mut work: impl FnMut() -> T) -> T {
    for _ in 0..3 {
        away_from_the_turn_of_the_minute();
        let began = minute();
        let done = work();
        if minute() == began {
            return done;
        }
    }
    panic!("no minute is long enough")
}

/// Windows of requests admit exactly their limit.
#[track_caller]
fn check_window(dimension: &str) {
    for layer in LAYERS {
        for limit in LIMITS {
            let requests = limit + CALLERS;
            let statuses = within_a_minute(|| {
                let gateway = limited(INSIDE, layer, &format!("{dimension} = {limit}"));
                let crowd = Crowd { addrs: &[gateway.addr()], callers: CALLERS };
                let statuses = crowd.ask(requests, &request(""));
                gateway.settled();
                statuses
            });
            let counted = (of(&statuses, 200), of(&statuses, 429));
            assert_eq!(counted, (limit, CALLERS), "{dimension} = {limit} of a {layer}: {statuses:?}");
        }
    }
}

#[test]
fn a_minute_admits_exactly_its_requests() {
    check_window("rpm");
}

#[test]
fn an_hour_admits_exactly_its_requests() {
    check_window("rph");
}

#[test]
fn a_day_admits_exactly_its_requests() {
    check_window("rpd");
}

#[test]
fn a_steady_rate_admits_its_burst_and_what_the_time_brings() {
    for layer in LAYERS {
        for limit in LIMITS {
            let gateway = limited(INSIDE, layer, &format!("rps = {limit}"));
            let began = Instant::now();
            let requests = limit + CALLERS;
            let statuses = Crowd { addrs: &[gateway.addr()], callers: CALLERS }.ask(requests, &request(""));
            let seconds = usize::try_from(began.elapsed().as_secs()).expect("not for ever") + 1;
            let admitted = of(&statuses, 200);
            assert_eq!(admitted + of(&statuses, 429), requests, "{statuses:?}");
            let most = limit + limit * seconds;
            assert!(
                (limit..=most).contains(&admitted),
                "rps = {limit} of a {layer} in {seconds} s: {statuses:?}"
            );
            gateway.settled();
        }
    }
}

#[test]
fn no_more_requests_are_open_than_there_may_be() {
    for layer in LAYERS {
        for limit in LIMITS {
            let gate = Gate::default();
            let answer = Answer::json(200, &completion("hello", 5, 7));
            let upstream = Upstream::always(Answer::default().wait(&gate).then(answer));
            let gateway =
                limited(&provider_key("up", &upstream.url()), layer, &format!("concurrency = {limit}"));
            let crowd = Crowd { addrs: &[gateway.addr()], callers: CALLERS };
            let statuses = crowd.ask_held(&upstream, &gate, &request(""));
            let admitted = limit.min(CALLERS);
            let counted = (of(&statuses, 200), of(&statuses, 429));
            assert_eq!(counted, (admitted, CALLERS - admitted), "{limit} of a {layer}: {statuses:?}");
            // All slots are given back: as many callers again are all served.
            gateway.settled();
            let crowd = Crowd { callers: admitted, ..crowd };
            assert_eq!(of(&crowd.ask(admitted, &request("")), 200), admitted, "{limit} of a {layer}");
            gateway.settled();
        }
    }
}

#[test]
fn a_thousand_requests_may_be_open_and_not_one_more() {
    room_for_connections();
    for layer in LAYERS {
        // A provider that never answers.
        let config = config(INSIDE, layer, "concurrency = 1000").replace("\"upstream-m\"", "\"stall\"");
        let gateway = start(&config);
        let mut open: Vec<Connection> = Vec::new();
        for _ in 0..1000 + CALLERS {
            let mut connection = gateway.connect();
            connection.send(&request(""));
            open.push(connection);
        }
        until("each request is refused or held", || {
            let limiter = gateway.books().limiter;
            usize::try_from(limiter.refused + limiter.held).expect("a count") >= 1000 + CALLERS
        });
        let limiter = gateway.books().limiter;
        assert_eq!((limiter.held, limiter.refused), (1000, CALLERS as u64), "of a {layer}");
        open.into_iter().for_each(Connection::leave);
        gateway.settled();
    }
}

/// What a request with this body holds.
fn held(body: &str) -> usize {
    use aisix::dialect::raw::RawObject;
    use aisix::dialect::{Body, Call, Dialect};
    let body = RawObject::parse(body.to_owned().into()).expect("an object");
    let call = Call::read(aisix::endpoints::Operation::Chat, Dialect::OpenAiChat, Body::Json(body), None);
    usize::try_from(call.expect("a call").held_tokens()).expect("a number")
}

/// Windows of tokens are passed by what one request holds at most, and are used up.
#[track_caller]
fn check_tokens(dimension: &str) {
    let more = r#","max_tokens":16"#;
    let held = held(&chat_body("m", more));
    assert!(held >= TOKENS, "a request uses no more than it holds");
    let upstream = Upstream::well();
    for layer in LAYERS {
        for limit in LIMITS {
            let admitted = within_a_minute(|| {
                let provider_key = provider_key("up", &upstream.url());
                let gateway = limited(&provider_key, layer, &format!("{dimension} = {limit}"));
                let crowd = Crowd { addrs: &[gateway.addr()], callers: CALLERS };
                let mut admitted = of(&crowd.ask(2 * CALLERS, &request(more)), 200);
                assert!(
                    admitted * TOKENS <= limit + held,
                    "{admitted} with {dimension} = {limit} of a {layer}"
                );
                // What holds kept out at that time may come now, one after the other.
                let one = Crowd { callers: 1, ..crowd };
                loop {
                    gateway.settled();
                    match of(&one.ask(1, &request(more)), 200) {
                        0 => return admitted,
                        more => admitted += more,
                    }
                }
            });
            let used = admitted * TOKENS;
            assert!(
                limit < used && used <= limit + held,
                "{used} tokens with {dimension} = {limit} of a {layer}, and {held} held by each"
            );
        }
    }
}

#[test]
fn a_minute_of_tokens_is_passed_by_one_request_at_most() {
    check_tokens("tpm");
}

#[test]
fn a_day_of_tokens_is_passed_by_one_request_at_most() {
    check_tokens("tpd");
}
