//! The journal of budgets: what was spent outlives the gateway, and what happens while it cannot be written.

use std::fs;
use std::process::Command;

use crate::harness::*;

const COST: &str = "cost = { input_per_1k = 1, output_per_1k = 1 }";
/// What one answer costs at that price, in millionths of a dollar: twelve tokens.
const ONE: u64 = 12_000;

fn upstream() -> Upstream {
    Upstream::start(|_, _| Answer::json(200, &completion("hello", 5, 7)))
}

/// A priced model under a hard budget; `more` is further configuration, before all tables of it.
fn config(upstream: &Upstream, more: &str) -> String {
    more.to_owned()
        + &provider_key("up", &upstream.url())
        + &model("m", "up", COST)
        + &api_key("sk-test", "\"*\"", "")
        + "[[budgets]]\nname = \"all\"\nscope = \"org\"\nlimit_usd = \"100\"\nperiod = \"total\"\n"
}

/// What the budget has spent, in millionths of a dollar.
fn spent(metrics: &Metrics) -> u64 {
    (metrics.one("aisix_budget_spent_usd", &[("budget", "all")]).value * 1e6).round() as u64
}

fn journal(gateway: &Gateway, name: &str) -> f64 {
    gateway.metrics().one(&format!("aisix_ledger_journal_{name}"), &[]).value
}

fn ready(addr: std::net::SocketAddr) -> (u16, String) {
    let mut connection = Connection::open(addr);
    connection.send(&request_text("GET", "/readyz?verbose", "", &[], b""));
    let response = connection.response();
    (response.status, response.text())
}

fn chat(gateway: &Gateway) -> Response {
    gateway.chat(&chat_body("m", ""))
}

#[test]
fn what_was_spent_is_spent_after_a_restart() {
    let upstream = upstream();
    let mut gateway = Gateway::start(&config(&upstream, ""));
    for life in 0..3 {
        assert_eq!(spent(&gateway.metrics()), ONE * 2 * life);
        chat(&gateway).expect(200);
        chat(&gateway).expect(200);
        gateway.settled();
        until("it is kept", || journal(&gateway, "committed_charges_total") == 2.0);
        assert_eq!((journal(&gateway, "healthy"), journal(&gateway, "pending_micro_usd")), (1.0, 0.0));
        gateway = gateway.restart();
    }
}

#[test]
fn commits_of_the_journal_are_no_news_to_the_registry() {
    let upstream = upstream();
    let gateway = Gateway::start(&config(&upstream, ""));
    chat(&gateway).expect(200);
    let applied = || gateway.metrics().one("aisix_config_applied_total", &[]).value;
    gateway.admin().ask("POST", "/admin/v1/cache_policies", r#"{"name":"late"}"#).expect(201);
    let before = applied();
    chat(&gateway).expect(200);
    gateway.settled();
    until("it is kept", || journal(&gateway, "committed_charges_total") == 2.0);
    // Longer than between two looks at the store.
    let looked = std::time::Instant::now();
    until("the registry has looked", || looked.elapsed().as_millis() > 1_200);
    assert_eq!(applied(), before);
}

#[test]
fn a_store_that_cannot_be_used_refuses_under_hard_budgets_until_it_can_be() {
    let upstream = upstream();
    let gateway = Gateway::start(&config(&upstream, "[store]\npath = \"later/aisix.db\"\n"));
    let refused = chat(&gateway).expect(429);
    assert_eq!((refused.error_type().as_str(), upstream.count()), ("billing_error", 0));
    assert_eq!(refused.error()["code"], "budget_unavailable");
    for addr in [gateway.addr(), gateway.admin_addr()] {
        let (status, text) = ready(addr);
        assert!(status == 503 && text.contains("[-]ledger failed: reason withheld\n"), "{status} {text}");
    }
    assert_eq!(journal(&gateway, "healthy"), 0.0);
    fs::create_dir(gateway.folder.path().join("later")).expect("a folder");
    until("it is tried again", || journal(&gateway, "healthy") == 1.0);
    chat(&gateway).expect(200);
    assert_eq!(ready(gateway.addr()).0, 200);
}

#[test]
fn charges_that_could_not_be_written_are_written_later() {
    let upstream = upstream();
    let usage = UsageFile::new();
    let more = "[budget]\non_journal_failure = \"allow\"\n".to_owned() + &usage.settings();
    let gateway = Gateway::start(&config(&upstream, &more));
    chat(&gateway).expect(200);
    usage.wait_for(&gateway, 1);
    let (store, away) = (gateway.folder.path().join("aisix.db"), gateway.folder.path().join("away.db"));
    fs::rename(&store, &away).expect("moved");
    chat(&gateway).expect(200);
    until("it is noticed", || journal(&gateway, "healthy") == 0.0);
    for addr in [gateway.addr(), gateway.admin_addr()] {
        let (status, text) = ready(addr);
        assert!(status == 200 && text.contains("[+]ledger degraded: reason withheld\n"), "{status} {text}");
    }
    chat(&gateway).expect(200);
    usage.wait_for(&gateway, 3);
    assert_eq!(journal(&gateway, "pending_micro_usd"), 2.0 * ONE as f64);
    assert!(!store.exists(), "no other file is begun");
    fs::rename(&away, &store).expect("put back");
    until("it is written", || journal(&gateway, "committed_charges_total") == 3.0);
    assert_eq!((journal(&gateway, "healthy"), journal(&gateway, "pending_micro_usd")), (1.0, 0.0));
    let gateway = gateway.restart();
    assert_eq!(spent(&gateway.metrics()), ONE * 3);
}

#[test]
fn a_full_disk_refuses_or_serves_as_the_operator_wants_and_is_got_over() {
    for (verdict, served, probe) in [("deny", 429, 503), ("allow", 200, 200)] {
        let upstream = upstream();
        let more = format!(
            "[budget]\nflush_ms = 1\non_journal_failure = \"{verdict}\"\n[shutdown]\nmin_drain_secs = 0\n"
        );
        let folder = std::sync::Arc::new(Folder::new());
        folder.write("config.toml", &config(&upstream, &more));
        // No file may become longer than this, as on a disk that is full.
        let limited = "trap '' XFSZ; ulimit -S -f 300; exec \"$@\"";
        let mut process = Process::start_in(folder, &["sh", "-c", limited, "sh"]);
        let mut answered = 0;
        until("the disk is full", || {
            if process.chat(&chat_body("m", "")).status == 200 {
                answered += 1;
            }
            read(&process).one("aisix_ledger_journal_healthy", &[]).value == 0.0
        });
        assert_eq!(process.chat(&chat_body("m", "")).status, served, "{verdict}");
        answered += u64::from(served == 200);
        assert_eq!(ready(process.addr).0, probe, "{verdict}");
        let widened = Command::new("prlimit")
            .args(["--pid", &process.id().to_string(), "--fsize=unlimited"])
            .status()
            .expect("prlimit runs");
        assert!(widened.success());
        until("there is room", || read(&process).one("aisix_ledger_journal_healthy", &[]).value == 1.0);
        process.chat(&chat_body("m", "")).expect(200);
        process.signal("TERM");
        assert_eq!(process.exit_code(), Some(0), "{verdict}");
        let next = Process::start_in(process.folder.clone(), &[]);
        assert_eq!(spent(&read(&next)), ONE * (answered + 1), "{verdict}");
    }
}

fn read(process: &Process) -> Metrics {
    let mut connection = Connection::open(process.metrics_addr());
    connection.send(&request_text("GET", "/metrics", "", &[], b""));
    Metrics::read(&connection.response().expect(200).text())
}

#[test]
fn without_a_journal_spend_begins_at_nothing_and_no_file_is_made() {
    let upstream = upstream();
    let gateway = Gateway::start(&config(&upstream, "[budget]\njournal = false\n"));
    chat(&gateway).expect(200);
    gateway.settled();
    assert_eq!(spent(&gateway.metrics()), ONE);
    assert!(gateway.metrics().all("aisix_ledger_journal_healthy", &[]).is_empty());
    assert!(!gateway.folder.path().join("aisix.db").exists());
    let gateway = gateway.restart();
    assert_eq!(spent(&gateway.metrics()), 0);
}

#[test]
fn a_writer_who_holds_the_store_delays_the_journal_and_breaks_nothing() {
    let upstream = upstream();
    let gateway = Gateway::start(&config(&upstream, ""));
    chat(&gateway).expect(200);
    until("it is kept", || journal(&gateway, "committed_charges_total") == 1.0);
    let other = rusqlite::Connection::open(gateway.folder.path().join("aisix.db")).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody writes for long");
    chat(&gateway).expect(200);
    gateway.settled();
    until("it waits", || journal(&gateway, "pending_micro_usd") == ONE as f64);
    chat(&gateway).expect(200);
    assert_eq!(journal(&gateway, "healthy"), 1.0);
    other.execute_batch("COMMIT").expect("it is ours");
    until("it is kept", || journal(&gateway, "committed_charges_total") == 3.0);
    assert_eq!((journal(&gateway, "failures_total"), journal(&gateway, "pending_micro_usd")), (0.0, 0.0));
}
