//! Rewritten paths: a request behaves as if it had been sent to the new one, in every respect.

use aisix::config::Snapshot;

use crate::harness::*;
use crate::matrix::assert_refused;

const RULES: &str = r#"[proxy]
url_rewrites = [
    { name = "prefix", match = "^/openai/(.*)$", rewrite = "/v1/$1" },
    { match = "^/claude(?<rest>/.*)?$", rewrite = "/v1/messages$${rest}" },
    { match = "^/a$", rewrite = "/b" },
    { match = "^/b$", rewrite = "/v1/models" },
    { match = "^/encoded%2Fmodels", rewrite = "/v1/models" },
    { match = "^/healthy$", rewrite = "/livez" },
]
"#;

#[test]
fn a_rewritten_request_is_served_as_if_sent_to_the_new_path() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, RULES);
    let response = gateway.post_json("/openai/chat/completions", "sk-test", &chat_body("m", "")).expect(200);
    assert!(
        response.header("x-aisix-call-id").is_some(),
        "as every answer of chat completions: {response:?}"
    );
    for path in ["/b", "/encoded%2Fmodels", "/openai/models"] {
        let models = gateway.send("GET", path, "sk-test", &[], b"").expect(200).json();
        assert_eq!(models["data"][0]["id"], "m", "{path}");
    }
    let verbose = gateway.send("GET", "/healthy?verbose", "", &[], b"").expect(200);
    assert!(verbose.text().contains("[+]ping ok"), "the query is kept: {}", verbose.text());
    gateway.settled();
    assert_eq!(upstream.count(), 1);
}

#[test]
fn rules_do_not_follow_one_another_and_other_paths_are_left_alone() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, RULES);
    let response = gateway.send("GET", "/a", "sk-test", &[], b"").expect(404);
    assert!(response.error_message().contains("/b"), "{}", response.error_message());
    gateway.send("GET", "/encoded/models", "sk-test", &[], b"").expect(404);
    gateway.send("GET", "/v1/models", "sk-test", &[], b"").expect(200);
}

#[test]
fn a_rewrite_does_not_get_past_authentication_or_permissions() {
    let upstream = Upstream::well();
    let more = [RULES, &model("other", "up", ""), &api_key("sk-narrow", "\"other\"", "")].concat();
    let gateway = gateway_over(&upstream, &more);
    for (path, envelope) in [
        ("/openai/chat/completions", aisix::envelope::Envelope::OpenAi),
        ("/claude", aisix::envelope::Envelope::Anthropic),
    ] {
        let ask = |key: &str| gateway.post_json(path, key, &chat_body("m", r#","max_tokens":16"#));
        assert_refused(envelope, &ask(""), 401, "invalid_api_key");
        assert_refused(envelope, &ask("sk-guess"), 401, "invalid_api_key");
        assert_refused(envelope, &ask("sk-narrow"), 403, "permission_denied");
    }
    let refused = gateway.send("GET", "/openai/chat/completions", "sk-test", &[], b"").expect(405);
    assert_eq!(refused.header("allow"), Some("POST"));
    gateway.settled();
    assert_eq!(upstream.count(), 0);
}

#[test]
fn an_unreadable_request_is_refused_in_the_envelope_of_the_new_path() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, RULES);
    for path in ["/claude", "/v1/messages"] {
        let mut connection = gateway.connect();
        let head = format!("POST {path} HTTP/1.1\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n");
        connection.send(head.as_bytes());
        let response = connection.response().expect(400);
        assert_eq!(response.json()["type"], "error", "{path}");
    }
}

#[test]
fn the_admin_listener_rewrites_nothing() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, RULES);
    let mut connection = Connection::open(gateway.admin_addr());
    connection.send(&request_text("GET", "/healthy", "", &[], b""));
    connection.response().expect(404);
}

#[test]
fn the_absolute_form_of_a_request_is_rewritten_too() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, RULES);
    gateway.send("GET", "http://gateway/openai/models", "sk-test", &[], b"").expect(200);
}

#[test]
fn rules_belong_to_the_configuration_and_not_to_the_process() {
    let rules = |text: &str| -> Snapshot { snapshot(text, &[]) };
    let (before, after) = (rules(""), rules(RULES));
    assert!(before.settings.proxy.url_rewrites.is_empty());
    assert_ne!(before.settings.proxy, after.settings.proxy);
    assert_eq!(rules(RULES).settings.proxy, after.settings.proxy, "the same rules are equal");
}
