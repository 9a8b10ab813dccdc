//! The whole way from text to a configuration: the shipped file, overrides, presets, and files that are
//! broken.

use std::time::Duration;

use super::*;

/// The file that operators start from.
pub(super) const SHIPPED: &str = include_str!("../../config.toml");

/// An environment without variables.
pub(super) fn nothing(_: &str) -> Option<String> {
    None
}

/// Checks a text in an empty environment.
pub(super) fn parse_plain(text: &str) -> Result<Config, Problems> {
    parse("config.toml", text, &nothing, &[])
}

/// Asserts that a text is refused with exactly these lines.
#[track_caller]
pub(super) fn assert_refused(text: &str, expected: &[&str]) {
    let report = parse_plain(text).map(drop).expect_err("the configuration is accepted").to_string();
    assert_eq!(report.lines().collect::<Vec<_>>(), expected, "\n{report}\n");
}

fn with_overrides(text: &str, overrides: &[(&str, &str)]) -> Result<Config, Problems> {
    let overrides: Vec<(String, String)> =
        overrides.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    parse("config.toml", text, &nothing, &overrides)
}

#[test]
fn the_example_of_the_readme_is_accepted() {
    let readme = include_str!("../../README.md");
    let example = readme.split("<<'EOF'\n").nth(1).and_then(|rest| rest.split("\nEOF\n").next());
    let config = parse_plain(example.expect("an example")).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.resolved.models.len(), 3);
}

#[test]
fn the_shipped_file_runs_without_a_key() {
    let snapshot = Snapshot::build(parse_plain(SHIPPED).unwrap());
    let names: Vec<&str> = snapshot.models().map(|model| &*model.name).collect();
    assert_eq!(names, ["demo", "demo-cached", "demo-flaky", "demo-auto"]);
    let key = snapshot.api_key(&secret::KeyHash::of("sk-demo").0, Duration::ZERO).unwrap();
    assert!(key.allows("demo-auto") && key.budgets.is_empty());
    let broke = snapshot.api_key(&secret::KeyHash::of("sk-demo-broke").0, Duration::ZERO).unwrap();
    assert_eq!(broke.budgets[0].limit.0, 1);
    assert!(snapshot.cache_policy("demo-cached", key).is_some());
    assert!(snapshot.cache_policy("demo", key).is_none());
}

#[test]
fn an_empty_file_is_a_configuration() {
    let config = parse_plain("").unwrap();
    assert_eq!(*config.settings, Settings::default());
}

#[test]
fn a_missing_file_is_named() {
    let source = Source::with_variables("/nowhere/config.toml".into(), &[]);
    let problems = source.text().map(drop).unwrap_err();
    let report = problems.to_string();
    assert!(report.starts_with("/nowhere/config.toml: cannot read the file: "), "{report}");
    assert!(report.ends_with("name another with --config FILE or AISIX_CONFIG"), "{report}");
}

#[test]
fn every_syntax_error_is_reported_and_nothing_else() {
    let text = "[proxy\naddr = \"x\"\n[[models]]\ndisplay_name = \nretries = 1\nretries = 2\n";
    let problems = parse_plain(text).map(drop).unwrap_err();
    let lines: Vec<Option<usize>> = problems.sorted().iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [Some(1), Some(4), Some(6)], "{problems}");
}

#[test]
fn settings_and_resources_are_reported_together_in_the_order_of_the_file() {
    assert_refused(
        r#"[proxi]
addr = "127.0.0.1:1"
[proxy]
addr = "localhost"
workers = 0
adr = "127.0.0.1:2"
[upstream.tls]
verify = "yes"
[[models]]
display_name = "a"
provider_key = "opnai-main"
model_name = "m"
retries = -1
[[models]]
display_name = "b"
provider_key = "opnai-main"
model_name = "m"
[[provider_keys]]
display_name = "openai-main"
provider = "openai"
api_key = "${OPENAI_KEY}"
[[api_keys]]
key = "sk-1"
[modles]
"#,
        &[
            r#"config.toml:1: proxi: no table is called "proxi" (did you mean "proxy"?)"#,
            r#"config.toml:4: proxy.addr: expected an IP address with a port, such as "127.0.0.1:3000""#,
            "config.toml:5: proxy.workers: expected a whole number from 1, found a number out of range",
            r#"config.toml:6: proxy.adr: no setting is called "adr" (did you mean "addr"?)"#,
            "config.toml:8: upstream.tls.verify: expected true or false, found a string",
            r#"config.toml:11: models[0].provider_key: no provider key is called "opnai-main" (did you mean "openai-main"?)"#,
            "config.toml:13: models[0].retries: expected a whole number from 0 to 4294967295, found a number out of range",
            r#"config.toml:16: models[1].provider_key: no provider key is called "opnai-main" (did you mean "openai-main"?)"#,
            "config.toml:21: provider_keys[0].api_key: environment variable OPENAI_KEY is not set or empty",
            r#"config.toml:22: api_keys[0]: "display_name" is required"#,
            r#"config.toml:22: api_keys[0]: "allowed_models" is required"#,
            r#"config.toml:24: modles: no table is called "modles" (did you mean "models"?)"#,
        ],
    );
}

#[test]
fn environment_variables_override_settings_of_any_type() {
    let overrides = [
        ("AISIX_PROXY__ADDR", "0.0.0.0:8080"),
        ("AISIX_PROXY__WORKERS", "3"),
        ("AISIX_PROXY__REQUEST_ID__ACCEPT_HEADERS", "x-request-id, X-Trace"),
        ("AISIX_UPSTREAM__TLS__VERIFY", "false"),
        ("AISIX_OBSERVABILITY__LOG_LEVEL", "debug"),
        ("AISIX_ADMIN__ADMIN_KEYS", "one,two"),
        ("AISIX_CONFIG", "elsewhere.toml"),
        ("AISIX_LICENSE", "x"),
        ("PATH", "/bin"),
    ];
    let config = with_overrides("[proxy]\naddr = \"nonsense\"\n", &overrides).unwrap();
    let settings = &config.settings;
    assert_eq!(settings.proxy.addr.to_string(), "0.0.0.0:8080");
    assert_eq!(settings.proxy.workers(), 3);
    assert_eq!(settings.proxy.request_id.accept_headers, ["x-request-id", "x-trace"]);
    assert!(!settings.upstream.tls.verify);
    assert_eq!(settings.observability.log_level, settings::LogLevel::Debug);
    assert_eq!(settings.admin.admin_keys.len(), 2);
}

#[test]
fn an_override_without_a_meaning_is_a_problem_that_names_the_right_variable() {
    let overrides = [
        ("AISIX_PROXI__ADDR", "1"),
        ("AISIX_PROXY__ADR", "1"),
        ("AISIX_UPSTREAM__TSL__VERIFY", "1"),
        ("AISIX_PROXY__WORKERS", "many"),
        ("AISIX_MODELS__0__RETRIES", "1"),
        ("AISIX_BUDGET__UNPRICED", "sk-secret"),
    ];
    let report = with_overrides("", &overrides).map(drop).unwrap_err().to_string();
    assert_eq!(
        report.lines().collect::<Vec<_>>(),
        [
            r#"environment: AISIX_PROXI__ADDR: no table of settings is called "proxi" (did you mean AISIX_PROXY__ADDR?)"#,
            r#"environment: AISIX_MODELS__0__RETRIES: no table of settings is called "models"; known: proxy, admin, store, observability, upstream, downstream, cache, ratelimit, budget, redis, shutdown, presets"#,
            r#"environment: AISIX_PROXY__ADR: no setting is called "adr" (did you mean AISIX_PROXY__ADDR?)"#,
            "environment: AISIX_PROXY__WORKERS: expected a whole number from 1, found a string",
            r#"environment: AISIX_UPSTREAM__TSL__VERIFY: no setting is called "tsl" (did you mean AISIX_UPSTREAM__TLS__VERIFY?)"#,
            r#"environment: AISIX_BUDGET__UNPRICED: expected one of "deny", "allow""#,
        ]
    );
}

#[test]
fn a_credential_in_the_environment_adds_its_provider_unless_the_file_declares_it() {
    let environment =
        |name: &str| matches!(name, "OPENAI_API_KEY" | "GROQ_API_KEY").then(|| "sk-from-env".to_owned());
    let names = |text: &str| -> Vec<String> {
        let config = parse("config.toml", text, &environment, &[]).unwrap();
        let snapshot = Snapshot::build(config);
        snapshot.models().map(|model| model.name.to_string()).collect()
    };
    assert_eq!(names(""), ["openai/*", "groq/*"]);
    assert_eq!(names("[presets]\nenabled = false\n"), Vec::<String>::new());
    let declared = "[[provider_keys]]\ndisplay_name = \"groq\"\nprovider = \"groq\"\napi_key = \"k\"\n";
    assert_eq!(names(declared), ["openai/*"]);
    let snapshot = Snapshot::build(parse("c", "", &environment, &[]).unwrap());
    let resolved = snapshot.resolve("groq/llama").unwrap();
    let snapshot::Dispatch::Direct(direct) = &resolved.model.dispatch else { panic!("a preset is direct") };
    assert_eq!(direct.upstream_model_for(resolved.capture.as_deref()), "llama");
    assert!(direct.tariff.cost.is_none());
    assert!(!format!("{snapshot:?}{resolved:?}{:?}", snapshot.provider_keys).contains("sk-from-env"));
}

#[test]
fn no_report_holds_a_secret() {
    let environment = |name: &str| Some(format!("sk-secret-{name}"));
    let text = r#"
[admin]
addr = "${A}"
admin_keys = "sk-secret-1"
[observability]
log_level = "${L}"
[[provider_keys]]
display_name = "p"
provider = "${P}"
api_key = "sk-secret-2"
request = { default_headers = { authorization = "sk-secret-3", "x y" = "sk-secret-4", x-ok = "sk-secret-5\n" } }
[[provider_keys]]
display_name = "q"
provider = "openai"
api_key = ["sk-secret-2"]
[[models]]
display_name = "m"
provider_key = "${K}"
model_name = "m"
[[api_keys]]
display_name = "k"
key = "sk-secret-6"
key_hash = "sk-secret-7"
allowed_models = []
[[api_keys]]
display_name = "l"
key_hash = "sk-secret-8"
allowed_models = []
expires_at = "sk-secret-9"
"#;
    let problems = parse("config.toml", text, &environment, &[]).map(drop).unwrap_err();
    assert!(problems.len() >= 11, "{problems}");
    assert!(!problems.to_string().contains("sk-secret"), "{problems}");
    for line in
        ["api_key = sk-secret", "api_key = \"sk-secret", "api_key sk-secret", "= sk-secret", "[sk-secret"]
    {
        let problems = parse_plain(line).map(drop).unwrap_err();
        assert!(!problems.to_string().contains("sk-secret"), "{problems}");
    }
}

/// A small generator with a fixed start, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    fn mutate(&mut self, text: &str) -> String {
        let mut lines: Vec<&str> = text.lines().collect();
        let (one, other) = (self.roll(lines.len()), self.roll(lines.len()));
        match self.roll(6) {
            0 => drop(lines.remove(one)),
            1 => lines.insert(one, lines[other]),
            2 => lines.swap(one, other),
            _ => {
                let mut bytes = text.as_bytes().to_vec();
                for _ in 0..=self.roll(3) {
                    let at = self.roll(bytes.len());
                    match self.roll(3) {
                        0 => drop(bytes.remove(at)),
                        1 => bytes.insert(at, b"\"[]{}=#.*$-0a\n\\\xff"[self.roll(16)]),
                        _ => bytes[at] = self.roll(256) as u8,
                    }
                }
                return String::from_utf8_lossy(&bytes).into_owned();
            }
        }
        lines.join("\n")
    }
}

#[test]
fn any_damage_to_the_shipped_file_loads_or_is_reported_with_its_place() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    // Without the lines that mutations would mostly hit without effect.
    let lines = SHIPPED.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let text = lines.collect::<Vec<_>>().join("\n");
    let mut refused = 0;
    for round in 0..2_000 {
        let damaged = dice.mutate(&text);
        match parse_plain(&damaged) {
            Ok(config) => drop(Snapshot::build(config)),
            Err(problems) => {
                refused += 1;
                let has_place = |problem: &&Problem| problem.line.is_some() || !problem.path.is_empty();
                assert!(problems.sorted().iter().all(has_place), "round {round}: {problems}\n{damaged}");
            }
        }
    }
    assert!(refused > 500, "only {refused} of the damaged files are refused");
}
