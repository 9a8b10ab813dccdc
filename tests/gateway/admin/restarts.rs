//! What a restart brings back, and what becomes of stored resources that do not fit any more.

use super::*;

fn rejected(gateway: &Gateway) -> Vec<(String, String)> {
    let status = gateway.gateway.status.load();
    status.rejected.iter().map(|row| (format!("{}/{}", row.kind, row.id), row.reason.clone())).collect()
}

#[test]
fn everything_that_was_stored_is_there_after_a_restart() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, &format!("{ADMIN}[budget]\nunpriced = \"allow\"\n"));
    let mut admin = gateway.admin();
    for kind in Kind::ALL.iter().copied() {
        admin.put(kind, "b", &body_of(kind, "b")).expect(201);
        admin.put(kind, "a", &body_of(kind, "a")).expect(201);
        admin.put(kind, "gone", &body_of(kind, "gone")).expect(201);
        admin.patch(kind, "b", &json!({kind.identity(): "bee"})).expect(200);
        admin.delete(kind, "gone").expect(200);
    }
    let before: Vec<_> = Kind::ALL.iter().map(|kind| admin.list(*kind)).collect();
    let hash = gateway.gateway.status.load().config_hash.clone();
    drop(admin);
    let gateway = gateway.restart();
    let mut admin = gateway.admin();
    let after: Vec<_> = Kind::ALL.iter().map(|kind| admin.list(*kind)).collect();
    assert_eq!(after, before, "the same resources with the same revisions in the same order");
    assert_eq!(gateway.gateway.status.load().config_hash, hash);
    assert_eq!(gateway.gateway.status.load().state(), "synced");
    assert_eq!(
        gateway.post_json("/v1/chat/completions", "sk-b", &chat_body("bee", "")).expect(200).status,
        200
    );
}

#[test]
fn what_no_longer_fits_is_left_out_and_listed_and_mended_by_a_put() {
    let upstream = Upstream::well();
    let more = ADMIN.to_owned() + &provider_key("old", &upstream.url());
    let gateway = gateway_over(&upstream, &more);
    let mut admin = gateway.admin();
    let model = |key: &str| json!({"display_name": "own", "provider_key": key, "model_name": "x"});
    admin.put(Kind::Models, "own", &model("old")).expect(201);
    let routing = json!({"display_name": "auto", "routing": {"targets": [{"model": "own"}]}});
    admin.put(Kind::Models, "auto", &routing).expect(201);
    admin.put(Kind::Models, "good", &body_of(Kind::Models, "good")).expect(201);
    drop(admin);
    let text = std::fs::read_to_string(gateway.folder.path().join("config.toml")).expect("a file");
    gateway.folder.write("config.toml", &text.replace("\"old\"", "\"new\""));
    let gateway = gateway.restart();
    let mut admin = gateway.admin();

    let left_out = rejected(&gateway);
    let names: Vec<&str> = left_out.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["models/own", "models/auto"], "{left_out:?}");
    assert!(left_out[0].1.contains("no provider key is called \"old\""), "{left_out:?}");
    assert!(left_out[1].1.contains("\"own\""), "{left_out:?}");
    assert_eq!(gateway.gateway.status.load().state(), "degraded");
    refusal(&admin.get(Kind::Models, "own"), 404);
    gateway.chat(&chat_body("own", "")).expect(404);
    gateway.chat(&chat_body("good", "")).expect(200);
    gateway.chat(&chat_body("m", "")).expect(200);

    // Other writes go on, and change nothing about it.
    admin.patch(Kind::Models, "good", &json!({"timeout": 5})).expect(200);
    assert_eq!(rejected(&gateway).len(), 2);
    // It was there all the time: this is its second revision.
    assert_eq!(admin.put(Kind::Models, "own", &model("new")).expect(200).json()["revision"], 2);
    assert_eq!(rejected(&gateway), []);
    assert_eq!(gateway.gateway.status.load().state(), "synced");
    gateway.chat(&chat_body("auto", "")).expect(200);
}

#[test]
fn what_no_longer_fits_can_be_removed_changed_or_given_what_it_lacks() {
    let upstream = Upstream::well();
    let more = ADMIN.to_owned() + &provider_key("old", &upstream.url());
    let gateway = gateway_over(&upstream, &more);
    let mut admin = gateway.admin();
    for id in ["removed", "changed", "waiting"] {
        let model = json!({"display_name": id, "provider_key": "old", "model_name": "x"});
        admin.put(Kind::Models, id, &model).expect(201);
    }
    drop(admin);
    let text = std::fs::read_to_string(gateway.folder.path().join("config.toml")).expect("a file");
    gateway.folder.write("config.toml", &text.replace("\"old\"", "\"new\""));
    let gateway = gateway.restart();
    let mut admin = gateway.admin();
    assert_eq!(rejected(&gateway).len(), 3);
    admin.delete(Kind::Models, "removed").expect(200);
    assert_eq!(rejected(&gateway).len(), 2);
    admin.patch(Kind::Models, "changed", &json!({"provider_key": "new"})).expect(200);
    gateway.chat(&chat_body("changed", "")).expect(200);
    assert_eq!(rejected(&gateway).len(), 1);
    let key =
        json!({"display_name": "old", "provider": "openai", "api_key": "k", "api_base": upstream.url()});
    admin.put(Kind::ProviderKeys, "pk", &key).expect(201);
    gateway.chat(&chat_body("waiting", "")).expect(200);
    assert_eq!(rejected(&gateway), []);
}
