//! What the Admin API refuses, and that each refusal has the one envelope and says where and why.

use super::*;

#[test]
fn a_body_that_cannot_be_is_refused_with_the_path_and_the_nearest_name() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    for kind in Kind::ALL.iter().copied() {
        let (member, _) = change_of(kind);
        for (member, value, parts) in [
            (
                "colour".to_owned(),
                json!(1),
                &["schema validation failed at colour: ", "no setting is called"][..],
            ),
            (format!("{member}s"), json!(1), &[&*format!("did you mean \"{member}\"?")]),
            (
                member.to_owned(),
                json!({"a": []}),
                &[&*format!("schema validation failed at {member}: expected")],
            ),
            (kind.identity().to_owned(), json!(5), &[&*format!("failed at {}: expected", kind.identity())]),
            (kind.identity().to_owned(), json!(""), &[kind.identity(), "must not be empty"]),
            (kind.identity().to_owned(), json!("a\u{0}b"), &[kind.identity(), "control characters"]),
        ] {
            let mut body = body_of(kind, "one");
            body[&member] = value;
            refused(&admin.post(kind, &body), 400, parts);
            refused(&admin.put(kind, "x", &body), 400, parts);
        }
        let mut absent = body_of(kind, "one");
        absent.as_object_mut().expect("an object").remove(kind.identity());
        refused(&admin.post(kind, &absent), 400, &[kind.identity(), "is required"]);
        for body in [json!([]), json!("text"), json!(null), json!(5)] {
            refused(&admin.post(kind, &body), 400, &["malformed", kind.noun(), "expected a JSON object"]);
        }
        refusal(&admin.get(kind, "x"), 404);
    }
}

#[test]
fn references_are_checked() {
    let upstream = Upstream::well();
    let more =
        ADMIN.to_owned() + &provider_key("openai-main", &upstream.url()) + &model("gpt-large", "up", "");
    let gateway = gateway_over(&upstream, &more);
    let mut admin = gateway.admin();
    let model = |more: Value| {
        let mut body = json!({"display_name": "one"});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    for (kind, body, parts) in [
        (
            Kind::Models,
            model(json!({"provider_key": "opnai-main", "model_name": "x"})),
            [
                "at provider_key: ",
                "no provider key is called \"opnai-main\"",
                "did you mean \"openai-main\"?",
            ],
        ),
        (
            Kind::Models,
            model(json!({"provider_key_id": "openai-mian", "model_name": "x"})),
            ["at provider_key_id: ", "\"openai-mian\"", "did you mean \"openai-main\"?"],
        ),
        (
            Kind::Models,
            model(json!({"routing": {"targets": [{"model": "m"}, {"model": "gpt-lagre"}]}})),
            ["at routing.targets[1].model: ", "\"gpt-lagre\"", "did you mean \"gpt-large\"?"],
        ),
        (
            Kind::Budgets,
            json!({"name": "one", "scope": "model", "scope_ref": "gpt-lrge", "limit_usd": 1, "period": "day"}),
            ["at scope_ref: ", "\"gpt-lrge\"", "did you mean \"gpt-large\"?"],
        ),
        (
            Kind::RateLimitPolicies,
            json!({
                "name": "one", "limits": {"rpm": 1},
                "conditions": [{"dimension": "model", "operator": "in", "value": ["m", "gpt-lagre"]}],
            }),
            ["at conditions[0].value[1]: ", "\"gpt-lagre\"", "did you mean \"gpt-large\"?"],
        ),
        (
            Kind::CachePolicies,
            json!({"name": "one", "applies_to": "model:gpt-lage"}),
            ["at applies_to: ", "\"gpt-lage\"", "did you mean \"gpt-large\"?"],
        ),
        (
            Kind::GuardrailAttachments,
            json!({"name": "one", "guardrail": "gg", "scope_type": "env", "priority": 1}),
            ["at guardrail: ", "\"gg\"", "did you mean \"g\"?"],
        ),
    ] {
        refused(&admin.post(kind, &body), 400, &parts);
        refused(&admin.put(kind, "x", &body), 400, &parts);
        refusal(&admin.get(kind, "x"), 404);
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let body = json!({
        "display_name": "one", "provider_key": "upp", "model_name": "", "retires": 1, "timeout": "soon",
        "cooldown": {"max_seconds": "x"},
    });
    let parts = ["at retires: ", "at timeout: ", "at cooldown.max_seconds: "];
    refused(&gateway.admin().post(Kind::Models, &body), 400, &parts);
}

#[test]
fn a_list_is_never_taken_for_an_object() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    for (kind, member) in [
        (Kind::ProviderKeys, "tls"),
        (Kind::ProviderKeys, "request"),
        (Kind::Models, "rate_limit"),
        (Kind::Models, "cost"),
        (Kind::Models, "cooldown"),
        (Kind::Models, "routing"),
        (Kind::ApiKeys, "rate_limit"),
    ] {
        for list in [json!([]), json!([5, 1]), json!([["x"]])] {
            let mut body = body_of(kind, "one");
            body[member] = list;
            let words = format!("at {member}: expected a table, found a list");
            refused(&gateway.admin().post(kind, &body), 400, &[&words]);
        }
    }
}

#[test]
fn what_is_no_json_too_large_or_at_the_wrong_place_is_refused_in_the_envelope() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let large = format!("{{\"display_name\":\"{}\"}}", "x".repeat(1 << 20));
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let ask = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        gateway.admin().ask_with(method, path, headers, body)
    };
    for kind in Kind::ALL.iter().copied() {
        let collection = format!("/admin/v1/{}", kind.collection());
        let item = address(kind, "x");
        for (method, path) in [("POST", &collection), ("PUT", &item), ("PATCH", &item)] {
            for body in ["{", "", "{\"a\":1,\"a\":2}", "{} {}", "\u{feff}{}", &*deep, "{\"a\":1e999}", "nul"]
            {
                let json = [("content-type", "application/json")];
                refused(&ask(method, path, &json, body), 400, &["payload"]);
            }
            for content_type in
                ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "nonsense"]
            {
                refused(
                    &ask(method, path, &[("content-type", content_type)], "{}"),
                    415,
                    &["application/json"],
                );
            }
            refused(&ask(method, path, &[], &large), 413, &["1048576"]);
        }
        for (method, path, allowed) in [
            ("PUT", &collection, "GET, POST"),
            ("DELETE", &collection, "GET, POST"),
            ("POST", &item, "GET, PUT, PATCH, DELETE"),
            ("OPTIONS", &item, "GET, PUT, PATCH, DELETE"),
        ] {
            let response = ask(method, path, &[], "");
            refusal(&response, 405);
            assert_eq!(response.header("allow"), Some(allowed));
        }
        for path in [format!("{collection}/"), format!("{item}/more"), format!("{collection}s")] {
            refusal(&ask("GET", &path, &[], ""), 404);
        }
    }
    let rotate = ask("GET", "/admin/v1/api_keys/x/rotate", &[], "");
    refusal(&rotate, 405);
    assert_eq!(rotate.header("allow"), Some("POST"));
    refusal(&ask("GET", "/admin/v2/models", &[], ""), 404);
}

#[test]
fn json_is_taken_under_each_of_its_content_types() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    let body = body_of(Kind::Models, "one").to_string();
    for content_type in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        admin
            .ask_with("PUT", "/admin/v1/models/x", &[("content-type", content_type)], &body)
            .expect_any(&[200, 201]);
    }
    let merge = [("content-type", "application/merge-patch+json")];
    admin.ask_with("PATCH", "/admin/v1/models/x", &merge, "{}").expect(200);
}

#[test]
fn only_an_administrators_key_opens_the_admin_api() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let ask = |path: &str, method: &str, headers: &[(&str, &str)]| {
        let mut connection = Connection::open(gateway.admin_addr());
        connection.send(&request_text(method, path, "", headers, b"{}"));
        connection.response()
    };
    for kind in Kind::ALL.iter().copied() {
        let (collection, item) = (format!("/admin/v1/{}", kind.collection()), address(kind, "x"));
        for (method, path) in [
            ("GET", &collection),
            ("POST", &collection),
            ("GET", &item),
            ("PUT", &item),
            ("PATCH", &item),
            ("DELETE", &item),
            ("OPTIONS", &item),
        ] {
            for headers in [
                &[][..],
                &[("authorization", "Bearer sk-other")],
                &[("authorization", "Bearer sk-test")],
                &[("authorization", "Bearer ")],
                &[("authorization", "bearer sk-admin")],
                &[("authorization", "sk-admin")],
                &[("authorization", "Basic sk-admin"), ("x-api-key", "sk-admin")],
                &[("authorization", "Bearer sk-other"), ("x-api-key", "sk-admin")],
                &[("x-api-key", "sk-test")],
            ] {
                let response = ask(path, method, headers);
                if response.status != 429 {
                    assert_eq!(refusal(&response, 401), "missing or malformed admin authorization");
                }
            }
        }
    }
    ask("/admin/v1/models", "GET", &[("x-api-key", "sk-admin")]).expect(200);
    ask("/admin/v1/models", "GET", &[("authorization", "Bearer sk-admin"), ("x-api-key", "no")]).expect(200);
    gateway.post_json("/v1/chat/completions", ADMIN_KEY, &chat_body("m", "")).expect(401);
}

#[test]
fn secrets_are_masked_in_every_answer_and_masked_ones_are_refused() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    let secret = "sk-0123456789abcdef";
    let body = json!({
        "display_name": "one", "provider": "openai", "secret": secret,
        "request": {"default_headers": {"x-tenant": "tenant-secret-0123456789"}},
    });
    let created = admin.post(Kind::ProviderKeys, &body).expect(201);
    let id = id_of(&created.json());
    let key_body = json!({"display_name": "one", "key": "sk-caller-0123456789", "allowed_models": []});
    let key = admin.post(Kind::ApiKeys, &key_body).expect(201);
    let answers = [
        admin.get(Kind::ProviderKeys, &id),
        admin.ask("GET", "/admin/v1/provider_keys", ""),
        admin.put(Kind::ProviderKeys, &id, &body),
        admin.patch(Kind::ProviderKeys, &id, &json!({"max_in_flight": 5})),
        admin.patch(Kind::ProviderKeys, &id, &json!({"max_in_flight": secret})),
        admin.ask("GET", "/admin/v1/api_keys", ""),
        created,
        key,
    ];
    for answer in &answers {
        let text = answer.text();
        for secret in ["0123456789a", "tenant-secret-", "sk-caller-0123", "sk-upstream"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    let shown = admin.get(Kind::ProviderKeys, &id).json()["value"].clone();
    assert_eq!(shown["api_key"], "sk-…cdef");
    assert_eq!(shown["request"]["default_headers"]["x-tenant"], "…6789");
    refused(&admin.put(Kind::ProviderKeys, &id, &shown), 400, &["api_key", "masked"]);
    refused(
        &admin.patch(Kind::ProviderKeys, &id, &json!({"api_key": "sk-…cdef"})),
        400,
        &["api_key", "masked"],
    );
    let header = json!({"request": {"default_headers": {"x-tenant": "…6789"}}});
    refused(&admin.patch(Kind::ProviderKeys, &id, &header), 400, &["default_headers", "masked"]);
    let masked = json!({"display_name": "two", "key": "sk-…cdef", "allowed_models": []});
    refused(&admin.post(Kind::ApiKeys, &masked), 400, &["key", "masked"]);
}
