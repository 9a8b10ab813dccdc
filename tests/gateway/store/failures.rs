//! A store that cannot be opened, cannot be written, or has no room: callers are served, and administrators are told.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use aisix::config::Kind;
use aisix::registry::FailureKind;
use serde_json::{Value, json};

use crate::harness::*;

fn body(name: &str) -> Value {
    json!({"display_name": name, "provider_key": "up", "model_name": "x"})
}

fn config(upstream: &Upstream) -> String {
    "[shutdown]\nmin_drain_secs = 0\n".to_owned()
        + &provider_key("up", &upstream.url())
        + &model("m", "up", "")
        + &api_key("sk-test", "\"*\"", "")
}

#[track_caller]
fn is_store_error(response: &Response) {
    assert_eq!(response.status, 500, "{}", response.text());
    let body = response.json();
    let words = body["error_msg"].as_str().expect("error_msg");
    assert!(words.starts_with("store error: "), "{words}");
}

/// What cannot be opened as a store.
fn ruin(path: &Path, how: usize) {
    match how {
        0 => std::fs::create_dir(path).expect("a folder"),
        1 => std::fs::write(path, "this is no database ".repeat(500)).expect("written"),
        _ => {
            let newer = rusqlite::Connection::open(path).expect("made");
            newer.pragma_update(None, "user_version", 1000).expect("written");
        }
    }
}

#[test]
fn a_store_that_cannot_be_opened_keeps_nobody_from_being_served() {
    let upstream = Upstream::well();
    for how in 0..3 {
        let folder = Arc::new(Folder::new());
        folder.write("config.toml", &config(&upstream));
        let path = folder.path().join("aisix.db");
        ruin(&path, how);
        let gateway = Gateway::start_in(folder, &[]);
        let mut admin = gateway.admin();
        gateway.chat(&chat_body("m", "")).expect(200);
        assert_eq!(admin.list(Kind::Models).len(), 1);
        is_store_error(&admin.post(Kind::Models, &body("a")));
        is_store_error(&admin.put(Kind::Models, "a", &body("a")));
        is_store_error(&admin.patch(Kind::Models, "a", &json!({})));
        is_store_error(&admin.delete(Kind::Models, "a"));
        let status = gateway.gateway.status.load_full();
        assert_eq!(status.state(), "degraded");
        let error = status.store_error.as_ref().expect("an error");
        assert!(error.contains("aisix.db"), "{error}");
        assert_eq!(status.last_failure.as_ref().map(|failure| failure.kind), Some(FailureKind::Store));
        assert_eq!(names(&gateway), ["m"], "nothing half written");

        // When the obstacle is gone, writes work again, and the status says so.
        if how == 0 { std::fs::remove_dir(&path) } else { std::fs::remove_file(&path) }.expect("removed");
        admin.put(Kind::Models, "a", &body("a")).expect(201);
        until("the status is good again", || gateway.gateway.status.load().state() == "synced");
        gateway.chat(&chat_body("a", "")).expect(200);
        assert_eq!(names(&gateway.restart()), ["m", "a"]);
    }
}

fn names(gateway: &Gateway) -> Vec<String> {
    gateway.gateway.snapshot().models().map(|model| model.name.to_string()).collect()
}

#[test]
fn the_obstacle_can_go_without_any_write_and_is_counted_once() {
    let upstream = Upstream::well();
    let folder = Arc::new(Folder::new());
    folder.write("config.toml", &config(&upstream));
    let path = folder.path().join("aisix.db");
    ruin(&path, 0);
    let gateway = Gateway::start_in(folder, &[]);
    assert_eq!(gateway.gateway.status.load().state(), "degraded");
    let began = std::time::Instant::now();
    until("two looks are over", || began.elapsed() > std::time::Duration::from_millis(1300));
    let stored = FailureKind::ALL.iter().position(|kind| *kind == FailureKind::Store).expect("it is one");
    assert_eq!(gateway.gateway.status.load().failures[stored], 1, "the same failure is one failure");
    std::fs::remove_dir(&path).expect("removed");
    until("the status is good again", || gateway.gateway.status.load().state() == "synced");
}

#[test]
fn without_a_store_the_admin_api_only_reads() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, "[store]\npath = \"\"\n");
    let mut admin = gateway.admin();
    for response in [admin.post(Kind::Models, &body("a")), admin.put(Kind::Models, "a", &body("a"))] {
        let text = response.expect(409).text();
        assert!(text.contains("store.path"), "{text}");
    }
    admin.delete(Kind::Models, "a").expect(404);
    assert_eq!(admin.list(Kind::Models).len(), 1);
    assert_eq!(gateway.gateway.status.load().state(), "synced");
}

#[test]
fn a_full_disk_refuses_writes_whole_and_takes_them_again_when_there_is_room() {
    let upstream = Upstream::well();
    let folder = Arc::new(Folder::new());
    folder.write("config.toml", &config(&upstream));
    // A limit on the size of files stands for the end of the disk; 200 KiB of it are for the log of changes.
    let limited = ["bash", "-c", "trap '' XFSZ; ulimit -S -f 200; exec \"$0\" \"$@\""];
    let mut process = Process::start_in(folder, &limited);
    let mut admin = process.admin();
    let large = |name: &str| {
        let mut body = body(name);
        body["model_name"] = json!("x".repeat(20_000));
        body
    };
    let mut stored = 0;
    let refused = loop {
        let response = admin.put(Kind::Models, &format!("a{stored}"), &large(&format!("a{stored}")));
        if response.status != 201 {
            break response;
        }
        stored += 1;
        assert!(stored < 100, "the limit does not hold");
    };
    is_store_error(&refused);
    assert!(stored > 1, "there was room at first");
    process.chat(&chat_body("m", "")).expect(200);
    process.chat(&chat_body("a0", "")).expect(200);
    process.chat(&chat_body(&format!("a{stored}"), "")).expect(404);
    assert_eq!(admin.list(Kind::Models).len(), 1 + stored, "nothing half written");
    is_store_error(&admin.put(Kind::Models, "again", &large("again")));

    let pid = rustix::process::Pid::from_raw(i32::try_from(process.id()).expect("a number"));
    let room = rustix::process::Rlimit { current: None, maximum: None };
    rustix::process::prlimit(pid, rustix::process::Resource::Fsize, room).expect("there is room");
    admin.put(Kind::Models, "again", &large("again")).expect(201);
    drop(admin);
    process.signal("TERM");
    assert_eq!(process.exit_code(), Some(0));
    let process = Process::start_in(process.end(), &[]);
    assert_eq!(process.admin().list(Kind::Models).len(), 1 + stored + 1);
    process.chat(&chat_body("again", "")).expect(200);
}

#[test]
fn a_store_that_may_only_be_read_is_served_and_takes_no_writes() {
    let upstream = Upstream::well();
    let earlier = Gateway::start(&config(&upstream));
    earlier.admin().put(Kind::Models, "a", &body("a")).expect(201);
    let folder = earlier.folder.clone();
    drop(earlier);
    let allow = |file: u32, around: u32| {
        let mode =
            |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("set");
        mode(&folder.path().join("aisix.db"), file);
        mode(folder.path(), around);
    };
    allow(0o444, 0o555);
    // Root may write everywhere, so it becomes nobody.
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let before: &[&str] = if rustix::process::geteuid().is_root() { &nobody } else { &[] };
    let process = Process::start_in(folder.clone(), before);
    process.chat(&chat_body("a", "")).expect(200);
    let mut admin = process.admin();
    is_store_error(&admin.put(Kind::Models, "b", &body("b")));
    is_store_error(&admin.delete(Kind::Models, "a"));
    assert_eq!(admin.list(Kind::Models).len(), 2);
    allow(0o666, 0o777);
    admin.put(Kind::Models, "b", &body("b")).expect(201);
    process.chat(&chat_body("b", "")).expect(200);
}
