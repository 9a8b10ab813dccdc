//! Other processes at the same file: what they write is noticed, and what they break is left out.

use aisix::config::Kind;
use rusqlite::{Connection as Sqlite, params};
use serde_json::json;

use crate::harness::*;

fn row(other: &Sqlite, kind: &str, id: &str, body: &str) {
    let text = "INSERT INTO resources (kind, id, revision, body) VALUES (?1, ?2, 1, ?3) \
                ON CONFLICT (kind, id) DO UPDATE SET revision = revision + 1, body = ?3";
    other.execute(text, params![kind, id, body]).expect("written");
}

fn model_body(name: &str) -> String {
    json!({"display_name": name, "provider_key": "up", "model_name": "x"}).to_string()
}

fn names(gateway: &Gateway) -> Vec<String> {
    gateway.gateway.snapshot().models().map(|model| model.name.to_string()).collect()
}

#[test]
fn what_another_process_writes_is_noticed() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    let mut admin = gateway.admin();
    admin.ask("PUT", &address(Kind::Models, "a"), &model_body("a")).expect(201);
    let other = Sqlite::open(gateway.folder.path().join("aisix.db")).expect("opened");
    row(&other, "models", "b", &model_body("b"));
    until("an insert is noticed", || names(&gateway) == ["m", "a", "b"]);
    gateway.chat(&chat_body("b", "")).expect(200);
    row(&other, "models", "a", &model_body("c"));
    until("an update is noticed", || names(&gateway) == ["m", "c", "b"]);
    assert_eq!(admin.get(Kind::Models, "a").json()["revision"], 2);
    // A write that comes at once builds on what the other has written, not on what was known.
    row(&other, "models", "a", &model_body("d"));
    let patched = admin.patch(Kind::Models, "a", &json!({"timeout": 5})).expect(200).json();
    assert_eq!((&patched["revision"], &patched["value"]["display_name"]), (&json!(4), &json!("d")));
    other.execute("DELETE FROM resources WHERE id = 'b'", []).expect("removed");
    until("a removal is noticed", || names(&gateway) == ["m", "d"]);
    assert_eq!(gateway.gateway.status.load().state(), "synced");
}

#[test]
fn what_another_process_breaks_is_left_out_and_listed() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    let mut admin = gateway.admin();
    admin.ask("PUT", &address(Kind::Models, "good"), &model_body("good")).expect(201);
    let other = Sqlite::open(gateway.folder.path().join("aisix.db")).expect("opened");
    for (kind, id, body) in [
        ("models", "text", "no json"),
        ("models", "list", "[]"),
        ("models", "unknown", "{\"display_name\": \"u\", \"nothing\": 1}"),
        (
            "models",
            "dangling",
            &*json!({"display_name": "d", "provider_key": "x", "model_name": "x"}).to_string(),
        ),
        ("models", "taken", &*model_body("m")),
        ("api_keys", "half", "{\"display_name\": \"k\"}"),
        ("wonders", "w", "{}"),
    ] {
        row(&other, kind, id, body);
    }
    let rejected = || -> Vec<String> {
        let status = gateway.gateway.status.load();
        status.rejected.iter().map(|row| format!("{}/{}", row.kind, row.id)).collect()
    };
    until("all are listed", || rejected().len() == 7);
    assert_eq!(gateway.gateway.status.load().state(), "degraded");
    assert_eq!(names(&gateway), ["m", "good"]);
    gateway.chat(&chat_body("good", "")).expect(200);
    // An administrator can mend or remove what the gateway knows the kind of.
    admin.delete(Kind::Models, "text").expect(200);
    admin.delete(Kind::Models, "list").expect(200);
    admin.ask("PUT", &address(Kind::Models, "unknown"), &model_body("u")).expect(200);
    admin.patch(Kind::Models, "dangling", &json!({"provider_key": "up"})).expect(200);
    admin.patch(Kind::Models, "taken", &json!({"display_name": "free"})).expect(200);
    admin.delete(Kind::ApiKeys, "half").expect(200);
    assert_eq!(rejected(), ["wonders/w"]);
    assert_eq!(names(&gateway), ["m", "good", "u", "d", "free"]);
    other.execute("DELETE FROM resources WHERE kind = 'wonders'", []).expect("removed");
    until("nothing is left out", || gateway.gateway.status.load().state() == "synced");
}

#[test]
fn a_store_that_appears_later_is_taken_over() {
    let upstream = Upstream::well();
    let earlier = gateway_over(&upstream, "");
    earlier.admin().ask("PUT", &address(Kind::Models, "a"), &model_body("a")).expect(201);
    let from = earlier.folder.clone();
    drop(earlier);
    let gateway = gateway_over(&upstream, "");
    assert_eq!(names(&gateway), ["m"]);
    std::fs::copy(from.path().join("aisix.db"), gateway.folder.path().join("aisix.db")).expect("copied");
    // Whether the write comes before the file is noticed or after it.
    gateway.admin().ask("PUT", &address(Kind::Models, "b"), &model_body("b")).expect(201);
    until("it is taken over", || names(&gateway) == ["m", "a", "b"]);
    let gateway = gateway.restart();
    assert_eq!(names(&gateway), ["m", "a", "b"]);
}

#[test]
fn a_store_that_is_taken_away_takes_no_writes_and_says_so() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    let mut admin = gateway.admin();
    admin.ask("PUT", &address(Kind::Models, "a"), &model_body("a")).expect(201);
    let path = gateway.folder.path().join("aisix.db");
    std::fs::rename(&path, gateway.folder.path().join("elsewhere.db")).expect("moved");
    // A write that went into the file that is gone would be answered and lost.
    let answer = admin.ask("PUT", &address(Kind::Models, "b"), &model_body("b")).expect(500).json();
    assert!(answer["error_msg"].as_str().is_some_and(|words| words.starts_with("store error: ")), "{answer}");
    until("the status says so", || gateway.gateway.status.load().state() == "degraded");
    assert_eq!(names(&gateway), ["m", "a"]);
    gateway.chat(&chat_body("a", "")).expect(200);
    std::fs::rename(gateway.folder.path().join("elsewhere.db"), &path).expect("moved");
    admin.ask("PUT", &address(Kind::Models, "b"), &model_body("b")).expect(201);
    until("all is well", || gateway.gateway.status.load().state() == "synced");
}

#[test]
fn a_neighbour_that_holds_the_file_for_a_while_is_waited_for() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    let mut admin = gateway.admin();
    admin.ask("PUT", &address(Kind::Models, "a"), &model_body("a")).expect(201);
    let other = Sqlite::open(gateway.folder.path().join("aisix.db")).expect("opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("held");
    std::thread::scope(|threads| {
        let waiting =
            threads.spawn(|| admin.ask("PUT", &address(Kind::Models, "b"), &model_body("b")).status);
        // Callers are served meanwhile.
        for _ in 0..20 {
            gateway.chat(&chat_body("a", "")).expect(200);
        }
        assert!(!waiting.is_finished());
        other.execute_batch("ROLLBACK").expect("let go");
        assert_eq!(waiting.join().expect("no panic"), 201);
    });
}
