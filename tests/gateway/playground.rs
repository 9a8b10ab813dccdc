//! The playground: chat completions for a caller, served on the listener for administrators.

use aisix::envelope::Envelope;

use crate::harness::*;
use crate::matrix::assert_refused;

const PATH: &str = "/playground/chat/completions";

struct Case {
    upstream: Upstream,
    gateway: Gateway,
}

impl Case {
    fn start(more: &str) -> Self {
        let upstream = Upstream::well();
        let admin = "[admin]\nadmin_keys = [\"sk-admin\"]\n";
        let gateway = gateway_over(&upstream, &(admin.to_owned() + more));
        Self { upstream, gateway }
    }

    fn connection(&self, method: &str, path: &str, key: &str, body: &str) -> Connection {
        let mut connection = Connection::open(self.gateway.admin_addr());
        connection.send(&request_text(method, path, key, &[], body.as_bytes()));
        connection
    }

    fn ask(&self, key: &str, body: &str) -> Response {
        self.connection("POST", PATH, key, body).response()
    }
}

#[test]
fn a_caller_is_served_as_on_the_proxy() {
    let case = Case::start("");
    let body = chat_body("m", "");
    let (here, there) = (case.ask("sk-test", &body).expect(200), case.gateway.chat(&body).expect(200));
    assert_eq!(here.json(), there.json());
    let names = |response: &Response| -> Vec<String> {
        response.headers.iter().map(|(name, _)| name.clone()).collect()
    };
    let (mut here, mut there) = (names(&here), names(&there));
    here.sort_unstable();
    there.sort_unstable();
    assert_eq!(here, there, "the same headers");
    let mut stream = case.connection("POST", PATH, "sk-test", &chat_body("m", r#","stream":true"#)).stream();
    assert!(stream.rest().ends_with("data: [DONE]\n\n"));
    case.gateway.settled();
    assert_eq!(case.upstream.count(), 3);
}

#[test]
fn the_key_is_a_callers_and_every_limit_of_it_holds() {
    let case = Case::start(&api_key("sk-narrow", "\"other\"", "rate_limit = { rpm = 1 }"));
    let body = chat_body("m", "");
    for key in ["", "sk-admin", "sk-guess"] {
        assert_refused(Envelope::OpenAi, &case.ask(key, &body), 401, "invalid_api_key");
    }
    assert_refused(Envelope::OpenAi, &case.ask("sk-narrow", &body), 403, "permission_denied");
    assert_refused(Envelope::OpenAi, &case.ask("sk-test", "{"), 400, "invalid_request_error");
    assert_refused(Envelope::OpenAi, &case.ask("sk-test", &chat_body("n", "")), 404, "model_not_found");
    case.gateway.settled();
    assert_eq!(case.upstream.count(), 0);
}

#[test]
fn a_limit_is_one_whichever_listener_was_asked() {
    away_from_the_turn_of_the_minute();
    let case = Case::start(&api_key("sk-once", "\"*\"", "rate_limit = { rpm = 1 }"));
    case.ask("sk-once", &chat_body("m", "")).expect(200);
    let refused = case.gateway.post_json("/v1/chat/completions", "sk-once", &chat_body("m", ""));
    assert_refused(Envelope::OpenAi, &refused, 429, "rate_limit_exceeded");
    let refused = case.ask("sk-once", &chat_body("m", ""));
    assert_refused(Envelope::OpenAi, &refused, 429, "rate_limit_exceeded");
    case.gateway.settled();
}

#[test]
fn it_is_one_path_and_no_way_into_the_admin_api() {
    let case = Case::start("");
    let wrong = case.connection("GET", PATH, "sk-test", "").response();
    assert_refused(Envelope::OpenAi, &wrong, 405, "invalid_request_error");
    assert_eq!(wrong.header("allow"), Some("POST"));
    for path in ["/playground", "/playground/models", "/v1/chat/completions"] {
        let unknown = case.connection("POST", path, "sk-test", &chat_body("m", "")).response().expect(404);
        assert!(unknown.json()["error_msg"].is_string(), "{path}");
    }
    case.connection("GET", "/admin/v1/actors", "sk-test", "").response().expect(401);
    case.gateway.post_json(PATH, "sk-test", &chat_body("m", "")).expect(404);
    let mut unreadable = Connection::open(case.gateway.admin_addr());
    unreadable
        .send(format!("POST {PATH} HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n").as_bytes());
    assert!(unreadable.response().expect(400).error_message().contains("Content-Length"));
}
