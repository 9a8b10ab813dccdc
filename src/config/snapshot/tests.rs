//! What the request path finds in a snapshot.

use std::time::Duration;

use super::*;
use crate::config::{secret::KeyHash, tests::parse_plain};

mod routing;

const BASE: &str = r#"
[[provider_keys]]
display_name = "mock"
provider = "mock"
"#;

fn snapshot(rest: &str) -> Snapshot {
    let text = format!("{BASE}{rest}");
    Snapshot::build(parse_plain(&text).unwrap_or_else(|problems| panic!("{problems}")))
}

fn model(name: &str, upstream: &str) -> String {
    format!("[[models]]\ndisplay_name = \"{name}\"\nprovider_key = \"mock\"\nmodel_name = \"{upstream}\"\n")
}

fn direct(model: &Model) -> &Direct {
    match &model.dispatch {
        Dispatch::Direct(direct) => direct,
        Dispatch::Routing(_) => panic!("{} is a routing model", model.name),
    }
}

#[test]
fn an_exact_name_comes_first_then_the_wildcard_with_the_longest_literal_part() {
    let text = [
        model("*", "any-*"),
        model("o/*", "short-*"),
        model("o/gpt-*", "long-*"),
        model("*-mini", "tail"),
        model("o/gpt-4", "exact"),
    ];
    let snapshot = snapshot(&text.concat());
    let cases = [
        ("o/gpt-4", "o/gpt-4", "exact"),
        ("o/gpt-5", "o/gpt-*", "long-5"),
        ("o/gpt-", "o/gpt-*", "long-"),
        ("o/gpt-5-mini", "o/gpt-*", "long-5-mini"),
        ("o/other", "o/*", "short-other"),
        ("x-mini", "*-mini", "tail"),
        ("x", "*", "any-x"),
    ];
    for (name, row, upstream) in cases {
        let resolved = snapshot.resolve(name).unwrap();
        assert_eq!(&*resolved.model.name, row, "{name}");
        let capture = resolved.capture.as_deref();
        assert_eq!(direct(&resolved.model).upstream_model_for(capture), upstream, "{name}");
    }
    assert_eq!(snapshot.models().filter(|model| model.is_wildcard()).count(), 4);
}

#[test]
fn a_name_that_nothing_stands_for_resolves_to_nothing() {
    assert!(snapshot(&model("a", "m")).resolve("b").is_none());
}

#[test]
fn ids_follow_from_kind_and_name() {
    let snapshot = snapshot(&model("gpt", "m"));
    let gpt = snapshot.resolve("gpt").unwrap().model;
    // UUIDv5 of "models/gpt" in the namespace of the specification, computed with another implementation.
    assert_eq!(&*gpt.id, "47a905e4-f780-55c3-a2ee-1a3ec4c23cbd");
    assert_eq!(gpt.group.id, gpt.id);
    assert_eq!(gpt.group.members[0].target.id, gpt.id);
}

#[test]
fn time_limits_keep_what_zero_means() {
    let snapshot = snapshot(
        &[
            model("a", "m"),
            model("b", "m") + "timeout = 0\nstream_timeout = 0\nttft_timeout = 0\ntotal_timeout = 0\n",
            model("c", "m") + "timeout = 5\nstream_timeout = 7\nttft_timeout = 8\ntotal_timeout = 9\n",
        ]
        .concat(),
    );
    let limits = |name: &str| {
        let model = snapshot.resolve(name).unwrap().model;
        [model.timeout, model.stream_timeout, model.ttft_timeout, model.total_timeout]
    };
    use TimeoutRule::{Inherit, None};
    assert_eq!(limits("a"), [Inherit; 4]);
    assert_eq!(limits("b"), [None, Inherit, Inherit, None]);
    let after = |millis| TimeoutRule::After(Duration::from_millis(millis));
    assert_eq!(limits("c"), [after(5), after(7), after(8), after(9)]);
}

#[test]
fn a_routing_model_holds_its_targets_in_order() {
    let routing = "[[models]]\ndisplay_name = \"r\"\nrouting = { targets = [{ model = \"b\" }, { model = \"a\" }], \
                   max_fallbacks = 1, retry_on_429 = true, fallback_on_statuses = [404] }\n";
    let snapshot = snapshot(&[routing, &model("a", "m"), &model("b", "m")].concat());
    let names: Vec<&str> = snapshot.models().map(|model| &*model.name).collect();
    assert_eq!(names, ["r", "a", "b"]);
    let model = snapshot.resolve("r").unwrap().model;
    let Dispatch::Routing(routing) = &model.dispatch else { panic!("r is a routing model") };
    let members: Vec<&str> = routing.members.iter().map(|member| &*member.name).collect();
    assert_eq!(members, ["b", "a"]);
    let targets: Vec<&Arc<str>> = model.group.members.iter().map(|member| &member.target.id).collect();
    assert_eq!(targets, routing.members.iter().map(|member| &member.id).collect::<Vec<_>>());
    assert!(Arc::ptr_eq(&model.group.members[0].target, &routing.members[0].group.members[0].target));
}

#[test]
fn a_key_falls_under_the_budgets_of_everybody_its_team_its_member_and_its_own() {
    let budget = |name: &str, scope: &str| {
        format!("[[budgets]]\nname = \"{name}\"\n{scope}\nlimit_usd = 5\nperiod = \"month\"\n")
    };
    let text = [
        "[[api_keys]]\ndisplay_name = \"k\"\nkey = \"s1\"\nallowed_models = [\"m*\"]\nteam_id = \"t\"\nuser_id = \"u\"\n\
         expires_at = 2030-01-01T00:00:00Z\nrate_limit = { rpm = 3 }\n"
            .to_owned(),
        "[[api_keys]]\ndisplay_name = \"other\"\nkey = \"s2\"\nallowed_models = []\nrate_limit = {}\n".to_owned(),
        model("m", "m"),
        budget("org", "scope = \"org\""),
        budget("team", "scope = \"team\"\nscope_ref = \"t\""),
        budget("member", "scope = \"member\"\nscope_ref = \"u\""),
        budget("key", "scope = \"api_key\"\nscope_ref = \"k\""),
        budget("model", "scope = \"model\"\nscope_ref = \"m\""),
        budget("provider", "scope = \"provider_key\"\nscope_ref = \"mock\""),
    ];
    let snapshot = snapshot(&text.concat());
    let names = |budgets: &[Arc<aisix_actors::budget_ledger::Budget>]| -> Vec<String> {
        budgets.iter().map(|budget| budget.name.to_string()).collect()
    };
    let key = snapshot.api_key(&KeyHash::of("s1").0, Duration::ZERO).unwrap();
    assert_eq!(names(&key.budgets), ["org", "team", "member", "key"]);
    let scope = key.rate_limit.as_ref().unwrap();
    assert_eq!((&scope.id, scope.limit.rpm), (&key.id, Some(3)));
    let last = Duration::from_secs(1_893_456_000);
    assert!(!key.is_expired(last) && key.is_expired(last + Duration::from_nanos(1)));
    assert!(key.allows("m") && !key.allows("x"));
    let other = snapshot.api_key(&KeyHash::of("s2").0, Duration::ZERO).unwrap();
    assert_eq!(names(&other.budgets), ["org"]);
    assert!(other.rate_limit.is_none() && !other.allows("m"));
    let model = snapshot.resolve("m").unwrap().model;
    assert_eq!(names(&model.budgets), ["model"]);
    assert_eq!(names(&direct(&model).provider_key_budgets), ["provider"]);
}

#[test]
fn the_first_enabled_cache_policy_that_applies_counts() {
    let policy = |name: &str, rest: &str| format!("[[cache_policies]]\nname = \"{name}\"\n{rest}\n");
    let text = [
        model("a", "m"),
        model("w/*", "*"),
        "[[api_keys]]\ndisplay_name = \"k\"\nkey = \"s1\"\nallowed_models = []\n".into(),
        "[[api_keys]]\ndisplay_name = \"l\"\nkey = \"s2\"\nallowed_models = []\n".into(),
        policy("off", "enabled = false"),
        policy("a", "applies_to = \"model:a\"\nscope = \"env\"\nttl_seconds = 9"),
        policy("w", "applies_to = \"model:w/x\""),
        policy("k", "applies_to = \"api_key:k\"\npurge_generation = 2"),
    ];
    let snapshot = snapshot(&text.concat());
    let chosen = |model: &str, key: &str| {
        let key = snapshot.api_key(&KeyHash::of(key).0, Duration::ZERO).unwrap();
        snapshot.cache_policy(model, key).map(|policy| policy.name.to_string())
    };
    assert_eq!(chosen("a", "s1").as_deref(), Some("a"));
    assert_eq!(chosen("w/x", "s2").as_deref(), Some("w"));
    assert_eq!(chosen("w/y", "s1").as_deref(), Some("k"));
    assert_eq!(chosen("w/y", "s2"), None);
}

#[test]
fn a_configuration_that_serves_nobody_says_so() {
    assert_eq!(snapshot("").warnings().len(), 2);
    let key = "[[api_keys]]\ndisplay_name = \"k\"\nkey = \"sk\"\nallowed_models = []\n";
    assert!(snapshot(&(model("m", "m") + key)).warnings().is_empty());
}

#[test]
fn keys_that_are_the_same_as_before_are_shared() {
    let key = |name: &str, more: &str| {
        format!("[[api_keys]]\ndisplay_name = \"{name}\"\nkey = \"{name}\"\nallowed_models = []\n{more}\n")
    };
    let before = snapshot(&(key("same", "") + &key("other", "disabled = true")));
    let mut after = snapshot(&(key("same", "") + &key("other", "") + &key("new", "")));
    after.share_with(&before);
    let found =
        |snapshot: &Snapshot, name| snapshot.api_key(&KeyHash::of(name).0, Duration::ZERO).cloned().unwrap();
    assert!(Arc::ptr_eq(&found(&before, "same"), &found(&after, "same")));
    assert!(!found(&after, "other").disabled, "what changed is new");
    assert_eq!(&*found(&after, "new").name, "new");
}

#[test]
fn what_money_and_limits_do_not_do_is_warned_of() {
    let of = |kind: &str, rest: &str| format!("[[{kind}]]\n{rest}\n");
    let text = model("unpriced", "who-knows")
        + &of(
            "api_keys",
            "display_name = \"k\"\nkey = \"sk-1\"\nallowed_models = [\"*\"]\nteam_id = \"search\"",
        )
        + &of("budgets", "name = \"o\"\nscope = \"org\"\nlimit_usd = 1\nperiod = \"day\"")
        + &of(
            "budgets",
            "name = \"t\"\nscope = \"team\"\nscope_ref = \"serch\"\nlimit_usd = 1\nperiod = \"day\"",
        )
        + &of(
            "rate_limit_policies",
            "name = \"p\"\nlimits = { rpm = 1 }\nconditions = [{ dimension = \"model_name\", operator = \"==\", value = \"unprice\" }]",
        )
        + &of("cache_policies", "name = \"all\"")
        + &of("cache_policies", "name = \"behind\"\napplies_to = \"model:unpriced\"");
    let warnings = snapshot(&text).warnings();
    assert_eq!(
        warnings,
        [
            "the model \"unpriced\" has no price, so the budget \"o\" refuses it: set cost, or budget.unpriced = \"allow\"",
            "the budget \"t\" counts nothing: no API key has the team_id \"serch\" (did you mean \"search\"?)",
            "the rate limit policy \"p\": no model is called \"unprice\" (did you mean \"unpriced\"?)",
            "the cache policy \"behind\" is never reached: \"all\" stands before it and is for all requests",
        ]
    );
    let many: String = (0..7).map(|number| model(&format!("m{number}"), "who-knows")).collect();
    let warnings = snapshot(&(text + &many)).warnings();
    assert!(
        warnings.contains(&"and 3 more models have no price under a hard budget".to_owned()),
        "{warnings:?}"
    );
}
