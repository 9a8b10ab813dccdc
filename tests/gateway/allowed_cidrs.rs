//! Models that may be called from some addresses only (§1.7 of the behaviour reference).

use aisix::envelope::Envelope;

use crate::harness::*;
use crate::matrix;

/// A gateway behind a proxy that it trusts, so that a test can call from any address: `near` is for two networks, `m` for
/// everybody, and `group` for one network over `m`.
fn gateway(upstream: &Upstream) -> Gateway {
    let group = routing("group", &["m"], "")
        .replace("[models.routing]", "allowed_cidrs = [\"192.0.2.7\"]\n[models.routing]");
    let more = [
        "[proxy.real_ip]\ntrusted_proxies = [\"127.0.0.0/8\"]\n",
        &model("near", "up", "allowed_cidrs = [\"10.0.0.0/8\", \"2001:db8::/32\"]"),
        &group,
        &api_key("sk-narrow", "\"m\"", ""),
    ];
    gateway_over(upstream, &more.concat())
}

fn ask(gateway: &Gateway, path: &str, key: &str, model: &str, from: &str) -> Response {
    let body = chat_body(model, r#","max_tokens":5"#);
    gateway.send("POST", path, key, &[("x-forwarded-for", from)], body.as_bytes())
}

#[test]
fn a_model_is_served_within_its_networks_and_refused_outside() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    for (path, envelope) in
        [("/v1/chat/completions", Envelope::OpenAi), ("/v1/messages", Envelope::Anthropic)]
    {
        for (model, from, is_allowed) in [
            ("near", "10.1.2.3", true),
            ("near", "::ffff:10.1.2.3", true),
            ("near", "2001:db8::9", true),
            ("near", "192.0.2.7", false),
            ("near", "2001:db9::9", false),
            ("near", "198.51.100.1, 10.1.2.3", true),
            ("near", "10.1.2.3, 198.51.100.1", false),
            // Nothing that can be read: the proxy's own address.
            ("near", "unknown", false),
            ("group", "192.0.2.7", true),
            ("group", "10.1.2.3", false),
            ("m", "198.51.100.1", true),
        ] {
            let asked = upstream.count();
            let response = ask(&gateway, path, "sk-test", model, from);
            if is_allowed {
                assert_eq!(response.status, 200, "{path} {model} {from}: {}", response.text());
                continue;
            }
            let kind = if envelope == Envelope::OpenAi { "permission_denied" } else { "permission_error" };
            matrix::assert_refused(envelope, &response, 403, kind);
            let message = response.error_message();
            assert!(!message.contains("10.") && !message.contains("2001"), "no networks: {message}");
            assert_eq!(upstream.count(), asked, "{path} {model} {from}");
        }
    }
    let refused = ask(&gateway, "/v1/chat/completions", "sk-test", "near", "192.0.2.7");
    assert_eq!(refused.error()["code"], "ip_restricted");
    gateway.settled();
}

#[test]
fn the_key_is_looked_at_before_the_address() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let code = |model: &str| {
        let response = ask(&gateway, "/v1/chat/completions", "sk-narrow", model, "192.0.2.7");
        (response.status, response.error().get("code").cloned())
    };
    assert_eq!(code("near"), (403, None));
    assert_eq!(code("unheard"), (404, None));
}

#[test]
fn the_passthrough_lends_no_key_of_a_model_that_may_not_be_called_from_there() {
    let upstream = Upstream::well();
    let near = model("near", "up", "allowed_cidrs = [\"10.0.0.0/8\"]");
    let real_ip = "[proxy.real_ip]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    let key = api_key("sk-test", "\"*\"", "");
    let gateway = Gateway::start(&[real_ip, &provider_key("up", &upstream.url()), &near, &key].concat());
    let through = |from: &str, body: &str| {
        let headers = [("x-forwarded-for", from)];
        gateway.send("POST", "/passthrough/openai/files", "sk-test", &headers, body.as_bytes())
    };
    for body in ["{}", r#"{"model":"near"}"#] {
        assert_eq!(through("10.1.2.3", body).status, 200);
        let refused = through("192.0.2.7", body);
        assert_eq!((refused.status, &refused.error()["code"]), (403, &"ip_restricted".into()));
    }
    gateway.settled();
}

#[test]
fn the_passthrough_lends_the_key_of_the_first_model_that_may_be_called_from_there() {
    let (near, far) = (Upstream::well(), Upstream::well());
    let config = [
        "[proxy.real_ip]\ntrusted_proxies = [\"127.0.0.0/8\"]\n",
        &provider_key("near", &near.url()),
        &provider_key("far", &far.url()),
        &model("near", "near", "allowed_cidrs = [\"10.0.0.0/8\"]"),
        &model("far", "far", "allowed_cidrs = [\"192.0.2.0/24\"]"),
        &api_key("sk-test", "\"*\"", ""),
        &api_key("sk-near", "\"near\"", ""),
    ];
    let gateway = Gateway::start(&config.concat());
    let through = |key: &str, from: &str| {
        gateway.send("POST", "/passthrough/openai/files", key, &[("x-forwarded-for", from)], b"{}")
    };
    for (from, asked) in [("10.1.2.3", (1, 0)), ("192.0.2.7", (1, 1))] {
        through("sk-test", from).expect(200);
        assert_eq!((near.count(), far.count()), asked, "{from}");
    }
    for (key, from) in [("sk-test", "198.51.100.1"), ("sk-near", "192.0.2.7")] {
        let refused = through(key, from);
        assert_eq!((refused.status, &refused.error()["code"]), (403, &"ip_restricted".into()));
        assert!(refused.error_message().contains("\"near\""), "{}", refused.error_message());
    }
    gateway.settled();
}

#[test]
fn a_caller_without_a_proxy_is_its_own_address() {
    let upstream = Upstream::well();
    let more = model("local", "up", "allowed_cidrs = [\"127.0.0.1\"]")
        + &model("remote", "up", "allowed_cidrs = [\"10.0.0.0/8\"]");
    let gateway = gateway_over(&upstream, &more);
    let spoofed = |model: &str| ask(&gateway, "/v1/chat/completions", "sk-test", model, "10.1.2.3").status;
    assert_eq!((spoofed("local"), spoofed("remote")), (200, 403));
}
