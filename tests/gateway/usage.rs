//! What callers and administrators are told of limits and budgets.

use serde_json::json;

use crate::harness::*;

const PRICE: &str = "cost = { input_per_1k = 1, output_per_1k = 1 }";

fn gateway(upstream: &Upstream) -> Gateway {
    let config = provider_key("up", &upstream.url())
        + &model("priced", "up", PRICE)
        + &api_key(
            "sk-test",
            "\"*\"",
            "team_id = \"search\"\nuser_id = \"u-17\"\nrate_limit = { rps = 50, rpm = 60, tpm = 1000, tpd = 5000, concurrency = 4 }",
        )
        + &api_key("sk-other", "\"*\"", "")
        + &budget("company", "scope = \"org\"", "100", "alert_at = [0.0001]")
        + &budget("search", "scope = \"team\"\nscope_ref = \"search\"", "0.012", "worst_case = false")
        + &budget("ads", "scope = \"team\"\nscope_ref = \"ads\"", "2", "hard_stop = false");
    Gateway::start(&config)
}

#[test]
fn a_key_sees_its_own_limits_and_the_budgets_that_it_pays_into() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    away_from_the_turn_of_the_minute();
    gateway.chat(&chat_body("priced", "")).expect(200);
    gateway.settled();
    let usage = gateway.send("GET", "/v1/usage", "sk-test", &[], b"").expect(200).json();
    assert_eq!(usage["object"], "usage");
    let key = &usage["api_key"];
    assert_eq!(
        (&key["name"], &key["team_id"], &key["user_id"]),
        (&json!("sk-test"), &json!("search"), &json!("u-17"))
    );
    let limit = &usage["limits"][0];
    assert_eq!(limit["layer"], "api_key");
    let dimension = |name: &str| {
        let dimensions = limit["dimensions"].as_array().expect("dimensions");
        dimensions
            .iter()
            .find(|one| one["dimension"] == name)
            .unwrap_or_else(|| panic!("{name}: {limit}"))
            .clone()
    };
    let rpm = dimension("rpm");
    assert_eq!((&rpm["limit"], &rpm["used"], &rpm["remaining"]), (&json!(60), &json!(1), &json!(59)));
    assert!((1..=60).contains(&rpm["resets_in_seconds"].as_u64().expect("seconds")), "{rpm}");
    assert_eq!(dimension("tpm")["used"], 12);
    assert_eq!(dimension("tpd")["remaining"], 4988);
    let concurrency = dimension("concurrency");
    assert_eq!((&concurrency["used"], concurrency.get("resets_in_seconds")), (&json!(0), None));
    assert_eq!(dimension("rps").get("used"), None, "a steady rate is not counted");
    let budgets = usage["budgets"].as_array().expect("budgets");
    let names: Vec<_> = budgets.iter().map(|budget| budget["name"].clone()).collect();
    assert_eq!(names.len(), 2, "not the other team's: {names:?}");
    let own = budgets.iter().find(|budget| budget["name"] == "search").expect("the team's");
    assert_eq!(
        (&own["spent_usd"], &own["limit_usd"], &own["remaining_usd"]),
        (&json!("0.012"), &json!("0.012"), &json!("0.00"))
    );
    assert_eq!(
        (&own["scope"], &own["scope_ref"], &own["period"]),
        (&json!("team"), &json!("search"), &json!("day"))
    );
    assert!(own["resets_at"].as_str().expect("a time").ends_with("T00:00:00Z"), "{own}");
    let other = gateway.send("GET", "/v1/usage", "sk-other", &[], b"").expect(200).json();
    assert_eq!((&other["limits"], other["budgets"].as_array().map(Vec::len)), (&json!([]), Some(1)));
    gateway.send("GET", "/v1/usage", "sk-nobody", &[], b"").expect(401);
}

#[test]
fn asking_for_usage_uses_nothing() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    let ask = || gateway.send("GET", "/v1/usage", "sk-test", &[], b"").expect(200).json();
    ask();
    let again = ask();
    assert!(
        again["limits"][0]["dimensions"].as_array().expect("dimensions").iter().all(|one| one["used"] != 1)
    );
    assert_eq!(upstream.count(), 0);
}

#[test]
fn administrators_see_every_budget_or_those_that_they_ask_for() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    gateway.chat(&chat_body("priced", "")).expect(200);
    gateway.settled();
    let names = |query: &str| {
        let spend = gateway.admin().ask("GET", &format!("/admin/v1/spend{query}"), "").expect(200).json();
        let budgets = spend["budgets"].as_array().expect("budgets").clone();
        budgets
            .iter()
            .map(|budget| {
                format!(
                    "{}={}",
                    budget["name"].as_str().expect("a name"),
                    budget["spent_usd"].as_str().expect("money")
                )
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(names(""), ["ads=0.00", "company=0.012", "search=0.012"]);
    assert_eq!(names("?scope=team"), ["ads=0.00", "search=0.012"]);
    assert_eq!(names("?scope=team&scope_ref=ads"), ["ads=0.00"]);
    assert!(names("?scope=member").is_empty());
}

#[test]
fn refusals_and_alerts_of_budgets_are_counted() {
    let upstream = Upstream::well();
    let gateway = gateway(&upstream);
    gateway.chat(&chat_body("priced", "")).expect(200);
    gateway.settled();
    for _ in 0..2 {
        gateway.chat(&chat_body("priced", "")).expect(429);
    }
    let metrics = gateway.metrics();
    let refused =
        metrics.one("aisix_budget_rejections_total", &[("budget", "search"), ("scope", "team")]).value;
    let alerts =
        metrics.one("aisix_budget_alerts_total", &[("budget", "company"), ("threshold", "0.0001")]).value;
    assert_eq!((refused, alerts), (2.0, 1.0));
}

#[test]
fn a_key_sees_the_policies_that_go_by_who_calls() {
    let upstream = Upstream::well();
    let config = provider_key("up", &upstream.url())
        + &model("priced", "up", PRICE)
        + &api_key("sk-test", "\"*\"", "team_id = \"search\"")
        + &api_key("sk-other", "\"*\"", "team_id = \"ads\"")
        + r#"
[[rate_limit_policies]]
name = "each key of search"
conditions = [{ dimension = "team", operator = "==", value = "search" }]
group_by = ["api_key"]
limits = { rpd = 9 }
[[rate_limit_policies]]
name = "the model, whoever calls"
conditions = [{ dimension = "model_name", operator = "==", value = "priced" }]
limits = { rpd = 99 }
"#;
    let gateway = Gateway::start(&config);
    gateway.chat(&chat_body("priced", "")).expect(200);
    gateway.settled();
    let usage = gateway.send("GET", "/v1/usage", "sk-test", &[], b"").expect(200).json();
    let limits = usage["limits"].as_array().expect("limits");
    assert_eq!(limits.len(), 1, "{usage}");
    assert_eq!((&limits[0]["layer"], &limits[0]["policy"]), (&json!("policy"), &json!("each key of search")));
    assert_eq!(limits[0]["dimensions"][0]["remaining"], 8);
    let other = gateway.send("GET", "/v1/usage", "sk-other", &[], b"").expect(200).json();
    assert_eq!(other["limits"], json!([]), "another team");
}
