//! The documents of the API against the listeners: everything that is served is described, and nothing else.

use aisix::config::Kind;
use aisix::endpoints::{ENDPOINTS, PLAYGROUND};
use serde_json::Value;

use crate::harness::*;

const ADMIN: &str = "/admin/openapi.json";
const PROXY: &str = "/admin/openapi-proxy.json";
const VIEWER: &str = "/admin/openapi-scalar";
const KEY: &str = "sk-of-administrators";
const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"];

fn start(more: &str) -> Gateway {
    Gateway::start(&format!("[admin]\nadmin_keys = [\"{KEY}\"]\n{more}"))
}

fn on(addr: std::net::SocketAddr, method: &str, path: &str, key: &str, body: &str) -> Response {
    let mut connection = Connection::open(addr);
    connection.send(&request_text(method, path, key, &[], body.as_bytes()));
    if method == "HEAD" { connection.bodiless() } else { connection.response() }
}

fn read(gateway: &Gateway, path: &str) -> Response {
    on(gateway.admin_addr(), "GET", path, "", "").expect(200)
}

fn document(gateway: &Gateway, path: &str) -> Value {
    read(gateway, path).json()
}

/// The methods that a path is documented with, as `Allow` writes them.
fn methods(path: &Value) -> Vec<String> {
    path.as_object().expect("methods").keys().map(|method| method.to_ascii_uppercase()).collect()
}

#[test]
fn every_kind_and_every_endpoint_is_documented() {
    let gateway = start("");
    let (admin, proxy) = (document(&gateway, ADMIN), document(&gateway, PROXY));
    for (document, title) in [(&admin, "AISIX Admin API"), (&proxy, "AISIX Proxy API")] {
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["title"], title);
    }
    let collections = Kind::ALL.iter().map(|kind| kind.collection()).chain(["apikeys"]);
    for collection in collections {
        let path = format!("/admin/v1/{collection}");
        assert_eq!(methods(&admin["paths"][&path]), ["GET", "POST"], "{path}");
        let item = &admin["paths"][format!("{path}/{{id}}")];
        assert_eq!(methods(item), ["DELETE", "GET", "PATCH", "PUT"], "{path}");
        let rotate = &admin["paths"][format!("{path}/{{id}}/rotate")];
        assert_eq!(rotate["post"].is_object(), matches!(collection, "api_keys" | "apikeys"), "{path}");
    }
    assert!(admin["paths"][PLAYGROUND]["post"].is_object());
    for endpoint in &ENDPOINTS {
        for method in endpoint.methods() {
            let method = method.as_str().to_ascii_lowercase();
            assert!(proxy["paths"][endpoint.path][&method].is_object(), "{method} {}", endpoint.path);
        }
    }
    assert_eq!(proxy["paths"].as_object().expect("paths").len(), ENDPOINTS.len());
}

#[test]
fn what_is_documented_is_served_and_every_other_method_is_not() {
    let gateway = start("");
    for (addr, path) in [(gateway.admin_addr(), ADMIN), (gateway.addr(), PROXY)] {
        let document = document(&gateway, path);
        for (path, operations) in document["paths"].as_object().expect("paths") {
            let (documented, path) = (methods(operations), path.replace("{id}", "nobody"));
            for method in METHODS {
                let answer = on(addr, method, &path, KEY, "");
                let is_documented = documented.iter().any(|known| known == method);
                assert_eq!(answer.status != 405, is_documented, "{method} {path}: {}", answer.text());
                assert!(!answer.text().contains("no such endpoint"), "{method} {path}");
                if !is_documented {
                    let mut allowed: Vec<_> = answer.header("allow").expect("Allow").split(", ").collect();
                    allowed.sort_unstable();
                    assert_eq!(allowed, documented, "{method} {path}");
                }
            }
        }
    }
}

#[test]
fn references_lead_somewhere_and_names_are_unique() {
    let gateway = start("");
    for path in [ADMIN, PROXY] {
        let document = document(&gateway, path);
        let mut references = Vec::new();
        collect(&document, "$ref", &mut references);
        assert!(references.len() > 50, "{path}: {}", references.len());
        for reference in references {
            let pointer = reference.strip_prefix('#').expect("inside the document");
            assert!(document.pointer(pointer).is_some(), "{path}: {reference}");
        }
        let mut names = Vec::new();
        collect(&document, "operationId", &mut names);
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{path}");
    }
}

/// The texts of every member with a name, at any depth.
fn collect(value: &Value, name: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get(name).and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|value| collect(value, name, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, name, found)),
        _ => {}
    }
}

#[test]
fn every_field_that_can_be_written_has_a_sentence() {
    let gateway = start("");
    let admin = document(&gateway, ADMIN);
    for (name, schema) in admin["components"]["schemas"].as_object().expect("schemas") {
        assert!(schema["description"].is_string() || schema["oneOf"].is_array(), "{name}");
        let members = schema["properties"].as_object().into_iter().flatten();
        for (member, schema) in members.filter(|_| !name.ends_with("Patch")) {
            let is_described = schema["description"].is_string() || schema["$ref"].is_string();
            assert!(is_described, "{name}.{member}");
        }
    }
}

#[test]
fn no_secret_of_the_configuration_is_in_a_document() {
    let secrets = ["sk-provider-secret", "sk-caller-secret", "header-secret", "10.9.8.7"];
    let key = "[[provider_keys]]\ndisplay_name = \"p\"\nprovider = \"openai\"\napi_key = \"sk-provider-secret\"\n\
               api_base = \"http://10.9.8.7\"\nrequest = { default_headers = { x-own = \"header-secret\" } }\n";
    let gateway = start(&(key.to_owned() + &api_key("sk-caller-secret", "\"*\"", "")));
    for path in [ADMIN, PROXY, VIEWER] {
        let text = read(&gateway, path).text();
        assert!(!text.contains(KEY), "{path}");
        assert!(!text.contains(&*gateway.folder.path().to_string_lossy()), "{path}");
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "{path}");
    }
}

#[test]
fn documented_examples_are_accepted_by_the_shipped_configuration() {
    let gateway = Gateway::start(include_str!("../../config.toml"));
    let (admin, proxy) = (document(&gateway, ADMIN), document(&gateway, PROXY));
    for kind in Kind::ALL {
        let path = format!("/admin/v1/{}", kind.collection());
        let body = &admin["paths"][&path]["post"]["requestBody"]["content"]["application/json"];
        let pointer = body["schema"]["$ref"].as_str().expect("a reference").trim_start_matches('#');
        let examples =
            admin.pointer(pointer).expect("a schema")["examples"].as_array().expect("examples").clone();
        for example in examples {
            on(gateway.admin_addr(), "POST", &path, "", &example.to_string()).expect(201);
        }
    }
    for endpoint in &ENDPOINTS {
        let body = &proxy["paths"][endpoint.path]["post"]["requestBody"]["content"]["application/json"];
        for example in body["schema"]["examples"].as_array().into_iter().flatten() {
            let answer = on(gateway.addr(), "POST", endpoint.path, "sk-demo", &example.to_string());
            answer.expect(200);
        }
    }
    gateway.settled();
}

#[test]
fn the_viewer_asks_no_other_host() {
    let gateway = start("");
    let page = read(&gateway, VIEWER);
    let policy = page.header("content-security-policy").expect("a policy").to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    let sources =
        policy.split([';', ' ']).filter(|word| word.contains("//") || *word == "*" || word.ends_with(".com"));
    assert_eq!(sources.count(), 0, "{policy}");
    assert!(!page.text().contains("//"), "{}", page.text());
    for (name, media_type) in [("scalar.js", "text/javascript"), ("start.js", "text/javascript")] {
        assert!(page.text().contains(&format!("src=\"openapi-scalar/{name}\"")));
        let script = read(&gateway, &format!("{VIEWER}/{name}"));
        assert!(script.header("content-type").is_some_and(|own| own.starts_with(media_type)), "{name}");
        assert_eq!(script.header("content-security-policy"), Some(&*policy), "{name}");
    }
    let script = read(&gateway, &format!("{VIEWER}/scalar.js"));
    assert_eq!(script.header("content-encoding"), Some("gzip"));
    assert!(script.body.starts_with(&[0x1f, 0x8b]) && script.body.len() < 2 << 20, "{}", script.body.len());
    let start = read(&gateway, &format!("{VIEWER}/start.js")).text();
    for document in [ADMIN, PROXY] {
        let name = document.rsplit('/').next().expect("a name");
        assert!(start.contains(&format!("url: \"{name}\"")), "{start}");
    }
    for option in ["telemetry: false", "withDefaultFonts: false", "proxyUrl: \"\""] {
        assert!(start.contains(option), "{option}");
    }
    assert!(!start.contains("://"), "{start}");
}

#[test]
fn who_has_a_document_already_is_not_sent_it_again() {
    let gateway = start("");
    for path in [ADMIN, PROXY, VIEWER] {
        let etag = read(&gateway, path).header("etag").expect("a tag").to_owned();
        for (known, status) in [(etag.as_str(), 304), ("*", 304), ("\"other\"", 200)] {
            let mut connection = Connection::open(gateway.admin_addr());
            let known = format!("\"first\", W/{known}").replace("W/*", "*").replace("W/\"other", "\"other");
            connection.send(&request_text("GET", path, "", &[("if-none-match", &known)], b""));
            let answer = connection.bodiless().expect(status);
            assert_eq!(answer.header("etag"), Some(&*etag));
            if status == 304 {
                // Nothing follows: the connection goes on with the next answer.
                connection.send(&request_text("GET", "/livez", "", &[], b""));
                assert_eq!(connection.response().expect(200).text(), "ok");
            }
        }
    }
}
