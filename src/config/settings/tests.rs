//! The shipped file and the defaults agree, and what is out of range is refused.

use super::*;
use crate::config::{
    tests::{SHIPPED, assert_refused, parse_plain},
    tree,
};

/// The shipped file without its tables of settings.
fn resources_only() -> String {
    let mut is_kept = true;
    let lines = SHIPPED.lines().filter(|line| {
        if let Some(header) = line.strip_prefix('[') {
            let name = header.split(['.', ']']).next().unwrap_or_default();
            is_kept = !TABLES.contains(&name);
        }
        is_kept
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_file_shows_the_defaults() {
    assert_eq!(*parse_plain(SHIPPED).unwrap().settings, Settings::default());
}

#[test]
fn without_any_table_of_settings_the_settings_are_the_same() {
    let rest = resources_only();
    assert!(!rest.contains("[proxy]") && rest.contains("[[models]]"));
    assert_eq!(*parse_plain(&rest).unwrap().settings, Settings::default());
}

/// The keys that a table knows, as its refusal of another one lists them.
fn known_keys(table: &str) -> Vec<String> {
    let text = format!("[{table}]\nzzzzzzzz = 1\n");
    let mut problems = Problems::new("f");
    let root = tree::parse(&text, &|_| None, &mut problems).unwrap();
    assert!(Settings::read(&root, &mut problems).is_none());
    let report = problems.to_string();
    let (_, list) = report.split_once("known here: ").expect("a list of what is known");
    list.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_shipped_file_shows_every_setting() {
    let mut tables: Vec<String> = TABLES.iter().map(|table| (*table).to_owned()).collect();
    let mut shown = 0;
    while let Some(table) = tables.pop() {
        // What [redis] shows is what the tables of its kind have.
        if table.ends_with(".redis") {
            continue;
        }
        let headers = [format!("\n[{table}]"), format!("\n# [{table}]")];
        let after = headers.iter().find_map(|header| Some(SHIPPED.split_once(header)?.1));
        let after = after.unwrap_or_else(|| panic!("[{table}] is not shown"));
        let body = after.split("\n[").next().unwrap_or_default();
        let body = body.split("\n# [").next().unwrap_or_default();
        for key in known_keys(&table) {
            let is_shown = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{key} ="));
            if body.lines().any(is_shown) {
                shown += 1;
            } else {
                tables.push(format!("{table}.{key}"));
            }
        }
    }
    assert!(shown >= 32, "only {shown} settings are found");
}

#[test]
fn zero_means_no_limit_where_the_file_says_so() {
    let settings = Settings::default();
    assert_eq!(settings.upstream.stream_timeout(), settings.upstream.timeout());
    assert_eq!(settings.upstream.first_byte_timeout(), None);
    assert_eq!(settings.upstream.max_connections(), None);
    assert_eq!(settings.downstream.idle_timeout(), None);
    let none = "[proxy]\nrequest_body_limit_bytes = 0\nrequest_body_timeout_ms = 0\n";
    let config = parse_plain(none).unwrap();
    assert_eq!(config.settings.proxy.request_body_limit(), None);
    assert_eq!(config.settings.proxy.request_body_timeout(), None);
    assert!(config.settings.proxy.workers() >= 1);
}

#[test]
fn an_open_admin_api_stays_on_the_loopback() {
    let message = "config.toml:2: admin.addr: without admin_keys the Admin API listens on a loopback address \
                   only; add a key, use 127.0.0.1, or set admin.enabled = false";
    assert_refused("[admin]\naddr = \"0.0.0.0:3001\"\n", &[message]);
    assert_refused("[admin]\naddr = \"[::]:3001\"\n", &[message]);
    for fine in [
        "[admin]\naddr = \"0.0.0.0:3001\"\nenabled = false\n",
        "[admin]\naddr = \"0.0.0.0:3001\"\nadmin_keys = [\"k\"]\n",
        "[admin]\naddr = \"[::1]:3001\"\n",
    ] {
        parse_plain(fine).unwrap();
    }
}

#[test]
fn a_keepalive_has_the_times_that_systems_take() {
    assert_refused(
        "[upstream]\ntcp_keepalive_secs = 32768\ntcp_keepalive_interval_secs = 0\ntcp_keepalive_retries = 128\n",
        &[
            "config.toml:2: upstream.tcp_keepalive_secs: expected a whole number from 0 to 32767",
            "config.toml:3: upstream.tcp_keepalive_interval_secs: expected a whole number from 1 to 32767",
            "config.toml:4: upstream.tcp_keepalive_retries: expected a whole number from 1 to 127",
        ],
    );
    let off = parse_plain("[upstream]\ntcp_keepalive_secs = 0\n").unwrap();
    assert_eq!(off.settings.upstream.tcp_keepalive(), None);
}

#[test]
fn headers_that_carry_credentials_or_traces_cannot_name_a_request() {
    assert_refused(
        "[proxy.request_id]\naccept_headers = [\"X-Request-Id\", \"Cookie\",\n  \"traceparent\", \"a b\"]\n",
        &[
            "config.toml:2: proxy.request_id.accept_headers[1]: this header is reserved and cannot carry a request id",
            "config.toml:3: proxy.request_id.accept_headers[2]: this header is reserved and cannot carry a request id",
            "config.toml:3: proxy.request_id.accept_headers[3]: expected the name of a header",
        ],
    );
}

#[test]
fn ranges_of_settings_are_checked_together() {
    assert_refused(
        "[upstream]\nconnect_timeout_ms = 0\nmax_response_bytes = 0\n[observability]\nservice_name = \" \"\n\
         [admin]\naddr = \"127.0.0.1:3000\"\n",
        &[
            "config.toml:2: upstream.connect_timeout_ms: expected 1 or more",
            "config.toml:3: upstream.max_response_bytes: expected 1 or more",
            "config.toml:5: observability.service_name: must not be empty",
            "config.toml:7: admin.addr: is the address of the proxy as well",
        ],
    );
    assert_refused(
        "[admin]\nadmin_keys = [\"\"]\n",
        &["config.toml:2: admin.admin_keys: a key must not be empty"],
    );
}

#[test]
fn trusted_proxies_are_networks_and_their_header_carries_no_credential() {
    let text = "[proxy.real_ip]\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\",\n  \"10.0.0.0/33\", \"lb.internal\"]\n\
                header = \"Authorization\"\n";
    assert_refused(
        text,
        &[
            "config.toml:3: proxy.real_ip.trusted_proxies[2]: expected an IP address or a network, such as \"10.0.0.0/8\"",
            "config.toml:3: proxy.real_ip.trusted_proxies[3]: expected an IP address or a network, such as \"10.0.0.0/8\"",
        ],
    );
    for (header, message) in [
        ("Authorization", "this header is reserved and cannot carry an address"),
        ("x-api-key", "this header is reserved and cannot carry an address"),
        ("content-length", "this header is reserved and cannot carry an address"),
        ("a b", "expected the name of a header"),
        ("Forwarded", "the syntax of Forwarded is not read; use x-forwarded-for"),
    ] {
        let text = format!("[proxy.real_ip]\nheader = \"{header}\"\n");
        assert_refused(&text, &[&format!("config.toml:2: proxy.real_ip.header: {message}")]);
    }
}

#[test]
fn settings_of_observability_are_checked_together() {
    let edges = "expected 1 to 64 numbers of seconds above 0, each above the one before";
    assert_refused(
        "[observability.metrics]\nmax_series = 0\n\
         client_type_rules = [{ pattern = \"(\", label = \"x\" }, { pattern = \"x\", label = \"X\" }]\n\
         [observability.metrics.buckets]\ne2e = []\nttft = [1, 1]\n\
         [observability.usage_records]\ntarget = \"file\"\npath = \"\"\nmax_bytes = 0\n\
         [observability.metrics.prometheus]\naddr = \"127.0.0.1:3001\"\n",
        &[
            "config.toml:2: observability.metrics.max_series: expected 1 or more",
            "config.toml:3: observability.metrics.client_type_rules[0].pattern: this is no regular expression",
            "config.toml:3: observability.metrics.client_type_rules[1].label: expected at most 64 lower-case letters, \
             digits, dots, dashes and underscores, a letter or digit first",
            &format!("config.toml:5: observability.metrics.buckets.e2e: {edges}"),
            &format!("config.toml:6: observability.metrics.buckets.ttft: {edges}"),
            "config.toml:9: observability.usage_records.path: must name a file",
            "config.toml:10: observability.usage_records.max_bytes: expected 1 or more",
            "config.toml:12: observability.metrics.prometheus.addr: is the address of the Admin API as well",
        ],
    );
    for bad in ["[0, 1]", "[-1]", "[inf]", "[nan]", "[2, 1]"] {
        let text = format!("[observability.metrics.buckets]\nttft = {bad}\n");
        assert_refused(&text, &[&format!("config.toml:2: observability.metrics.buckets.ttft: {edges}")]);
    }
}

#[test]
fn trusted_proxies_can_come_from_the_environment() {
    let overrides = [("AISIX_PROXY__REAL_IP__TRUSTED_PROXIES".to_owned(), "10.0.0.0/8, ::1".to_owned())];
    let config = crate::config::parse("config.toml", "", &|_| None, &overrides).unwrap();
    assert_eq!(config.settings.proxy.real_ip.trusted_proxies.len(), 2);
}

/// Asserts what is wrong with one rule, as the file spells its expression and template.
#[track_caller]
fn assert_rule_refused(pattern: &str, template: &str, problem: &str) {
    let text = format!("[proxy]\nurl_rewrites = [{{ match = '{pattern}', rewrite = \"{template}\" }}]\n");
    assert_refused(&text, &[&format!("config.toml:2: proxy.url_rewrites[0].{problem}")]);
}

#[test]
fn a_rewrite_that_could_go_wrong_is_refused_at_its_place() {
    let ends_path = "rewrite: must not hold \"?\", \"#\", white space or control characters";
    let unclosed = "rewrite: holds a \"${\" that is not closed by \"}\"";
    for (pattern, template, problem) in [
        ("(", "/", "match: is not a regular expression: unclosed group"),
        (
            "x{2,1}",
            "/",
            "match: is not a regular expression: invalid repetition count range, the start must be <= the end",
        ),
        ("x*", "/", "match: must not match the empty string"),
        ("^$", "/", "match: must not match the empty string"),
        ("^/(a)", "/$2", "rewrite: \"match\" has no group \"2\""),
        ("^/(a)", "/$1x", "rewrite: \"match\" has no group \"1x\""),
        ("^/(?<a>a)", "/$${b}", "rewrite: \"match\" has no group \"b\""),
        ("^/(a)", "/$99999999999999999999999", "rewrite: \"match\" has no group \"99999999999999999999999\""),
        ("^/(a)", "/$${1", unclosed),
        ("^/(a)", "/x$/", "rewrite: holds a \"$\" without a group; write \"$$$$\" for a plain dollar sign"),
        ("^/a", "/b?c=d", ends_path),
        ("^/a", "/b#c", ends_path),
        ("^/a", "/b c", ends_path),
        ("^/a", "/b\\u00a0c", ends_path),
        ("^/a", "/b\\u0007", ends_path),
        ("^/a", "/\u{fc}", "rewrite: holds a character that a path cannot hold; percent-encode it"),
    ] {
        assert_rule_refused(pattern, template, problem);
    }
    assert_refused(
        "[proxy]\nurl_rewrites = [\n{ match = '^/a', rewrite = \"/$$$${b}\" },\n{ rewrite = \"/\", to = 1 }]\n",
        &[
            "config.toml:4: proxy.url_rewrites[1].to: no setting is called \"to\"; known here: name, match, rewrite",
            "config.toml:4: proxy.url_rewrites[1]: \"match\" is required",
        ],
    );
}

#[test]
fn a_list_of_tables_from_the_environment_is_json_and_never_ignored() {
    let parse = |text: &str| {
        let overrides = [("AISIX_PROXY__URL_REWRITES".to_owned(), text.to_owned())];
        crate::config::parse("config.toml", "", &|_| None, &overrides)
    };
    let config =
        parse(r#"[{"match": "^/a$", "rewrite": "/b"}, {"match": "^/c$", "rewrite": "/d"}]"#).unwrap();
    let rules = &config.settings.proxy.url_rewrites;
    assert_eq!(rewritten(rules, "/c").as_deref(), Some("/d"));
    assert!(parse("").unwrap().settings.proxy.url_rewrites.is_empty());
    for (text, message) in [
        ("{}", "expected a table, found a string"),
        ("[{\"match\": \"^/a\"", "expected a table, found a string"),
        ("[{\"match\": \"(\", \"rewrite\": \"/\"}]", "is not a regular expression: unclosed group"),
        ("[{\"match\": \"^/a\"}]", "\"rewrite\" is required"),
    ] {
        let problems = parse(text).unwrap_err().to_string();
        assert_eq!(problems, format!("environment: AISIX_PROXY__URL_REWRITES: {message}"), "{text}");
    }
}

#[test]
fn the_path_of_the_metrics_begins_with_a_slash() {
    for (written, path) in [("", "/metrics"), (" ", "/metrics"), ("scrape", "/scrape"), ("/a/b", "/a/b")] {
        let text = format!("[observability.metrics.prometheus]\npath = \"{written}\"\n");
        assert_eq!(parse_plain(&text).unwrap().settings.observability.metrics.prometheus.path(), path);
    }
}

#[test]
fn a_redis_has_a_prefix_and_only_sentinels_have_a_password_of_their_own() {
    let redis = "[redis]\nurl = \"redis://127.0.0.1\"\n";
    assert_refused(
        &format!("{redis}key_prefix = \"\"\n"),
        &["config.toml:3: redis.key_prefix: must not be empty: it says where keys of a cluster lie"],
    );
    assert_refused(
        &format!("{redis}sentinel_password = \"x\"\n"),
        &[
            "config.toml:1: redis.sentinel_username: sentinel_username and sentinel_password are for mode \"sentinel\"",
        ],
    );
    assert_refused(
        &format!("{redis}sentinel_username = \"x\"\n"),
        &[
            "config.toml:3: redis.sentinel_username: sentinel_username and sentinel_password are for mode \"sentinel\"",
        ],
    );
}
