//! Money that nobody sees: answers that are fetched later, tiers that are dearer, and what a refusal says of it.

use crate::harness::*;

const RESPONSES: &str = "/v1/responses";
/// A dollar per thousand tokens.
const PRICE: &str = "cost = { input_per_1k = 1, output_per_1k = 1 }";
const QUEUED: &str = r#"{"id":"resp_1","object":"response","created_at":1,"status":"queued","background":true,"model":"m",
    "output":[],"usage":null,"error":null,"incomplete_details":null}"#;

fn spent(gateway: &Gateway) -> String {
    gateway.settled();
    let spend = gateway.admin().ask("GET", "/admin/v1/spend", "").expect(200).json();
    spend["budgets"][0]["spent_usd"].as_str().expect("money").to_owned()
}

#[test]
fn a_background_response_is_refused_where_a_hard_budget_has_to_see_its_cost() {
    let upstream = Upstream::always(Answer::json(200, QUEUED));
    let config = model("priced", "up", PRICE) + &budget("b", "scope = \"org\"", "1000", "");
    let gateway = gateway_over(&upstream, &config);
    let body = r#"{"model":"priced","input":"hi","background":true,"max_output_tokens":50}"#;
    let error = gateway.post_json(RESPONSES, "sk-test", body).expect(400).error();
    assert_eq!((&error["type"], &error["param"]), (&"invalid_request_error".into(), &"background".into()));
    assert_eq!(upstream.count(), 0);
    assert_eq!(spent(&gateway), "0.00");
}

#[test]
fn a_background_response_of_a_target_is_refused_by_the_hard_budget_of_its_key() {
    let upstream = Upstream::always(Answer::json(200, QUEUED));
    let config = model("priced", "up", PRICE)
        + &routing("group", &["priced"], "")
        + &budget("b", "scope = \"provider_key\"\nscope_ref = \"up\"", "1000", "");
    let gateway = gateway_over(&upstream, &config);
    let body = r#"{"model":"group","input":"hi","background":true}"#;
    let error = gateway.post_json(RESPONSES, "sk-test", body).expect(400).error();
    assert_eq!(error["param"], "background");
    assert_eq!(upstream.count(), 0);
}

#[test]
fn a_background_response_under_a_soft_budget_is_charged_as_it_was_held_for() {
    let upstream = Upstream::always(Answer::json(200, QUEUED));
    let config = model("priced", "up", PRICE) + &budget("b", "scope = \"org\"", "1000", "hard_stop = false");
    let gateway = gateway_over(&upstream, &config);
    let body = r#"{"model":"priced","input":"hi","background":true,"max_output_tokens":50}"#;
    gateway.post_json(RESPONSES, "sk-test", body).expect(200);
    let spent = spent(&gateway).parse::<f64>().expect("a number");
    assert!((0.05..0.10).contains(&spent), "{spent}: fifty tokens and a few");
}
