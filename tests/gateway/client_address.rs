//! Whose address counts, as seen by what depends on it: failures to authenticate are counted by address.

use crate::harness::*;

/// The status of a request that fails to authenticate, with these fields.
fn guess(gateway: &Gateway, fields: &[(&str, &str)]) -> u16 {
    let body = chat_body("m", "");
    gateway.send("POST", "/v1/chat/completions", "sk-guess", fields, body.as_bytes()).status
}

/// A gateway that lets one failure of each address pass.
fn gateway(real_ip: &str) -> Gateway {
    let text = format!("[proxy.auth_throttle]\nper_minute = 1\nburst = 1\n[proxy.real_ip]\n{real_ip}\n");
    Gateway::start(&text)
}

#[test]
fn a_spoofed_header_of_an_untrusted_peer_is_ignored() {
    for real_ip in ["", "trusted_proxies = [\"10.0.0.0/8\", \"::1\"]"] {
        let gateway = gateway(real_ip);
        assert_eq!(guess(&gateway, &[]), 401);
        for spoofed in ["203.0.113.1", "10.0.0.1", "127.0.0.2"] {
            assert_eq!(guess(&gateway, &[("x-forwarded-for", spoofed)]), 429, "{real_ip} {spoofed}");
        }
    }
}

#[test]
fn the_caller_behind_a_trusted_proxy_is_the_last_that_it_names() {
    let gateway = gateway("trusted_proxies = [\"127.0.0.0/8\"]");
    assert_eq!(guess(&gateway, &[("x-forwarded-for", "203.0.113.1")]), 401);
    assert_eq!(guess(&gateway, &[("x-forwarded-for", "203.0.113.2:4711")]), 401);
    assert_eq!(guess(&gateway, &[("X-Forwarded-For", "198.51.100.7, 203.0.113.1")]), 429);
    let fields = [("x-forwarded-for", "198.51.100.7"), ("x-forwarded-for", "203.0.113.2")];
    assert_eq!(guess(&gateway, &fields), 429, "fields are read as one list");
    assert_eq!(guess(&gateway, &[]), 401, "the proxy itself");
}

#[test]
fn a_recursive_search_ends_at_the_first_address_that_is_not_trusted() {
    let gateway = gateway(
        "trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\nrecursive = true\nheader = \"X-Client-Chain\"",
    );
    assert_eq!(guess(&gateway, &[("x-client-chain", "203.0.113.1, 10.0.0.5")]), 401);
    let spoofed = ("x-client-chain", "198.51.100.7, 203.0.113.1, 10.0.0.6, 10.0.0.5");
    assert_eq!(guess(&gateway, &[spoofed]), 429, "what stands before it is the caller's own word");
    assert_eq!(guess(&gateway, &[("x-forwarded-for", "198.51.100.7")]), 401, "another header is not read");
    assert_eq!(guess(&gateway, &[("x-forwarded-for", "198.51.100.8")]), 429);
}
