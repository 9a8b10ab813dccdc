//! Names, keys and references across the file and the store: nothing is there twice, and nothing that is needed goes.

use super::*;

/// The guardrail of the file, attached to everything.
const ATTACHED: &str =
    "[[guardrail_attachments]]\nname = \"a\"\nguardrail = \"g\"\nscope_type = \"env\"\npriority = 0\n";

#[test]
fn a_name_is_taken_once_over_the_file_and_the_store() {
    let upstream = Upstream::well();
    let more = ADMIN.to_owned()
        + &budget("b", "scope = \"org\"", "5", "")
        + "[[cache_policies]]\nname = \"c\"\n"
        + &policy("l", "limits = { rpm = 100000 }")
        + ATTACHED;
    let gateway = gateway_over(&upstream, &more);
    let mut admin = gateway.admin();
    for kind in Kind::ALL.iter().copied() {
        let declared = admin.list(kind)[0]["value"][kind.identity()].as_str().expect("a name").to_owned();
        admin.put(kind, "x", &body_of(kind, "one")).expect(201);
        admin.put(kind, "y", &body_of(kind, "two")).expect(201);
        for name in ["one", &*declared] {
            let mut body = body_of(kind, "three");
            body[kind.identity()] = json!(name);
            let words = format!("name \"{name}\" already in use by another resource");
            refused(&admin.post(kind, &body), 409, &[&words]);
            refused(&admin.put(kind, "z", &body), 409, &[&words]);
            refused(&admin.put(kind, "y", &body), 409, &[&words]);
            refused(&admin.patch(kind, "y", &json!({kind.identity(): name})), 409, &[&words]);
        }
        // The other way round as well: who was there first does not matter.
        let words = "name \"two\" already in use by another resource";
        refused(&admin.patch(kind, "x", &json!({kind.identity(): "two"})), 409, &[words]);
        admin.patch(kind, "x", &json!({kind.identity(): "one"})).expect(200);
        admin.put(kind, "x", &body_of(kind, "four")).expect(200);
        admin.patch(kind, "y", &json!({kind.identity(): "one"})).expect(200);
    }
}

#[test]
fn a_key_is_that_of_one_caller() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    let hash = |key: &str| aisix::config::secret::KeyHash::of(key).to_hex();
    admin.put(Kind::ApiKeys, "x", &body_of(Kind::ApiKeys, "one")).expect(201);
    for (key, holder) in [("sk-one", "api_keys/x"), ("sk-test", "api_keys[0] in line")] {
        for member in [json!({"key": key}), json!({"key_hash": hash(key)})] {
            let mut body = json!({"display_name": "two", "allowed_models": []});
            body.as_object_mut().expect("an object").extend(member.as_object().expect("an object").clone());
            refused(&admin.post(Kind::ApiKeys, &body), 409, &[&hash(key), "already in use", holder]);
        }
    }
    admin.put(Kind::ApiKeys, "y", &body_of(Kind::ApiKeys, "two")).expect(201);
    refused(&admin.patch(Kind::ApiKeys, "x", &json!({"key": "sk-two"})), 409, &[&hash("sk-two"), "in use"]);
}

#[test]
fn what_the_file_declares_is_read_only_and_the_file_is_named() {
    let upstream = Upstream::well();
    let more = ADMIN.to_owned()
        + &budget("b", "scope = \"org\"", "5", "")
        + "[[cache_policies]]\nname = \"c\"\n"
        + &policy("l", "limits = { rpm = 100000 }")
        + ATTACHED;
    let gateway = gateway_over(&upstream, &more);
    let text = std::fs::read_to_string(gateway.folder.path().join("config.toml")).expect("a file");
    let mut admin = gateway.admin();
    for kind in Kind::ALL.iter().copied() {
        let entry = admin.list(kind)[0].clone();
        let id = id_of(&entry);
        assert_eq!(entry["revision"], 1, "of the first load");
        let header = format!("[[{}]]", kind.collection());
        let line = 1 + text.lines().position(|line| line == header).expect("it is declared");
        let place = format!("line {line} of {}/config.toml", gateway.folder.path().display());
        for response in [
            admin.put(kind, &id, &body_of(kind, "one")),
            admin.patch(kind, &id, &json!({})),
            admin.delete(kind, &id),
        ] {
            refused(&response, 409, &[&place]);
        }
        assert_eq!(admin.get(kind, &id).json(), entry);
    }
    let id = id_of(&admin.list(Kind::ApiKeys)[0]);
    refused(&admin.ask("POST", &format!("/admin/v1/api_keys/{id}/rotate"), ""), 409, &["config.toml"]);
}

/// A body with further members.
fn with(mut body: Value, more: &Value) -> Value {
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    body
}

/// An attachment to a scope, of the guardrail that is referred to so.
fn attachment(name: &str, scope: &str, scope_ref: &str, guardrail: &Value) -> Value {
    with(json!({"name": name, "scope_type": scope, "scope_ref": scope_ref, "priority": 1}), guardrail)
}

#[test]
fn what_others_refer_to_cannot_go_and_they_are_listed() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    let key =
        json!({"display_name": "own", "provider": "openai", "api_key": "k", "api_base": upstream.url()});
    admin.put(Kind::ProviderKeys, "pk", &key).expect(201);
    for (id, reference) in [("m1", json!({"provider_key": "own"})), ("m2", json!({"provider_key_id": "pk"}))]
    {
        let body = with(json!({"display_name": id, "model_name": "x"}), &reference);
        admin.put(Kind::Models, id, &body).expect(201);
    }
    admin
        .put(Kind::Models, "r", &json!({"display_name": "r", "routing": {"targets": [{"model": "m1"}]}}))
        .expect(201);
    let policy = json!({"name": "c", "applies_to": "model:m2"});
    admin.put(Kind::CachePolicies, "c", &policy).expect(201);
    let caller = json!({"display_name": "caller", "key": "sk-c", "allowed_models": ["*"]});
    admin.put(Kind::ApiKeys, "ak", &caller).expect(201);
    let limit =
        json!({"name": "b", "scope": "api_key", "scope_ref": "caller", "limit_usd": 1, "period": "day"});
    admin.put(Kind::Budgets, "b", &limit).expect(201);
    let guardrail = json!({"name": "own rule", "kind": "keyword"});
    admin.put(Kind::Guardrails, "gr", &guardrail).expect(201);
    let by_name = attachment("a1", "team", "red", &json!({"guardrail": "own rule"}));
    admin.put(Kind::GuardrailAttachments, "a1", &by_name).expect(201);
    let by_id = attachment("a2", "api_key", "caller", &json!({"guardrail_id": "gr"}));
    admin.put(Kind::GuardrailAttachments, "a2", &by_id).expect(201);
    for (kind, id, referrers) in [
        (Kind::ProviderKeys, "pk", &["models/m1 (provider_key)", "models/m2 (provider_key_id)"][..]),
        (Kind::Models, "m1", &["models/r (routing.targets[0].model)"]),
        (Kind::Models, "m2", &["cache_policies/c (applies_to)"]),
        (Kind::ApiKeys, "ak", &["budgets/b (scope_ref)", "guardrail_attachments/a2 (scope_ref)"]),
        (Kind::Guardrails, "gr", &["guardrail_attachments/a1 (guardrail)", "attachments/a2 (guardrail_id)"]),
    ] {
        refused(&admin.delete(kind, id), 409, referrers);
        admin.get(kind, id).expect(200);
        // A new name is no better than none, where the reference is by name.
        let renamed = admin.patch(kind, id, &json!({kind.identity(): "renamed"}));
        refused(&renamed, 409, &referrers[..1]);
    }
    for (kind, id) in [
        (Kind::GuardrailAttachments, "a1"),
        (Kind::GuardrailAttachments, "a2"),
        (Kind::Guardrails, "gr"),
        (Kind::Budgets, "b"),
        (Kind::ApiKeys, "ak"),
        (Kind::CachePolicies, "c"),
        (Kind::Models, "r"),
        (Kind::Models, "m1"),
        (Kind::Models, "m2"),
        (Kind::ProviderKeys, "pk"),
    ] {
        admin.delete(kind, id).expect(200);
    }
}

#[test]
fn what_rate_limit_policies_refer_to_cannot_go() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    admin.put(Kind::Models, "m1", &body_of(Kind::Models, "own")).expect(201);
    admin.put(Kind::ApiKeys, "k1", &body_of(Kind::ApiKeys, "caller")).expect(201);
    let scoped =
        json!({"name": "l1", "scope": "model", "scope_ref": "own", "window": "day", "max_requests": 9});
    admin.put(Kind::RateLimitPolicies, "l1", &scoped).expect(201);
    let comparison = json!({"dimension": "api_key", "operator": "in", "value": ["sk-test", "caller"]});
    let conditional = json!({"name": "l2", "limits": {"rpm": 9}, "conditions": [comparison]});
    admin.put(Kind::RateLimitPolicies, "l2", &conditional).expect(201);
    for (kind, id, policy, referrer) in [
        (Kind::Models, "m1", "l1", "rate_limit_policies/l1 (scope_ref)"),
        (Kind::ApiKeys, "k1", "l2", "rate_limit_policies/l2 (conditions[0].value[1])"),
    ] {
        refused(&admin.delete(kind, id), 409, &[referrer]);
        admin.delete(Kind::RateLimitPolicies, policy).expect(200);
        admin.delete(kind, id).expect(200);
    }
}

#[test]
fn what_the_file_refers_to_cannot_go_either() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let mut admin = gateway.admin();
    admin.put(Kind::Models, "own", &body_of(Kind::Models, "own")).expect(201);
    let path = gateway.folder.path().join("config.toml");
    let text = std::fs::read_to_string(&path).expect("a file") + &routing("auto", &["own"], "");
    let line = text.lines().enumerate().filter(|(_, line)| *line == "[[models]]").last().expect("two").0 + 1;
    gateway.folder.write("config.toml", &text);
    until("the file is read", || admin.list(Kind::Models).len() == 3);
    let place = format!("models[1].routing.targets[0].model ({}:{line})", path.display());
    refused(&admin.delete(Kind::Models, "own"), 409, &["still referred to", &place]);
    gateway.chat(&chat_body("auto", "")).expect(200);
}
