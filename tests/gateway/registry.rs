//! Writes that meet others: other resources, other processes, an earlier start.

use aisix::config::{Kind, Snapshot, Source};
use aisix::error::AdminError;
use aisix::registry::{Action, Book, Expected, Write, Written};
use serde_json::{Value, json};

use crate::harness::*;

fn load(folder: &Folder) -> (Book, Snapshot) {
    let source = Source::with_variables(folder.path().join("config.toml"), &[]);
    Book::load(source).unwrap_or_else(|problems| panic!("{problems}"))
}

fn put(book: &mut Book, kind: Kind, id: &str, body: Value) -> Result<Written, AdminError> {
    let write = Write { kind, action: Action::Put(id.into(), body), if_match: None };
    book.write(vec![write]).0.remove(0)
}

fn key(name: &str) -> Value {
    json!({"display_name": name, "provider": "mock"})
}

fn model_over(name: &str, provider_key: &str) -> Value {
    json!({"display_name": name, "provider_key": provider_key, "model_name": "demo"})
}

#[track_caller]
fn assert_conflict<T>(outcome: Result<T, AdminError>, words: &str) {
    match outcome {
        Err(AdminError::Conflict(message)) => assert!(message.contains(words), "{message}"),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it is done"),
    }
}

#[test]
fn a_reference_never_changes_what_it_leads_to_because_a_name_is_also_an_id() {
    let folder = Folder::new();
    folder.write("config.toml", "");
    let (mut book, _) = load(&folder);
    put(&mut book, Kind::ProviderKeys, "pk-9", key("Nine")).expect("stored");
    put(&mut book, Kind::Models, "m", model_over("m", "pk-9")).expect("an id is a reference too");
    assert_conflict(put(&mut book, Kind::ProviderKeys, "other", key("pk-9")), "is the id of another");
    assert_conflict(put(&mut book, Kind::ProviderKeys, "Nine", key("Ten")), "is the name of another");
    put(&mut book, Kind::ProviderKeys, "same", key("same")).expect("its own name is its own affair");
}

#[test]
fn what_another_process_wrote_a_moment_ago_counts_at_once() {
    let folder = Folder::new();
    folder.write("config.toml", "");
    let ((mut one, _), (mut other, _)) = (load(&folder), load(&folder));
    put(&mut one, Kind::ProviderKeys, "a", key("taken")).expect("stored");
    assert_conflict(put(&mut other, Kind::ProviderKeys, "b", key("taken")), "already in use");
    put(&mut other, Kind::ProviderKeys, "a", key("renamed")).expect("replaced");
    let stale = Write {
        kind: Kind::ProviderKeys,
        action: Action::Put("a".into(), key("late")),
        if_match: Some(Expected::Revision(1)),
    };
    let (mut outcomes, snapshot) = one.write(vec![stale]);
    assert_conflict(outcomes.remove(0), "revision 2, not 1");
    let snapshot =
        snapshot.expect("what the other wrote comes into force, although the own write is refused");
    let name = snapshot.resources.find(Kind::ProviderKeys, "a").and_then(|key| key.name().cloned());
    assert_eq!(name.as_deref(), Some("renamed"));
    assert_eq!(load(&folder).1.resources.count(Kind::ProviderKeys), 1);
}

#[test]
fn whoever_wants_to_be_the_first_is_told_when_somebody_was_earlier() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "");
    let mut admin = gateway.admin();
    let path = address(Kind::ProviderKeys, "x");
    let mut first =
        |value: &str| admin.ask_with("PUT", &path, &[("if-none-match", value)], &key("x").to_string());
    first("*").expect(201);
    assert!(first("*").expect(409).text().contains("there already, with revision 1"));
    first("\"1\"").expect(400);
}

#[test]
fn a_row_that_nobody_can_use_takes_no_other_along() {
    let folder = Folder::new();
    folder.write("config.toml", "");
    let (mut book, _) = load(&folder);
    put(&mut book, Kind::ProviderKeys, "good", key("good")).expect("stored");
    drop(book);
    let store = rusqlite::Connection::open(folder.path().join("aisix.db")).expect("a store");
    for values in ["'weird', 'x', 'y', x'ff'", "'models', 'z', 1, x'ff00'"] {
        store.execute(&format!("INSERT INTO resources VALUES ({values})"), []).expect("taken");
    }
    drop(store);
    let (book, snapshot) = load(&folder);
    assert_eq!(snapshot.resources.count(Kind::ProviderKeys), 1);
    assert_eq!(book.status().store_failure(), None);
    let mut rejected: Vec<_> = book.status().rejected.iter().map(|row| row.id.clone()).collect();
    rejected.sort();
    assert_eq!(rejected, ["x", "z"]);
}

#[test]
fn a_reload_never_takes_the_key_away_from_a_listener_that_others_reach() {
    let folder = Folder::new();
    let admin = |addr: &str, keys: &str| format!("[admin]\naddr = \"{addr}\"\nadmin_keys = [{keys}]\n");
    folder.write("config.toml", &admin("192.0.2.1:3001", "\"sk-admin\""));
    let (mut book, _) = load(&folder);
    folder.write("config.toml", &admin("127.0.0.1:3001", ""));
    let report = book.reload().map(drop).expect_err("refused");
    assert!(report.contains("admin.admin_keys: must not be empty: until a restart"), "{report}");
    folder.write("config.toml", &admin("127.0.0.1:3001", "\"sk-other\""));
    book.reload().map(drop).expect("another key is fine");
}

#[test]
fn an_answer_is_not_remembered_for_what_stands_behind_the_model_now() {
    let upstream = Upstream::always(Answer::json(200, &completion("x", 1, 1)));
    let gateway = gateway_over(&upstream, "[[cache_policies]]\nname = \"all\"\n");
    let mut admin = gateway.admin();
    admin.put(Kind::Models, "c", &model_over("c", "up")).expect(201);
    let cache = || gateway.chat(&chat_body("c", "")).expect(200).header("x-aisix-cache").map(str::to_owned);
    assert_eq!([cache(), cache()], ["miss", "hit"].map(|word| Some(word.to_owned())));
    admin.patch(Kind::Models, "c", &json!({"model_name": "other"})).expect(200);
    assert_eq!(cache().as_deref(), Some("miss"));
}
