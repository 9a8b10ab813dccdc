//! Out of the store into a file, and out of a file into the store.

use aisix::config::{Kind, Snapshot, Source};
use aisix::registry::{Action, Book, Write};
use serde_json::{Value, json};

use crate::harness::Folder;

const FILE: &str = r#"# mine
[[provider_keys]]
display_name = "file-key"
provider = "openai"
api_key = "sk-secret-of-the-file"
[[models]]
display_name = "file-model"
provider_key = "file-key"
model_name = "m"
[[api_keys]]
display_name = "file-caller"
key = "sk-caller-of-the-file"
allowed_models = ["*"]
"#;

fn source(folder: &Folder, text: &str, variables: &[(String, String)]) -> Source {
    Source::with_variables(folder.write("config.toml", text), variables)
}

fn load(source: Source) -> (Book, Snapshot) {
    Book::load(source).unwrap_or_else(|problems| panic!("{problems}"))
}

fn put(book: &mut Book, kind: Kind, id: &str, body: Value) {
    let write = Write { kind, action: Action::Put(id.into(), body), if_match: None };
    let (mut outcomes, _) = book.write(vec![write]);
    outcomes.remove(0).expect("stored");
}

/// A store with one resource of each kind, which refer to one another by id.
fn fill(book: &mut Book) {
    let secret = "sk-secret-of-the-store-$9";
    put(
        book,
        Kind::ProviderKeys,
        "pk",
        json!({"display_name": "p", "provider": "openai", "api_key": secret}),
    );
    put(book, Kind::Models, "m", json!({"display_name": "gpt", "provider_key_id": "pk", "model_name": "g$"}));
    put(
        book,
        Kind::ApiKeys,
        "k",
        json!({"display_name": "team", "key": "sk-team", "allowed_models": ["gpt"]}),
    );
    let budget =
        json!({"name": "b", "scope": "api_key", "scope_ref": "k", "limit_usd": 2.5, "period": "day"});
    put(book, Kind::Budgets, "b", budget);
    put(book, Kind::CachePolicies, "c", json!({"name": "c", "applies_to": "api_key:k"}));
}

/// Every resource by kind and name, as administrators see it, without what refers by id.
fn seen(snapshot: &Snapshot) -> Vec<String> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        for entry in snapshot.resources.entries(*kind) {
            let mut value: Value =
                serde_json::from_str(entry.to_json().expect("readable").get()).expect("JSON");
            let members = value.as_object_mut().expect("an object");
            for reference in ["provider_key", "provider_key_id", "scope_ref", "applies_to"] {
                members.remove(reference);
            }
            all.push(format!("{} {value}", kind.collection()));
        }
    }
    all.sort();
    all
}

#[test]
fn an_exported_file_is_the_whole_gateway_without_its_secrets() {
    let (from, to) = (Folder::new(), Folder::new());
    let (mut book, _) = load(source(&from, FILE, &[]));
    fill(&mut book);
    let export = book.export(false).expect("exported");
    for secret in ["sk-secret", "sk-caller", "sk-team"] {
        assert!(!export.text.contains(secret), "{secret} is in\n{}", export.text);
    }
    assert!(export.text.contains("# mine"), "comments stay");
    assert_eq!(export.variables, ["AISIX_SECRET_FILE_KEY_API_KEY", "AISIX_SECRET_P_API_KEY"]);
    let values = ["sk-secret-of-the-file", "sk-secret-of-the-store-$9"];
    let variables: Vec<_> = export.variables.iter().cloned().zip(values.map(str::to_owned)).collect();
    let (_, copy) = load(source(&to, &export.text, &variables));
    let (_, original) = load(source(&from, FILE, &[]));
    assert_eq!(seen(&copy), seen(&original));
    let budget = copy.budgets.first().expect("a budget");
    let key =
        copy.resources.entries(Kind::ApiKeys).find(|key| key.name().is_some_and(|name| &**name == "team"));
    assert_eq!(budget.scope_ref.as_ref(), key.map(|key| key.id()), "the reference leads to the copy");
}

#[test]
fn a_file_is_imported_whole_and_again_without_a_difference() {
    let (from, to) = (Folder::new(), Folder::new());
    let (mut book, _) = load(source(&from, FILE, &[]));
    fill(&mut book);
    let revealed = book.export(true).expect("exported");
    let (mut book, _) = load(source(&to, "", &[]));
    let file = source(&to, "", &[]).beside(to.write("import.toml", &revealed.text));
    let tried = book.import(&file, true).expect("fits");
    assert_eq!((tried.written, tried.new), (8, 8));
    assert!(load(source(&to, "", &[])).1.resources.entries(Kind::Models).next().is_none(), "only tried");
    book.import(&file, false).expect("imported");
    let again = book.import(&file, false).expect("imported");
    assert_eq!((again.written, again.new), (8, 0));
    let (_, copy) = load(source(&to, "", &[]));
    let (_, original) = load(source(&from, FILE, &[]));
    assert_eq!(seen(&copy), seen(&original));
}

#[test]
fn an_import_that_does_not_fit_stores_nothing_and_says_why() {
    let folder = Folder::new();
    let (mut book, _) = load(source(&folder, FILE, &[]));
    let text = format!(
        "{FILE}[[models]]\ndisplay_name = \"good\"\nprovider_key = \"file-key\"\nmodel_name = \"m\"\n"
    );
    let bad =
        format!("{text}[[models]]\ndisplay_name = \"bad\"\nprovider_key = \"fil-key\"\nmodel_name = \"m\"\n");
    let file = source(&folder, FILE, &[]).beside(folder.write("import.toml", &bad));
    let report = book.import(&file, false).map(drop).expect_err("refused");
    assert!(
        report.contains("no provider key is called \"fil-key\" (did you mean \"file-key\"?)"),
        "{report}"
    );
    assert!(!folder.path().join("aisix.db").exists(), "nothing is stored");
    let file = source(&folder, FILE, &[]).beside(folder.write("import.toml", &text));
    let imported = book.import(&file, false).expect("imported");
    assert_eq!((imported.written, imported.skipped.len()), (1, 3), "what the own file declares is left out");
}
