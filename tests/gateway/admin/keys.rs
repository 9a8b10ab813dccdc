//! API keys: given out once, known by their hash, replaced with and without a grace.

use std::time::{Duration, Instant};

use super::*;

fn chat(gateway: &Gateway, key: &str) -> u16 {
    gateway.post_json("/v1/chat/completions", key, &chat_body("m", "")).status
}

fn hash(key: &str) -> String {
    aisix::config::secret::KeyHash::of(key).to_hex()
}

/// Asserts that a text is a key as the Admin API gives it: `sk-` and 32 hexadecimal digits.
#[track_caller]
fn plaintext(body: &Value) -> String {
    let key = body["plaintext"].as_str().expect("a key in plain text").to_owned();
    let digits = key.strip_prefix("sk-").expect("sk-");
    assert_eq!(digits.len(), 32, "{key}");
    assert!(digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)), "{key}");
    key
}

#[test]
fn a_key_that_is_given_out_is_shown_once() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    let body = json!({"display_name": "caller", "allowed_models": ["*"]});
    let created = admin.post(Kind::ApiKeys, &body).expect(201).json();
    let key = plaintext(&created);
    assert_eq!(created["value"]["key_hash"], hash(&key));
    assert_eq!(chat(&gateway, &key), 200);
    let id = id_of(&created);
    for response in [
        admin.get(Kind::ApiKeys, &id),
        admin.ask("GET", "/admin/v1/api_keys", ""),
        admin.patch(Kind::ApiKeys, &id, &json!({"team_id": "t"})),
        admin.put(
            Kind::ApiKeys,
            &id,
            &json!({"display_name": "c", "key_hash": hash(&key), "allowed_models": ["*"]}),
        ),
    ] {
        let text = response.expect(200).text();
        assert!(!text.contains(&key) && !text.contains("plaintext"), "{text}");
    }
    assert_eq!(chat(&gateway, &key), 200);
    let store = std::fs::read(gateway.folder.path().join("aisix.db-wal")).expect("a file");
    assert!(!store.windows(key.len()).any(|window| window == key.as_bytes()), "the plain text is nowhere");
}

#[test]
fn a_key_is_given_as_itself_or_as_its_hash_and_never_as_both() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    for (id, member, value) in [("a", "key", "sk-a".to_owned()), ("b", "key_hash", hash("sk-b"))] {
        let body = json!({"display_name": id, member: value, "allowed_models": ["*"]});
        let created = admin.put(Kind::ApiKeys, id, &body).expect(201).json();
        assert_eq!(created["value"]["key_hash"], hash(&format!("sk-{id}")));
        assert!(created.get("plaintext").is_none() && created["value"].get("key").is_none(), "{created}");
        assert_eq!(chat(&gateway, &format!("sk-{id}")), 200);
    }
    for (member, value) in [
        ("key", json!("")),
        ("key", json!(5)),
        ("key_hash", json!(hash("x").to_uppercase())),
        ("key_hash", json!("short")),
    ] {
        let body = json!({"display_name": "c", member: value, "allowed_models": []});
        refused(&admin.post(Kind::ApiKeys, &body), 400, &[member]);
    }
    let both = json!({"display_name": "c", "key": "sk-c", "key_hash": hash("sk-c"), "allowed_models": []});
    refused(&admin.post(Kind::ApiKeys, &both), 400, &["not both"]);
    refused(&admin.patch(Kind::ApiKeys, "a", &json!({"key_hash": null})), 400, &["required"]);
    refused(
        &admin.put(Kind::ApiKeys, "a", &json!({"display_name": "a", "allowed_models": []})),
        400,
        &["required"],
    );
    assert_eq!(chat(&gateway, "sk-a"), 200, "what is refused changes nothing");
}

#[test]
fn without_a_grace_the_old_key_is_dead_at_once() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    admin.put(Kind::ApiKeys, "x", &body_of(Kind::ApiKeys, "one")).expect(201);
    assert_eq!(chat(&gateway, "sk-one"), 200);
    for (body, revision) in [("", 2), ("{}", 3), ("{\"grace_seconds\": 0}", 4)] {
        let old = admin.get(Kind::ApiKeys, "x").json()["value"]["key_hash"].clone();
        let rotated = admin.ask("POST", "/admin/v1/api_keys/x/rotate", body).expect(200);
        assert_eq!(rotated.header("etag"), Some(&*format!("\"{revision}\"")));
        let rotated = rotated.json();
        let key = plaintext(&rotated);
        assert_eq!(rotated["entry"]["value"]["key_hash"], hash(&key));
        assert_ne!(rotated["entry"]["value"]["key_hash"], old);
        assert_eq!(rotated["entry"]["revision"], revision);
        assert_eq!(rotated["entry"]["id"], "x");
        assert_eq!(chat(&gateway, &key), 200);
    }
    assert_eq!(chat(&gateway, "sk-one"), 401);
    for body in [
        "{\"grace_seconds\": -1}",
        "{\"grace_seconds\": \"1\"}",
        "{\"grace_seconds\": 1.5}",
        "{\"grace_seconds\": 2592001}",
        "{\"grace\": 1}",
        "[]",
        "{",
    ] {
        refusal(&admin.ask("POST", "/admin/v1/api_keys/x/rotate", body), 400);
    }
    assert_eq!(admin.get(Kind::ApiKeys, "x").json()["revision"], 4);
    let path = "/admin/v1/api_keys/x/rotate";
    refused(&admin.ask_with("POST", path, &[("if-match", "3")], ""), 409, &["revision 4"]);
}

#[test]
fn within_the_grace_both_keys_are_good_and_the_old_one_not_after_it() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    admin.put(Kind::ApiKeys, "x", &body_of(Kind::ApiKeys, "one")).expect(201);
    let grace = Duration::from_secs(1);
    let asked = Instant::now();
    let rotated = admin.ask("POST", "/admin/v1/api_keys/x/rotate", "{\"grace_seconds\": 1}").expect(200);
    let answered = Instant::now();
    let new = plaintext(&rotated.json());
    until("the grace is over", || {
        let status = chat(&gateway, "sk-one");
        // Whole seconds are stored: a grace may be up to a second longer, and never shorter.
        assert!(status == 200 || asked.elapsed() >= grace, "dead after {:?}", asked.elapsed());
        assert!(status == 401 || answered.elapsed() < 3 * grace, "alive after {:?}", answered.elapsed());
        assert_eq!(chat(&gateway, &new), 200);
        status == 401
    });
}
