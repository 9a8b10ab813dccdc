//! What a reload says: why it changed nothing, and what waits for a restart.

use aisix::config::Kind;
use aisix::registry::FailureKind;
use serde_json::json;

use super::*;

#[test]
fn a_bad_file_changes_nothing_and_is_reported() {
    let upstream = Upstream::well();
    let good = with_models(&upstream, &["m"]);
    let gateway = Gateway::start(&good);
    let mut admin = gateway.admin();
    let body = json!({"display_name": "stored", "provider_key": "up", "model_name": "x"});
    admin.put(Kind::Models, "stored", &body).expect(201);
    let lines = good.lines().count();
    let end = |more: &str| format!("{good}{more}");
    let cases = [
        (end("[[models]"), FailureKind::Parse, format!("config.toml:{}: ", lines + 1)),
        (end("[proxxy]\nx = 1\n"), FailureKind::Validate, "did you mean \"proxy\"?".to_owned()),
        (
            good.replace("model_name", "model_nam"),
            FailureKind::Validate,
            "did you mean \"model_name\"?".into(),
        ),
        (good.replace("sk-upstream", "${NOT_SET}"), FailureKind::Validate, "NOT_SET is not set".into()),
        (end(&model("n", "upp", "")), FailureKind::Validate, "no provider key is called \"upp\"".into()),
        (end(&model("stored", "up", "")), FailureKind::Validate, "models/stored".into()),
        (
            good.replace("\"up\"", "\"other\""),
            FailureKind::Validate,
            "store: models/stored: provider_key".into(),
        ),
        (end(&model("m", "up", "")), FailureKind::Validate, "already that of models[0] in line 6".into()),
    ];
    let mut before = gateway.gateway.snapshot();
    for (number, (text, kind, part)) in cases.into_iter().enumerate() {
        gateway.folder.write("config.toml", &text);
        let report = reload(&gateway).expect_err(&text);
        assert!(report.contains(&part), "{part:?} in {report:?}");
        let status = gateway.gateway.status.load_full();
        assert_eq!(status.state(), "out_of_sync", "{text}");
        assert_eq!(status.last_reload.map(|(is_good, _)| is_good), Some(false));
        let failure = status.last_failure.as_ref().expect("a failure");
        assert_eq!((failure.kind, &failure.report), (kind, &report), "{text}");
        assert!(std::sync::Arc::ptr_eq(&before, &gateway.gateway.snapshot()), "{text}");
        gateway.chat(&chat_body("m", "")).expect(200);
        // Administrators can go on as well, from what is in force.
        let revision =
            admin.patch(Kind::Models, "stored", &json!({"timeout": 5})).expect(200).json()["revision"]
                .clone();
        assert_eq!(revision, number + 2);
        before = gateway.gateway.snapshot();
    }
}

#[test]
fn a_file_that_cannot_be_read_is_reported_as_such() {
    let upstream = Upstream::well();
    let good = with_models(&upstream, &["m"]);
    let gateway = Gateway::start(&good);
    let path = gateway.folder.path().join("config.toml");
    for bytes in [None, Some(&b"[proxy]\n# \xff\n"[..])] {
        match bytes {
            None => std::fs::remove_file(&path).expect("removed"),
            Some(bytes) => std::fs::write(&path, bytes).expect("written"),
        }
        let report = reload(&gateway).expect_err("refused");
        assert!(report.contains("config.toml"), "{report}");
        let status = gateway.gateway.status.load_full();
        assert_eq!(status.last_failure.as_ref().map(|failure| failure.kind), Some(FailureKind::Fetch));
        gateway.chat(&chat_body("m", "")).expect(200);
    }
}

#[test]
fn a_good_file_after_a_bad_one_is_in_sync_again_even_if_it_is_the_old_one() {
    let upstream = Upstream::well();
    let good = with_models(&upstream, &["m"]);
    let gateway = Gateway::start(&good);
    gateway.folder.write("config.toml", "[proxy");
    until("the bad file is noticed", || gateway.gateway.status.load().state() == "out_of_sync");
    gateway.folder.write("config.toml", &good);
    until("the good file is noticed", || gateway.gateway.status.load().state() == "synced");
    let status = gateway.gateway.status.load_full();
    assert_eq!(status.last_reload.map(|(is_good, _)| is_good), Some(true));
    assert!(status.last_failure.is_some(), "the last failure stays to be read");
}

#[test]
fn settings_that_wait_for_a_restart_are_named_until_they_are_back() {
    let upstream = Upstream::well();
    let good = with_models(&upstream, &["m"]);
    let gateway = Gateway::start_with(&good, &[]);
    let waiting = || gateway.gateway.status.load().restart_required.clone();
    assert_eq!(waiting(), [""; 0]);
    for (settings, names) in [
        ("[proxy]\nworkers = 63\n", &["proxy.workers"][..]),
        ("[store]\npath = \"other.db\"\n", &["store.path"]),
        (
            "[downstream]\nidle_timeout_secs = 5\n[cache]\nmax_bytes = 5\n",
            &["downstream.idle_timeout_secs", "cache"],
        ),
        ("[upstream]\nretries = 0\n[shutdown]\nmin_drain_secs = 1\n", &[]),
        ("", &[]),
    ] {
        gateway.folder.write("config.toml", &format!("{settings}{good}"));
        reload(&gateway).expect("a good file");
        assert_eq!(waiting(), names, "{settings}");
        gateway.chat(&chat_body("m", "")).expect(200);
    }
}

#[test]
fn settings_that_need_no_restart_hold_for_the_next_request() {
    let upstream = Upstream::well();
    let good = with_models(&upstream, &["m"]);
    let gateway = Gateway::start(&good);
    let mut admin = gateway.admin();
    let mut connection = gateway.connect();
    let mut chat = || {
        connection.send(&request_text(
            "POST",
            "/v1/chat/completions",
            "sk-test",
            &[("x-mine", "abc-1")],
            chat_body("m", "").as_bytes(),
        ));
        connection.response()
    };
    assert_eq!(chat().expect(200).header("server-timing"), None);
    let settings = "[observability]\nserver_timing = true\n[proxy.request_id]\naccept_headers = [\"x-mine\"]\n\
                    [admin]\nadmin_keys = [\"sk-admin\"]\n";
    admin.ask("GET", "/admin/v1/models", "").expect(200);
    gateway.folder.write("config.toml", &format!("{settings}{good}"));
    reload(&gateway).expect("a good file");
    let response = chat().expect(200);
    assert!(response.header("server-timing").is_some(), "{response:?}");
    assert_eq!(response.header("x-aisix-request-id"), Some("abc-1"));
    let mut stranger = Connection::open(gateway.admin_addr());
    stranger.send(&request_text("GET", "/admin/v1/models", "sk-other", &[], b""));
    stranger.response().expect(401);
    admin.ask("GET", "/admin/v1/models", "").expect(200);
}
