//! What two requests must share to share an answer: every member of real requests changes the key, and how a request is
//! spelt does not.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::harness::*;
use crate::recordings::requests;

const CHAT: &str = "/v1/chat/completions";
const POLICY: &str = "[[cache_policies]]\nname = \"policy\"\n";
/// Most changes of one recorded request that are tried.
const CHANGES: usize = 40;
/// Fewest changes of an endpoint's requests that must have been answered.
const FEWEST: usize = 20;

fn counting() -> Upstream {
    Upstream::start(|_, number| Answer::json(200, &completion(&format!("answer {number}"), 5, 7)))
}

/// What the cache says to a request; nothing where the gateway refuses it, or the provider's dialect has no such thing.
fn cache(gateway: &Gateway, key: &str, headers: &[(&str, &str)], body: &str) -> Option<String> {
    cache_at(gateway, CHAT, key, headers, body)
}

fn cache_at(
    gateway: &Gateway,
    path: &str,
    key: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<String> {
    let response = gateway.send("POST", path, key, headers, body.as_bytes());
    (response.status == 200).then(|| response.header("x-aisix-cache").expect("a policy").to_owned())
}

/// The same with every leaf changed, or taken away, one at a time.
fn changed(value: &Value) -> Vec<Value> {
    match value {
        Value::Object(members) => {
            let mut all = Vec::new();
            for (name, inside) in members {
                for other in changed(inside) {
                    let mut members = members.clone();
                    members.insert(name.clone(), other);
                    all.push(Value::Object(members));
                }
                let mut members = members.clone();
                members.remove(name);
                all.push(Value::Object(members));
            }
            all
        }
        Value::Array(items) => {
            let mut all = Vec::new();
            for (place, inside) in items.iter().enumerate() {
                for other in changed(inside) {
                    let mut items = items.clone();
                    items[place] = other;
                    all.push(Value::Array(items));
                }
            }
            let more = items.last().map(|last| items.iter().chain([last]).cloned().collect());
            all.extend(more.map(Value::Array));
            all
        }
        Value::String(text) => vec![json!(format!("{text}!"))],
        Value::Number(number) => vec![json!(number.as_f64().expect("a number") / 2.0 + 1.25)],
        Value::Bool(truth) => vec![json!(!truth)],
        Value::Null => vec![json!(0)],
    }
}

/// The same request, spelt otherwise.
fn spelt_otherwise(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members = members.iter().rev();
            let members: Vec<String> = members
                .map(|(name, value)| format!("\n{} :\t{}", json!(name), spelt_otherwise(value)))
                .collect();
            format!("{{ {} }}", members.join(" , "))
        }
        Value::Array(items) => {
            format!("[ {} ]", items.iter().map(spelt_otherwise).collect::<Vec<_>>().join("\n,"))
        }
        other => other.to_string(),
    }
}

/// Small requests of every endpoint of conversations, with most of what such requests have.
fn conversations() -> Vec<(&'static str, Value)> {
    let tool = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    vec![
        (
            CHAT,
            json!({
                "model": "m", "temperature": 0.5, "max_tokens": 9, "seed": 1, "stop": ["a", "b"], "user": "u",
                "messages": [
                    {"role": "system", "content": "be brief"},
                    {"role": "user", "content": [{"type": "text", "text": "look"},
                        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}]}
                ],
                "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": tool}}],
                "made_up": {"a": [1, true]}
            }),
        ),
        (
            "/v1/messages",
            json!({
                "model": "m", "max_tokens": 9, "temperature": 0.5, "system": "be brief", "stop_sequences": ["a", "b"],
                "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]},
                    {"role": "assistant", "content": "hello"}, {"role": "user", "content": "again"}],
                "tools": [{"name": "f", "description": "d", "input_schema": tool}], "metadata": {"user_id": "u"}
            }),
        ),
        (
            "/v1/responses",
            json!({
                "model": "m", "instructions": "be brief", "temperature": 0.5, "max_output_tokens": 99, "user": "u",
                "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
                    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "yes"}]},
                    {"type": "message", "role": "user", "content": "again"}],
                "tools": [{"type": "function", "name": "f", "description": "d", "parameters": tool, "strict": false}],
                "metadata": {"a": "b"}
            }),
        ),
        (
            "/v1beta/models/m:generateContent",
            json!({
                "systemInstruction": {"parts": [{"text": "be brief"}]},
                "contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [{"text": "yes"}]},
                    {"role": "user", "parts": [{"text": "again"}, {"text": "and again"}]}],
                "generationConfig": {"temperature": 0.5, "maxOutputTokens": 9, "stopSequences": ["a", "b"], "topP": 0.5},
                "tools": [{"functionDeclarations": [{"name": "f", "description": "d", "parameters": tool}]}]
            }),
        ),
    ]
}

/// The same of the others whose answers are kept.
fn others() -> Vec<(&'static str, Value)> {
    vec![
        (
            "/v1/completions",
            json!({
                "model": "m", "prompt": ["once", "upon"], "temperature": 0.5, "max_tokens": 9, "seed": 1, "echo": false,
                "stop": ["a", "b"], "suffix": "end", "user": "u", "logit_bias": {"50": 1, "51": 2}, "top_p": 0.5,
                "presence_penalty": 0.5
            }),
        ),
        (
            "/v1/embeddings",
            json!({
                "model": "m", "input": ["a", "b", "c", "d", "e"], "dimensions": 3, "user": "u", "made_up": {"a": [1, true]},
                "input_type": "query", "truncate": "END", "modalities": ["text", "image"]
            }),
        ),
    ]
}

/// Changes a request in every place, and counts the changes that were answered.
fn probe(gateway: &Gateway, path: &str, request: &Value, seen: &mut HashSet<String>, most: usize) -> usize {
    let said = |body: &str| cache_at(gateway, path, "sk-test", &[], body);
    let mut is_new = |request: &Value| seen.insert(format!("{path} {request}"));
    if !is_new(request) || said(&request.to_string()).is_none() {
        return 0;
    }
    assert_eq!(said(&spelt_otherwise(request)).as_deref(), Some("hit"), "{path} {request}");
    let others = changed(request);
    let step = others.len().div_ceil(most).max(1);
    let mut tried = 0;
    for other in others.iter().step_by(step).filter(|other| other["model"] == request["model"]) {
        if !is_new(other) {
            continue;
        }
        let said = said(&other.to_string());
        assert!(
            said.is_none() || said.as_deref() == Some("miss"),
            "{path} {other}\n  shares the answer to {request}"
        );
        tried += usize::from(said.is_some());
    }
    tried
}

#[test]
fn every_member_of_a_request_is_in_the_key_and_its_spelling_is_not() {
    let upstream = Upstream::well();
    let gateway = gateway_over(&upstream, POLICY);
    let mut seen = HashSet::new();
    for (path, request) in conversations().into_iter().chain(others()) {
        let tried = probe(&gateway, path, &request, &mut seen, usize::MAX);
        assert!(tried >= FEWEST, "{path}: {tried}");
    }
}

#[test]
fn every_member_of_a_recorded_request_is_in_the_key_and_its_spelling_is_not() {
    let upstream = counting();
    let gateway = gateway_over(&upstream, POLICY);
    let mut tried = 0;
    let mut seen = HashSet::new();
    for text in requests() {
        let mut request: Value = serde_json::from_str(&text).expect("JSON");
        let members = request.as_object_mut().expect("an object");
        members.insert("model".into(), "m".into());
        members.remove("stream");
        members.remove("stream_options");
        tried += probe(&gateway, CHAT, &request, &mut seen, CHANGES);
    }
    assert!(seen.is_empty() || tried > 500, "{tried}");
}

#[test]
fn headers_that_are_handed_on_are_in_the_key_and_others_are_not() {
    let upstream = counting();
    let key = provider_key("up", &upstream.url()).replace(
        "api_key =",
        "request = { forward_client_headers = [\"anthropic-*\", \"x-tenant\"] }\napi_key =",
    );
    let config = [&key, &model("m", "up", ""), &api_key("sk-test", "\"*\"", ""), POLICY].concat();
    let gateway = Gateway::start(&config);
    let body = chat_body("m", "");
    for (headers, said) in [
        (&[][..], "miss"),
        (&[("x-other", "a")], "hit"),
        (&[("anthropic-beta", "a")], "miss"),
        (&[("anthropic-beta", "b")], "miss"),
        (&[("anthropic-beta", "a"), ("x-other", "b")], "hit"),
        (&[("x-tenant", "a")], "miss"),
        (&[("anthropic-beta", "a"), ("x-tenant", "a")], "miss"),
        (&[("x-tenant", "a"), ("anthropic-beta", "a")], "hit"),
        (&[], "hit"),
    ] {
        assert_eq!(cache(&gateway, "sk-test", headers, &body).as_deref(), Some(said), "{headers:?}");
    }
}

#[test]
fn the_targets_that_a_request_may_go_to_are_in_the_key() {
    let [eu, us] = ["eu", "us"].map(|name| Upstream::always(Answer::json(200, &completion(name, 5, 7))));
    let targets =
        r#"[{ model = "eu", tags = ["eu", "both"] }, { model = "us", tags = ["us", "both", "default"] }]"#;
    let routed = format!("[[models]]\ndisplay_name = \"m\"\n[models.routing]\ntargets = {targets}\n");
    let keys = [provider_key("eu-key", &eu.url()), provider_key("us-key", &us.url())].concat();
    let models = [model("eu", "eu-key", ""), model("us", "us-key", ""), routed].concat();
    let gateway = Gateway::start(&[&keys, &models, &api_key("sk-test", "\"*\"", ""), POLICY].concat());
    for (tags, said, by) in [
        (Some("us"), "miss", "us"),
        (Some("eu"), "miss", "eu"),
        (Some("eu"), "hit", "eu"),
        (Some(" eu,,unknown "), "hit", "eu"),
        (None, "hit", "us"),
        (Some("unknown"), "hit", "us"),
        (Some("us,eu"), "miss", "eu"),
        (Some("eu, us"), "hit", "eu"),
        (Some("both"), "hit", "eu"),
    ] {
        let headers: Vec<_> = tags.map(|tags| ("x-aisix-routing-tags", tags)).into_iter().collect();
        let response =
            gateway.send("POST", CHAT, "sk-test", &headers, chat_body("m", "").as_bytes()).expect(200);
        assert_eq!(response.header("x-aisix-cache"), Some(said), "{tags:?}");
        assert_eq!(response.json()["choices"][0]["message"]["content"], by, "{tags:?}");
        gateway.settled();
    }
}

#[test]
fn what_stands_behind_a_name_and_the_policy_are_in_the_key() {
    use aisix::config::Kind;
    let (upstream, elsewhere) = (counting(), counting());
    let gateway = gateway_over(&upstream, "[admin]\nadmin_keys = [\"sk-admin\"]\n");
    let mut admin = gateway.admin();
    let policy = json!({"name": "stored", "applies_to": "all"});
    let policy_id = admin.post(Kind::CachePolicies, &policy).expect(201).json()["id"].clone();
    let key =
        json!({"display_name": "k", "provider": "openai", "api_key": "sk-x", "api_base": upstream.url()});
    let key_id = admin.post(Kind::ProviderKeys, &key).expect(201).json()["id"].clone();
    let direct = json!({"display_name": "own", "provider_key_id": key_id, "model_name": "one"});
    let model_id = admin.post(Kind::Models, &direct).expect(201).json()["id"].clone();
    let said = || cache(&gateway, "sk-test", &[], &chat_body("own", "")).expect("an answer");
    let twice = || [said(), said()];
    assert_eq!(twice(), ["miss", "hit"]);
    for (kind, id, change) in [
        (Kind::Models, &model_id, json!({"model_name": "two"})),
        (Kind::ProviderKeys, &key_id, json!({"api_base": elsewhere.url()})),
        (Kind::ProviderKeys, &key_id, json!({"request": {"default_headers": {"x-a": "b"}}})),
        (Kind::CachePolicies, &policy_id, json!({"purge_generation": 7})),
        (Kind::CachePolicies, &policy_id, json!({"scope": "env"})),
    ] {
        admin.patch(kind, id.as_str().expect("an id"), &change).expect(200);
        assert_eq!(twice(), ["miss", "hit"], "{change}");
    }
}
