//! What holds for every kind of resource: create, list, read, replace, change, remove.

use super::*;

#[test]
fn every_kind_is_created_listed_and_read() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    for kind in Kind::ALL.iter().copied() {
        let before = admin.list(kind);
        let created = admin.post(kind, &body_of(kind, "one")).expect(201);
        let entry = created.json();
        let id = id_of(&entry);
        assert_eq!(id.len(), 36, "a UUID: {id}");
        assert_eq!(id.as_bytes()[14], b'4', "a random one: {id}");
        assert_eq!(entry["revision"], 1, "{kind:?}");
        assert_eq!(entry["value"][kind.identity()], "one", "{kind:?}");
        assert_eq!(created.header("location"), Some(&*address(kind, &id)));
        assert_eq!(created.header("etag"), Some("\"1\""));
        assert_eq!(created.header("content-type"), Some("application/json"));

        let read = admin.get(kind, &id).expect(200);
        assert_eq!(read.header("etag"), Some("\"1\""));
        assert_eq!(read.json()["value"], entry["value"], "{kind:?}");
        assert_eq!(read.json()["revision"], 1);
        let after = admin.list(kind);
        assert_eq!(after[..before.len()], before, "the others are as they were");
        assert_eq!(after[before.len()..], [read.json()], "{kind:?}");
    }
}

#[test]
fn every_kind_is_put_under_a_chosen_id_and_replaced_whole() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    for kind in Kind::ALL.iter().copied() {
        let (member, value) = change_of(kind);
        let mut body = body_of(kind, "one");
        body[member] = value.clone();
        let created = admin.put(kind, "my.own_ID:1-x", &body).expect(201);
        assert_eq!(created.header("location"), Some(&*address(kind, "my.own_ID:1-x")));
        assert_eq!(created.json()["revision"], 1, "{kind:?}");
        assert_eq!(created.json()["value"][member], value, "{kind:?}");

        let replaced = admin.put(kind, "my.own_ID:1-x", &body_of(kind, "two")).expect(200);
        assert_eq!(replaced.header("location"), None);
        assert_eq!(replaced.header("etag"), Some("\"2\""));
        let read = admin.get(kind, "my.own_ID:1-x").expect(200).json();
        assert_eq!(read["revision"], 2, "{kind:?}");
        assert_eq!(read["value"][kind.identity()], "two", "{kind:?}");
        assert_ne!(read["value"][member], value, "what is not said is not kept: {read}");
    }
}

#[test]
fn every_kind_is_changed_member_by_member() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    for kind in Kind::ALL.iter().copied() {
        let (member, value) = change_of(kind);
        admin.put(kind, "x", &body_of(kind, "one")).expect(201);
        let plain = admin.get(kind, "x").json();
        let changed = admin.patch(kind, "x", &json!({member: value})).expect(200).json();
        assert_eq!(changed["revision"], 2, "{kind:?}");
        let read = admin.get(kind, "x").json();
        assert_eq!(read["value"][member], value, "{kind:?}");
        assert_eq!(read["value"][kind.identity()], "one", "the rest stays: {read}");
        admin.patch(kind, "x", &json!({member: null})).expect(200);
        let read = admin.get(kind, "x").json();
        assert_eq!(read["value"], plain["value"], "null takes away");
        assert_eq!(read["revision"], 3);
        for patch in [json!([]), json!("text"), json!(null)] {
            refused(&admin.patch(kind, "x", &patch), 400, &["expected a JSON object"]);
        }
        assert_eq!(admin.get(kind, "x").json()["revision"], 3, "a refused one changes nothing");
    }
}

#[test]
fn every_kind_is_removed_and_then_not_found() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    for kind in Kind::ALL.iter().copied() {
        let before = admin.list(kind);
        admin.put(kind, "x", &body_of(kind, "one")).expect(201);
        let removed = admin.delete(kind, "x").expect(200);
        assert_eq!(removed.json(), json!({"deleted": true, "id": "x"}));
        assert_eq!(admin.list(kind), before);
        for response in [
            admin.get(kind, "x"),
            admin.delete(kind, "x"),
            admin.patch(kind, "x", &json!({})),
            admin.get(kind, "never-there"),
            admin.ask_with(
                "PUT",
                &address(kind, "x"),
                &[("if-match", "1")],
                &body_of(kind, "one").to_string(),
            ),
        ] {
            assert_eq!(refusal(&response, 404), "resource not found", "{kind:?}");
        }
        assert_eq!(admin.put(kind, "x", &body_of(kind, "one")).expect(201).json()["revision"], 1);
    }
    refused(&admin.ask("POST", "/admin/v1/api_keys/y/rotate", ""), 404, &["resource not found"]);
}

#[test]
fn every_kind_keeps_who_comes_late_from_overwriting() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    for kind in Kind::ALL.iter().copied() {
        let path = address(kind, "x");
        admin.put(kind, "x", &body_of(kind, "one")).expect(201);
        let body = body_of(kind, "two").to_string();
        for (method, body) in [("PUT", &*body), ("PATCH", "{}"), ("DELETE", "")] {
            let stale = admin.ask_with(method, &path, &[("if-match", "\"7\"")], body);
            refused(&stale, 409, &["revision 1", "7"]);
            refused(&admin.ask_with(method, &path, &[("if-match", "soon")], body), 400, &["If-Match"]);
        }
        assert_eq!(admin.get(kind, "x").json()["value"][kind.identity()], "one", "{kind:?}");
        refused(
            &admin.ask_with("PUT", &address(kind, "none"), &[("if-match", "*")], &body),
            404,
            &["not found"],
        );
        for (value, revision) in [("*", 2), ("\"2\"", 3), ("W/\"3\"", 4)] {
            let written = admin.ask_with("PUT", &path, &[("if-match", value)], &body).expect(200);
            assert_eq!(written.json()["revision"], revision);
        }
        admin.ask_with("DELETE", &path, &[("if-match", "4")], "").expect(200);
    }
}

#[test]
fn ids_are_1_to_128_plain_characters() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    let longest = "x".repeat(128);
    let too_long = "x".repeat(129);
    for kind in Kind::ALL.iter().copied() {
        for id in ["a", "0", "a.b_c:d-e", "A%42", &*longest] {
            admin.put(kind, id, &body_of(kind, "one")).expect(201);
            let plain = id.replace("%42", "B");
            assert_eq!(admin.get(kind, &plain).expect(200).json()["id"], *plain);
            admin.delete(kind, &plain).expect(200);
        }
        for id in [&*too_long, "a%20b", "a%2Fb", "%C3%A9", "a~b", "a,b", "a%00", "%ff"] {
            refused(&admin.put(kind, id, &body_of(kind, "one")), 400, &["id", "128"]);
            assert_eq!(refusal(&admin.get(kind, id), 404), "resource not found");
        }
    }
}

#[test]
fn api_keys_have_two_spellings() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    let body = body_of(Kind::ApiKeys, "one").to_string();
    let created = admin.ask("POST", "/admin/v1/apikeys", &body).expect(201).json();
    let path = format!("/admin/v1/apikeys/{}", id_of(&created));
    assert_eq!(
        admin.ask("GET", &path, "").expect(200).json(),
        admin.get(Kind::ApiKeys, &id_of(&created)).json()
    );
    admin.ask("PATCH", &path, "{\"disabled\": true}").expect(200);
    admin.ask("POST", &format!("{path}/rotate"), "").expect(200);
    admin.ask("DELETE", &path, "").expect(200);
    refusal(&admin.get(Kind::ApiKeys, &id_of(&created)), 404);
}
