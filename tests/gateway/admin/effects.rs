//! A write that is answered is in force: the very next request, on whichever worker, finds it.

use super::*;

/// How many connections are open; with so many, each worker has some.
const CONNECTIONS: usize = 8;
const WORKERS: &[(&str, &str)] = &[("AISIX_PROXY__WORKERS", "4")];

fn request(key: &str, model: &str) -> Vec<u8> {
    request_text("POST", "/v1/chat/completions", key, &[], chat_body(model, "").as_bytes())
}

/// A connection that has been used already, and stays open.
fn used(gateway: &Gateway) -> Connection {
    let mut connection = gateway.connect();
    connection.send(&request("sk-test", "m"));
    connection.response().expect(200);
    connection
}

/// Sends a request on every connection at once, and asserts the status of each answer.
#[track_caller]
fn all(gateway: &Gateway, connections: &mut [Connection], key: &str, model: &str, status: u16) {
    for connection in connections.iter_mut() {
        connection.send(&request(key, model));
    }
    for connection in connections {
        let response = connection.response().expect(status);
        if response.header("connection") == Some("close") {
            *connection = used(gateway);
        }
    }
}

fn four_workers(upstream: &Upstream) -> Gateway {
    let config = [
        ADMIN,
        &provider_key("up", &upstream.url()),
        &model("m", "up", ""),
        &api_key("sk-test", "\"*\"", ""),
    ];
    Gateway::start_with(&config.concat(), WORKERS)
}

#[test]
fn the_very_next_request_finds_a_new_key_and_model_and_misses_removed_ones() {
    let upstream = Upstream::well();
    let gateway = four_workers(&upstream);
    let mut admin = gateway.admin();
    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| used(&gateway)).collect();
    for round in 0..5 {
        let key =
            json!({"display_name": "own", "provider": "openai", "api_key": "k", "api_base": upstream.url()});
        admin.put(Kind::ProviderKeys, "pk", &key).expect(201);
        let model =
            json!({"display_name": "new", "provider_key": "own", "model_name": format!("up-{round}")});
        admin.put(Kind::Models, "new", &model).expect(201);
        let caller = json!({"display_name": "caller", "key": "sk-new", "allowed_models": ["new"]});
        admin.put(Kind::ApiKeys, "caller", &caller).expect(201);
        all(&gateway, &mut connections, "sk-new", "new", 200);
        assert_eq!(upstream.received().last().expect("a request").json()["model"], format!("up-{round}"));
        admin.delete(Kind::Models, "new").expect(200);
        all(&gateway, &mut connections, "sk-new", "new", 404);
        admin.delete(Kind::ApiKeys, "caller").expect(200);
        all(&gateway, &mut connections, "sk-new", "m", 401);
        admin.delete(Kind::ProviderKeys, "pk").expect(200);
    }
    gateway.settled();
}

#[test]
fn a_changed_key_is_changed_for_the_very_next_request() {
    away_from_the_turn_of_the_minute();
    let upstream = Upstream::well();
    let gateway = four_workers(&upstream);
    let mut admin = gateway.admin();
    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| used(&gateway)).collect();
    let caller = json!({"display_name": "caller", "key": "sk-new", "allowed_models": ["m"]});
    admin.put(Kind::ApiKeys, "caller", &caller).expect(201);
    let mut change = |patch: Value, status: u16| {
        admin.patch(Kind::ApiKeys, "caller", &patch).expect(200);
        all(&gateway, &mut connections, "sk-new", "m", status);
    };
    change(json!({"rate_limit": {"rpm": 0}}), 429);
    change(json!({"rate_limit": {"rpm": 1000}}), 200);
    change(json!({"rate_limit": {"rpm": null, "concurrency": 0}}), 429);
    change(json!({"rate_limit": null}), 200);
    change(json!({"disabled": true}), 401);
    change(json!({"disabled": false}), 200);
    change(json!({"allowed_models": ["other"]}), 403);
    change(json!({"allowed_models": []}), 403);
    change(json!({"allowed_models": ["*"]}), 200);
    change(json!({"expires_at": "2001-01-01T00:00:00Z"}), 401);
    change(json!({"expires_at": null}), 200);
    change(json!({"key": "sk-other"}), 401);
    change(json!({"key": "sk-new"}), 200);
    gateway.settled();
}

#[test]
fn a_changed_provider_key_is_used_by_the_very_next_request() {
    let (first, second) = (Upstream::well(), Upstream::well());
    let gateway = four_workers(&first);
    let mut admin = gateway.admin();
    let mut connections: Vec<_> = (0..CONNECTIONS).map(|_| used(&gateway)).collect();
    let key = json!({"display_name": "own", "provider": "openai", "api_key": "k1", "api_base": first.url()});
    admin.put(Kind::ProviderKeys, "pk", &key).expect(201);
    let model = json!({"display_name": "own", "provider_key": "own", "model_name": "x"});
    admin.put(Kind::Models, "own", &model).expect(201);
    all(&gateway, &mut connections, "sk-test", "own", 200);
    assert_eq!(first.received().last().and_then(|last| last.header("authorization")), Some("Bearer k1"));
    let seen = first.count();
    let patch = json!({"api_key": "k2", "api_base": second.url()});
    admin.patch(Kind::ProviderKeys, "pk", &patch).expect(200);
    all(&gateway, &mut connections, "sk-test", "own", 200);
    assert_eq!((first.count(), second.count()), (seen, CONNECTIONS));
    assert!(second.received().iter().all(|request| request.header("authorization") == Some("Bearer k2")));
}

#[test]
fn writes_at_the_same_time_are_all_made_and_each_has_its_own_outcome() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admins: Vec<_> = (0..16).map(|_| gateway.admin()).collect();
    let threads: Vec<_> = admins
        .drain(..)
        .enumerate()
        .map(|(number, mut admin)| {
            std::thread::spawn(move || {
                let mut taken = 0;
                for round in 0..8 {
                    let name = format!("m-{number}-{round}");
                    admin.put(Kind::Models, &name, &body_of(Kind::Models, &name)).expect(201);
                    // One name for all of them: one may have it.
                    let shared = body_of(Kind::Models, &format!("shared-{round}"));
                    let outcome = admin.post(Kind::Models, &shared).expect_any(&[201, 409]);
                    taken += usize::from(outcome.status == 201);
                    refused(
                        &admin.put(Kind::Models, "bad", &json!({"display_name": 5})),
                        400,
                        &["display_name"],
                    );
                }
                taken
            })
        })
        .collect();
    let taken: usize = threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
    assert_eq!(taken, 8, "each shared name is given once");
    assert_eq!(gateway.admin().list(Kind::Models).len(), 1 + 16 * 8 + 8);
}
