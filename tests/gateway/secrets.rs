//! Secrets, prompts and answers are sown into every place that takes one, and then looked for in everything that the
//! gateway says about itself.

use std::sync::Arc;

use aisix::config::{Kind, Snapshot, Source};
use aisix::registry::Book;
use serde_json::json;

use crate::harness::*;

/// Stands in everything that must not come out.
const SEED: &str = "SEED";

/// A configuration with a secret wherever one can stand.
fn config(url: &str) -> String {
    format!(
        r#"
[admin]
admin_keys = ["{ADMIN_KEY}", "sk-SEED-administrator"]
[observability]
access_log_format = "json"
[observability.usage_records]
target = "file"
path = "usage.jsonl"
[shutdown]
min_drain_secs = 0
[[provider_keys]]
display_name = "up"
provider = "openai"
api_key = "${{SOWN}}"
api_base = "{url}"
request = {{ default_headers = {{ x-account = "SEED-header-of-the-file" }} }}
[[provider_keys]]
display_name = "literal"
provider = "openai"
api_key = "sk-SEED-literal-credential-of-the-file"
api_base = "{url}"
[[guardrails]]
name = "judge"
kind = "webhook"
url = "{url}"
headers = {{ x-judge = "SEED-header-of-a-judge" }}
enabled = false
[[guardrails]]
name = "no secrets"
kind = "keyword"
patterns = [{{ kind = "literal", value = "nothing" }}]
enforcement_mode = "monitor"
[[models]]
display_name = "m"
provider_key = "up"
model_name = "upstream-m"
retries = 0
[[models]]
display_name = "other"
provider_key = "literal"
model_name = "upstream-m"
[[api_keys]]
display_name = "caller"
key = "sk-SEED-caller-of-the-file"
allowed_models = ["m"]
"#
    )
}

/// Everything that was said, with where it was said.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Said {
    fn add(&mut self, place: &str, text: impl Into<String>) {
        self.0.push((place.to_owned(), text.into()));
    }

    fn answer(&mut self, place: &str, answer: &Response) {
        self.add(place, format!("{:?} {}", answer.headers, answer.text()));
    }

    /// Asserts that none of it holds a seed, and that there was something to look through.
    fn is_clean(&self) {
        for (place, text) in &self.0 {
            assert!(!text.is_empty(), "{place} says nothing");
            let found =
                text.find(SEED).map(|at| text[at.saturating_sub(80)..].chars().take(200).collect::<String>());
            assert_eq!(found, None, "in {place}");
        }
    }
}

/// A provider that repeats what it was told, credential included, and then fails in every way that has words.
fn indiscreet() -> Upstream {
    Upstream::start(|received, count| {
        let credential = received.header("authorization").unwrap_or_default().to_owned();
        let words =
            json!({"error": {"message": format!("{credential} SEED-words"), "code": "nope"}}).to_string();
        match count % 5 {
            0 => Answer::json(200, &completion("SEED-answer", 3, 2)),
            1 => Answer::json(500, &words),
            2 => Answer::json(400, &words),
            3 => Answer::json(503, "SEED-page of a proxy").then(Answer::json(500, &words)),
            _ => Answer::stream(&["SEED-answer"]).event(&words).end(),
        }
    })
}

const PROMPT: &str =
    r#"{"model":"m","messages":[{"role":"user","content":"SEED-prompt"}],"user":"SEED-user"}"#;

#[test]
fn nothing_that_the_gateway_says_of_itself_holds_a_secret_a_prompt_or_an_answer() {
    let upstream = indiscreet();
    let folder = Arc::new(Folder::new());
    folder.write("config.toml", &config(&upstream.url()));
    let mut process =
        Process::start_sown(folder.clone(), &[("SOWN", "sk-SEED-credential-of-the-environment")]);
    let mut said = Said::default();
    sow(&process, &mut said);
    calls(&process, &mut said);
    pages(&process, &mut said);
    reloads(&process, &folder, &mut said);
    let variables = [("SOWN".to_owned(), "sk-SEED-credential-of-the-environment".to_owned())];
    commands(&folder, &variables, &mut said);
    process.signal("INT");
    assert_eq!(process.exit_code(), Some(0));
    said.add("the log", process.log());
    let records = std::fs::read_to_string(folder.path().join("usage.jsonl")).expect("usage records");
    assert!(records.lines().count() > 8, "{records}");
    said.add("the usage records", records);
    said.is_clean();
}

/// Creates, refuses and shows resources with secrets.
fn sow(process: &Process, said: &mut Said) {
    let mut admin = process.admin();
    let key = json!({
        "display_name": "stored", "provider": "openai", "api_key": "sk-SEED-credential-of-the-store",
        "request": {"default_headers": {"x-token": "SEED-header-of-the-store"}},
    });
    said.answer("a new provider key", &admin.put(Kind::ProviderKeys, "pk", &key).expect(201));
    let caller = json!({"display_name": "c", "key": "sk-SEED-caller-of-the-store", "allowed_models": ["m"]});
    said.answer("a new API key", &admin.put(Kind::ApiKeys, "k", &caller).expect(201));
    let bad = json!({"display_name": "c", "key": ["sk-SEED-x"], "allowed_models": ["m"]});
    said.answer("a bad API key", &admin.post(Kind::ApiKeys, &bad).expect(400));
    let twice = json!({"display_name": "d", "key": "sk-SEED-caller-of-the-store", "allowed_models": ["m"]});
    said.answer("a key that another has", &admin.post(Kind::ApiKeys, &twice).expect(409));
    for bad in [
        json!({"display_name": "x", "provider": "openai", "api_key": {"sk": "SEED"}}),
        json!({"display_name": "x", "provider": "openai", "api_key": "SEED-line\n-break"}),
        json!({"display_name": "x", "provider": "openai", "api_key": "k", "tls": {"ca_cert": "SEED-pem"}}),
    ] {
        said.answer("a bad provider key", &admin.post(Kind::ProviderKeys, &bad).expect(400));
    }
    said.answer("no JSON", &admin.ask("POST", "/admin/v1/models", "{\"SEED-broken").expect(400));
    for kind in Kind::ALL {
        said.answer(
            kind.collection(),
            &admin.ask("GET", &format!("/admin/v1/{}", kind.collection()), "").expect(200),
        );
    }
    said.answer("a provider key", &admin.get(Kind::ProviderKeys, "pk").expect(200));
}

/// Calls that fail in every way; what a caller is told of a provider's 4xx is its own affair.
fn calls(process: &Process, said: &mut Said) {
    let post = |key: &str, body: &str| {
        let mut connection = Connection::open(process.addr);
        connection.send(&request_text("POST", "/v1/chat/completions", key, &[], body.as_bytes()));
        connection.response()
    };
    for _ in 0..10 {
        for key in ["sk-SEED-caller-of-the-file", "sk-SEED-caller-of-the-store"] {
            let answer = post(key, PROMPT);
            if answer.status == 400 {
                // The caller may read the provider's words, without the credential in them.
                assert!(
                    answer.text().contains("SEED-words") && !answer.text().contains("credential"),
                    "{answer:?}"
                );
            } else if answer.status > 400 {
                said.answer("a failed call", &answer);
            }
        }
    }
    said.answer("an unknown key", &post("sk-SEED-nobody", PROMPT));
    said.answer(
        "a model that is not allowed",
        &post("sk-SEED-caller-of-the-file", &PROMPT.replace("\"m\"", "\"other\"")),
    );
    said.answer("a broken body", &post("sk-SEED-caller-of-the-file", "{\"model\": \"SEED-broken"));
}

/// Everything that can be read without a caller's key.
fn pages(process: &Process, said: &mut Said) {
    let get = |addr, path: &str, key: &str| {
        let mut connection = Connection::open(addr);
        connection.send(&request_text("GET", path, key, &[], b""));
        connection.response()
    };
    for path in ["/metrics", "/status/config", "/status/models", "/status/ready"] {
        said.answer(path, &get(process.metrics_addr(), path, ""));
    }
    let admin = process.admin_addr();
    for path in [
        "/admin/openapi.json",
        "/admin/openapi-proxy.json",
        "/admin/v1/health",
        "/admin/v1/actors",
        "/readyz?verbose",
    ] {
        said.answer(path, &get(admin, path, ADMIN_KEY));
    }
    said.answer("a wrong administrator", &get(admin, "/admin/v1/models", "sk-SEED-guess"));
}

/// Files that are refused, with secrets in the refused places.
fn reloads(process: &Process, folder: &Folder, said: &mut Said) {
    let good = std::fs::read_to_string(folder.path().join("config.toml")).expect("written");
    for bad in [
        "[[api_keys]]\ndisplay_name = \"again\"\nkey = \"sk-SEED-caller-of-the-file\"\nallowed_models = []\n",
        "[[provider_keys]]\ndisplay_name = \"p\"\nprovider = \"${SOWN}\"\napi_key = [\"sk-SEED-list\"]\n",
        "[[provider_keys]]\ndisplay_name = \"p\"\nprovider = \"openai\"\napi_key = \"sk-SEED-unclosed\n",
    ] {
        folder.write("config.toml", &format!("{good}{bad}"));
        until("the bad file is refused", || {
            let mut connection = Connection::open(process.metrics_addr());
            connection.send(&request_text("GET", "/status/config", "", &[], b""));
            let status = connection.response();
            let is_refused = status.json()["state"] == "out_of_sync";
            if is_refused {
                said.answer("the status of a bad file", &status);
            }
            is_refused
        });
        folder.write("config.toml", &good);
        until("the good file is back", || {
            let mut connection = Connection::open(process.metrics_addr());
            connection.send(&request_text("GET", "/status/config", "", &[], b""));
            connection.response().json()["state"] == "synced"
        });
    }
}

/// What commands print, and how the types of the core print.
fn commands(folder: &Folder, variables: &[(String, String)], said: &mut Said) {
    let source = Source::with_variables(folder.path().join("config.toml"), variables);
    let declaration = source.declare(&source.text().expect("a file")).expect("a good file");
    let (book, snapshot) = Book::load(source.clone()).unwrap_or_else(|problems| panic!("{problems}"));
    said.add("an export", book.export(false).expect("exported").text);
    said.add("Debug", format!("{source:?} {declaration:#?} {snapshot:#?} {:#?}", declaration.settings));
    said.add("Debug of what a snapshot holds", debug_of(&snapshot));
    let name = folder.path().join("config.toml");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_aisix"))
        .args(["check", "--config"])
        .arg(name)
        .env_clear()
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .expect("the program runs");
    said.add("aisix check", String::from_utf8_lossy(&output.stdout));
}

fn debug_of(snapshot: &Snapshot) -> String {
    let models: Vec<_> = snapshot.models().collect();
    let Snapshot { settings, provider_keys, cache_policies, resources, budgets, guardrails, .. } = snapshot;
    format!(
        "{guardrails:#?}{settings:#?}{provider_keys:#?}{cache_policies:#?}{resources:#?}{budgets:?}{models:#?}"
    )
}
