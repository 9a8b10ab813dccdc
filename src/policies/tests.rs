//! Which requests a policy holds for, and in which buckets they count.

use aisix_actors::rate_limiter::Layer;

use super::*;
use crate::config::{
    self,
    snapshot::{Resolved, Snapshot},
};

const BASE: &str = r#"
[[provider_keys]]
display_name = "mock"
provider = "mock"
[[models]]
display_name = "a"
provider_key = "mock"
model_name = "x"
[[models]]
display_name = "open/*"
provider_key = "mock"
model_name = "*"
[[models]]
display_name = "smart"
routing = { targets = [{ model = "a" }] }
[[api_keys]]
display_name = "k"
key = "sk"
allowed_models = ["*"]
team_id = "red"
user_id = "a:d=a%"
"#;

fn snapshot(rest: &str) -> Snapshot {
    let config = config::parse("config.toml", &format!("{BASE}{rest}"), &|_| None, &[]);
    Snapshot::build(config.unwrap_or_else(|problems| panic!("{problems}")))
}

fn policy(rest: &str) -> String {
    format!("[[rate_limit_policies]]\nname = \"p{}\"\n{rest}\n", fastrand::u64(..))
}

/// The names of the buckets of a request by the only key, at the gate or at the target `a`.
fn buckets(snapshot: &Snapshot, phase: Phase, sent: &str) -> Vec<String> {
    let caller = snapshot.api_keys().next().expect("a key");
    let Resolved { model, .. } = snapshot.resolve(sent).expect("a model");
    let target = snapshot.resolve("a").expect("a model").model;
    let subject = match phase {
        Phase::Gate => Subject::at_gate(caller, &model, sent, true),
        Phase::Target => Subject::at_target(caller, &model, sent, &target),
    };
    let mut scopes = Scopes::new();
    snapshot.policies.add(phase, &subject, || Duration::ZERO, &mut scopes);
    let found: Vec<_> =
        snapshot.policies.under(phase, &subject).into_iter().map(|(_, scope)| scope.id.clone()).collect();
    let ids: Vec<_> = scopes.iter().map(|scope| scope.id.clone()).collect();
    assert_eq!(ids, found, "the look-up finds what a search of all does");
    ids.iter().map(ToString::to_string).collect()
}

/// Whether conditions hold for a request to a model, at the gate for a direct one and at the target for a group.
fn holds(conditions: &str, sent: &str) -> bool {
    let snapshot = snapshot(&policy(&format!("limits = {{ rpm = 1 }}\nconditions = [{conditions}]")));
    let phase = if sent == "smart" { Phase::Target } else { Phase::Gate };
    let is_of_target = snapshot.policies.iter().any(|policy| policy.is_of_target);
    !buckets(&snapshot, if is_of_target { phase } else { Phase::Gate }, sent).is_empty()
}

fn leaf(dimension: &str, operator: &str, value: &str, more: &str) -> String {
    format!("{{ dimension = \"{dimension}\", operator = \"{operator}\", value = {value}{more} }}")
}

#[test]
fn each_operator_holds_for_what_it_says() {
    for (dimension, operator, value, sent, expected) in [
        ("team", "==", "\"red\"", "a", true),
        ("team", "==", "\"re\"", "a", false),
        ("team", "~=", "\"red\"", "a", false),
        ("team", "~=", "\"blue\"", "a", true),
        ("team", "in", "[\"blue\", \"red\"]", "a", true),
        ("team", "in", "[\"blue\"]", "a", false),
        ("api_key", "==", "\"k\"", "a", true),
        ("member", "==", "\"a:d=a%\"", "a", true),
        ("model", "==", "\"a\"", "a", true),
        ("model", "==", "\"smart\"", "a", false),
        ("model", "==", "\"a\"", "smart", true),
        ("model", "in", "[\"smart\"]", "smart", true),
        ("model", "~=", "\"smart\"", "smart", false),
        ("model", "~=", "\"a\"", "smart", false),
        ("model", "~=", "\"open/*\"", "smart", true),
        ("model_name", "==", "\"open/gpt\"", "open/gpt", true),
        ("model_name", "==", "\"open/*\"", "open/gpt", true),
        ("model_name", "~~", "\"^open/G\"", "open/gpt", false),
        ("model_name", "~*", "\"^open/G\"", "open/gpt", true),
        ("model_name", "~~", "\"^sm\"", "smart", true),
        ("model_name", "~~", "\"^a$\"", "smart", true),
        ("provider", "==", "\"mock\"", "smart", true),
        ("provider", "~~", "\"oc\"", "a", true),
        ("provider", "in", "[\"openai\"]", "a", false),
    ] {
        let condition = leaf(dimension, operator, value, "");
        assert_eq!(holds(&condition, sent), expected, "{condition} of {sent}");
        let negated = leaf(dimension, operator, value, ", negate = true");
        assert_eq!(holds(&negated, sent), !expected, "{negated} of {sent}");
    }
}

#[test]
fn groups_join_and_negate_what_is_in_them() {
    let (yes, no) = (leaf("team", "==", "\"red\"", ""), leaf("team", "==", "\"blue\"", ""));
    let group = |logic: &str, inside: &str, more: &str| {
        format!("{{ logic = \"{logic}\", children = [{inside}]{more} }}")
    };
    let either = format!("{yes}, {no}");
    for (conditions, expected) in [
        (String::new(), true),
        (either.clone(), false),
        (group("or", &either, ""), true),
        (group("and", &either, ""), false),
        (group("and", &either, ", negate = true"), true),
        (group("or", &no, ""), false),
        (group("or", &group("and", &yes, ", negate = true"), ", negate = true"), true),
        (format!("{yes}, {}", group("or", &format!("{no}, {}", group("and", &yes, "")), "")), true),
    ] {
        assert_eq!(holds(&conditions, "a"), expected, "{conditions}");
    }
}

#[test]
fn a_bucket_is_named_after_the_policy_and_what_it_counts_apart() {
    let snapshot = snapshot(
        &[
            policy("scope = \"team\"\nscope_ref = \"red\"\nwindow = \"day\"\nmax_requests = 1"),
            policy("scope = \"team_member\"\nscope_ref = \"red\"\nwindow = \"day\"\nmax_requests = 1"),
            policy("limits = { rpm = 1 }"),
            policy("limits = { rpm = 1 }\ngroup_by = [\"provider\", \"model\", \"api_key\", \"member\", \"team\"]"),
        ]
        .concat(),
    );
    let id = |name: &str| snapshot.resolve(name).expect("a model").model.id.to_string();
    let key = snapshot.api_keys().next().expect("a key").id.clone();
    let of: Vec<_> = snapshot.policies.iter().map(|policy| policy.label.id.clone()).collect();
    let gate = [
        format!("policy:team:red:{}", of[0]),
        format!("policy:team_member:red:{}:a%3Ad%3Da%25", of[1]),
        format!("policy:v2:{}", of[2]),
    ];
    let last = format!(
        "policy:v2:{}:team=red:member=a%3Ad%3Da%25:api_key={key}:model={}:provider=mock",
        of[3],
        id("a")
    );
    assert_eq!(buckets(&snapshot, Phase::Gate, "a"), [&gate[..], std::slice::from_ref(&last)].concat());
    assert_eq!(buckets(&snapshot, Phase::Gate, "smart"), gate);
    assert_eq!(buckets(&snapshot, Phase::Target, "smart"), [last]);
    let caller = snapshot.api_keys().next().expect("a key");
    let model = snapshot.resolve("a").expect("a model").model;
    let subject = Subject::at_gate(caller, &model, "a", true);
    for (policy, scope) in snapshot.policies.under(Phase::Gate, &subject) {
        assert_eq!(scope.layer, Layer::Policy(policy.label.clone()));
        assert_eq!(scope.limit, policy.limit);
    }
}

#[test]
fn the_classic_ones_are_asked_first_and_a_policy_once() {
    let snapshot = snapshot(
        &[
            policy("limits = { rpm = 1 }\nconditions = [{ dimension = \"model\", operator = \"in\", value = [\"a\", \"smart\", \"a\"] }]"),
            policy("scope = \"api_key\"\nscope_ref = \"k\"\nwindow = \"day\"\nmax_requests = 1"),
            policy("scope = \"model\"\nscope_ref = \"smart\"\nwindow = \"day\"\nmax_requests = 1"),
            policy("scope = \"model\"\nscope_ref = \"a\"\nwindow = \"day\"\nmax_requests = 1"),
        ]
        .concat(),
    );
    let kinds = |phase, sent| -> Vec<String> {
        let ids = buckets(&snapshot, phase, sent);
        ids.iter().map(|id| id.split(':').nth(1).expect("a kind").to_owned()).collect()
    };
    assert_eq!(kinds(Phase::Gate, "a"), ["api_key", "model", "v2"]);
    assert_eq!(kinds(Phase::Gate, "smart"), ["api_key", "model"]);
    assert_eq!(kinds(Phase::Target, "smart"), ["model", "v2"]);
}

#[test]
fn a_request_that_names_no_model_is_for_none() {
    let snapshot = snapshot(
        &[
            policy("scope = \"model\"\nscope_ref = \"a\"\nwindow = \"day\"\nmax_requests = 1"),
            policy("limits = { rpm = 1 }\ngroup_by = [\"model\"]"),
            policy("limits = { rpm = 1 }\ngroup_by = [\"provider\"]"),
        ]
        .concat(),
    );
    let caller = snapshot.api_keys().next().expect("a key");
    let lender = snapshot.resolve("a").expect("a model").model;
    let subject = Subject::at_gate(caller, &lender, "a", false);
    let mut scopes = Scopes::new();
    snapshot.policies.add(Phase::Gate, &subject, || Duration::ZERO, &mut scopes);
    assert_eq!(scopes.len(), 1);
    assert!(scopes[0].id.ends_with(":provider=mock"), "{}", scopes[0].id);
}

#[test]
fn a_suspended_policy_is_left_out_for_as_long_as_it_is() {
    let thursdays =
        "schedules = [{ days_of_week = [\"thu\"], start_time = \"00:00\", end_time = \"12:00\" }]";
    let snapshot = snapshot(&policy(&format!("limits = {{ rpm = 1 }}\n{thursdays}")));
    let caller = snapshot.api_keys().next().expect("a key");
    let model = snapshot.resolve("a").expect("a model").model;
    let subject = Subject::at_gate(caller, &model, "a", true);
    // The Unix epoch is a Thursday.
    for (hours, count) in [(0, 0), (11, 0), (12, 1), (24, 1), (7 * 24, 0)] {
        let mut scopes = Scopes::new();
        let unix = || Duration::from_secs(hours * 3_600);
        snapshot.policies.add(Phase::Gate, &subject, unix, &mut scopes);
        assert_eq!(scopes.len(), count, "{hours} hours");
    }
}

#[test]
fn policies_for_others_are_not_looked_at() {
    let others = (0..500).map(|number| match number % 3 {
        0 => policy(&format!(
            "scope = \"team\"\nscope_ref = \"t{number}\"\nwindow = \"day\"\nmax_requests = 1"
        )),
        1 => policy(&format!(
            "limits = {{ rpm = 1 }}\nconditions = [{}]",
            leaf("member", "==", &format!("\"u{number}\""), "")
        )),
        _ => policy(&format!(
            "limits = {{ rpm = 1 }}\nconditions = [{}, {{ logic = \"and\", children = [{}] }}]",
            leaf("provider", "~~", "\".\"", ""),
            leaf("model", "in", "[\"open/*\"]", "")
        )),
    });
    let own = [
        policy("limits = { rpm = 1 }"),
        policy(&format!(
            "limits = {{ rpm = 1 }}\nconditions = [{}]",
            leaf("team", "in", "[\"x\", \"red\"]", "")
        )),
        policy(&format!(
            "limits = {{ rpm = 1 }}\nconditions = [{}]",
            leaf("team", "==", "\"x\"", ", negate = true")
        )),
    ];
    let snapshot = snapshot(&others.chain(own).collect::<String>());
    let caller = snapshot.api_keys().next().expect("a key");
    let model = snapshot.resolve("a").expect("a model").model;
    let subject = Subject::at_gate(caller, &model, "a", true);
    assert_eq!(snapshot.policies.iter().count(), 503);
    assert_eq!(snapshot.policies.candidates(&subject).len(), 3);
    assert_eq!(buckets(&snapshot, Phase::Gate, "a").len(), 3);
}
