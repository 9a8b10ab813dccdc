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

#[test]
fn a_worst_case_budget_refuses_a_tier_whose_price_nobody_knows() {
    let upstream = Upstream::well();
    let config = model("priced", "up", PRICE)
        + &model("free", "up", "cost = { input_per_1k = 0, output_per_1k = 0 }")
        + &budget("b", "scope = \"org\"", "1000", "worst_case = true");
    let gateway = gateway_over(&upstream, &config);
    let asked =
        |model: &str, more: &str| gateway.chat(&chat_body(model, &format!(r#","max_tokens":50,{more}"#)));
    for (member, more) in [
        ("service_tier", r#""service_tier":"priority""#),
        ("service_tier", r#""service_tier":"pri\u006frity""#),
        ("speed", r#""speed":"fast""#),
        ("inference_geo", r#""inference_geo":"us""#),
    ] {
        let error = asked("priced", more).expect(400).error();
        assert_eq!(error["param"], member, "{error}");
        assert!(error["message"].as_str().expect("words").contains(member), "{error}");
    }
    for tier in [r#""default""#, r#""flex""#, r#""auto""#, "null"] {
        asked("priced", &format!(r#""service_tier":{tier}"#)).expect(200);
    }
    asked("free", r#""service_tier":"priority""#).expect(200);
    gateway.settled();
    assert_eq!(upstream.count(), 5);
}

#[test]
fn a_refusal_for_want_of_room_for_the_most_says_what_is_wanted_and_what_is_left() {
    let upstream = Upstream::well();
    let config = model("priced", "up", PRICE) + &budget("b", "scope = \"org\"", "1000", "worst_case = true");
    let gateway = gateway_over(&upstream, &config);
    gateway.chat(&chat_body("priced", r#","max_tokens":50"#)).expect(200);
    gateway.settled();
    let refusal = gateway.chat(&chat_body("priced", r#","max_tokens":2000000"#)).expect(429);
    let message = refusal.error_message();
    assert!(message.starts_with("this request can cost up to $2002."), "{message}");
    assert!(message.contains("and $999.988 is left in the budget \"b\""), "{message}");
    assert!(message.contains("set or lower max_tokens") && !message.contains("set aside"), "{message}");
    assert_eq!(refusal.header("retry-after"), None, "waiting does not help: {refusal:?}");
    gateway.chat(&chat_body("priced", r#","max_tokens":50"#)).expect(200);
    gateway.settled();
}

/// Ten seconds at 8,000 samples of one byte, whose head says that there are so many bytes.
fn wav(told: u32) -> Vec<u8> {
    let mut file = b"RIFF".to_vec();
    file.extend(told.to_le_bytes());
    file.extend(b"WAVEfmt ");
    for number in [16, 1 | (1 << 16), 8_000, 8_000, 1 | (8 << 16)] {
        file.extend(u32::to_le_bytes(number));
    }
    file.extend(b"data");
    file.extend(told.to_le_bytes());
    file.resize(file.len() + 80_000, 0x80);
    file
}

#[test]
fn sound_is_charged_for_by_its_bytes_whatever_its_head_says() {
    let upstream = Upstream::always(Answer::json(200, r#"{"text":"hi"}"#));
    let hour = "cost = { input_per_1k = 0, output_per_1k = 0, per_audio_minute = \"0.6\" }";
    let gateway =
        gateway_over(&upstream, &(model("ear", "up", hour) + &budget("b", "scope = \"org\"", "10", "")));
    for (count, told) in [(1, 0), (2, u32::MAX), (3, 8), (4, 80_000)] {
        let mut body =
            b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n".to_vec();
        body.extend(wav(told));
        body.extend(b"\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\near\r\n--b--\r\n");
        let headers = [("content-type", "multipart/form-data; boundary=b")];
        gateway.send("POST", "/v1/audio/transcriptions", "sk-test", &headers, &body).expect(200);
        assert_eq!(spent(&gateway), format!("0.{count}0"), "ten seconds each, told {told}");
    }
}

#[test]
fn spend_is_found_by_name_or_id_and_what_is_no_filter_is_refused() {
    let upstream = Upstream::well();
    let scoped = |name: &str, scope: &str, reference: &str| {
        budget(name, &format!("scope = \"{scope}\"\nscope_ref = \"{reference}\""), "10", "")
    };
    let config = model("priced", "up", PRICE)
        + &scoped("k", "api_key", "sk-test")
        + &scoped("m", "model", "priced")
        + &scoped("p", "provider_key", "up");
    let gateway = gateway_over(&upstream, &config);
    for (scope, name, budget) in
        [("api_key", "sk-test", "k"), ("model", "priced", "m"), ("provider_key", "up", "p")]
    {
        let ask = |asked: &str| {
            let path = format!("/admin/v1/spend?scope={scope}&scope_ref={asked}");
            gateway.admin().ask("GET", &path, "").expect(200).json()["budgets"].clone()
        };
        let found = ask(name);
        assert_eq!((&found[0]["name"], &found[0]["scope_name"]), (&budget.into(), &name.into()), "{found}");
        assert_eq!(found.as_array().map(Vec::len), Some(1));
        assert_eq!(ask(found[0]["scope_ref"].as_str().expect("an id")), found, "by its id");
    }
    for (query, words) in
        [("?scope=api_keys", "did you mean \"api_key\""), ("?scoperef=priced", "did you mean \"scope_ref\"")]
    {
        let refusal = gateway.admin().ask("GET", &format!("/admin/v1/spend{query}"), "").expect(400);
        assert!(refusal.text().contains(&words.replace('"', "\\\"")), "{}", refusal.text());
    }
}
