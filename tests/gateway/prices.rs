//! What requests cost: by the shipped table and by `cost`; tokens, sound, images and speech; and at the most.

use crate::harness::*;

/// A model of the provider's, under whatever name.
fn own(name: &str, upstream: &str, more: &str) -> String {
    format!(
        "[[models]]\ndisplay_name = \"{name}\"\nprovider_key = \"up\"\nmodel_name = \"{upstream}\"\n{more}\n"
    )
}

fn start(upstream: &Upstream, more: &str) -> Gateway {
    gateway_over(upstream, &(more.to_owned() + &budget("all", "scope = \"org\"", "1000", "")))
}

fn spent(gateway: &Gateway) -> String {
    gateway.settled();
    let spend = gateway.admin().ask("GET", "/admin/v1/spend?scope=org", "").expect(200).json();
    spend["budgets"][0]["spent_usd"].as_str().expect("money").to_owned()
}

/// A form with a file and these fields.
fn form(file: (&str, &[u8]), fields: &[(&str, &str)]) -> Vec<u8> {
    let mut body =
        format!("--b\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"a\"\r\n\r\n", file.0)
            .into_bytes();
    body.extend_from_slice(file.1);
    for (name, value) in fields {
        body.extend(
            format!("\r\n--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}").bytes(),
        );
    }
    body.extend_from_slice(b"\r\n--b--\r\n");
    body
}

fn post_form(gateway: &Gateway, path: &str, body: &[u8]) -> Response {
    gateway.send("POST", path, "sk-test", &[("content-type", "multipart/form-data; boundary=b")], body)
}

/// So many seconds of silence at 8,000 samples of one byte.
fn wav(seconds: u32) -> Vec<u8> {
    let size = 8_000 * seconds;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + size).to_le_bytes());
    file.extend(b"WAVEfmt ");
    for number in [16, 1 | (1 << 16), 8_000, 8_000, 1 | (8 << 16)] {
        file.extend(u32::to_le_bytes(number));
    }
    file.extend(b"data");
    file.extend(size.to_le_bytes());
    file.resize(file.len() + size as usize, 0x80);
    file
}

#[test]
fn models_without_a_cost_are_priced_by_the_table_and_wildcards_by_the_model_that_was_meant() {
    let upstream = Upstream::always(Answer::json(200, &completion("hello", 1_000_000, 100_000)));
    let models = own("cheap", "gpt-4o-mini-2024-07-18", "") + &own("any/*", "*", "");
    let gateway = start(&upstream, &models);
    gateway.chat(&chat_body("cheap", "")).expect(200);
    assert_eq!(spent(&gateway), "0.21", "0.15 + 0.1 x 0.60");
    gateway.chat(&chat_body("any/gpt-4o-mini", "")).expect(200);
    assert_eq!(spent(&gateway), "0.42");
    gateway.chat(&chat_body("any/gpt-4.1-nano", "")).expect(200);
    assert_eq!(spent(&gateway), "0.56", "0.10 + 0.1 x 0.40");
    let error = gateway.chat(&chat_body("any/who-knows", "")).expect(429).error();
    assert!(error["message"].as_str().expect("words").contains("price"), "{error}");
    assert_eq!(upstream.count(), 3);
}

#[test]
fn a_cost_replaces_the_row_of_the_table() {
    let upstream = Upstream::always(Answer::json(200, &completion("hello", 1_000, 0)));
    let cost = "cost = { input_per_1k = \"0.5\", output_per_1k = 0 }";
    let gateway = start(&upstream, &own("mine", "gpt-4o", cost));
    gateway.chat(&chat_body("mine", "")).expect(200);
    assert_eq!(spent(&gateway), "0.50");
}

#[test]
fn sound_is_charged_for_by_the_second_that_the_provider_or_the_file_tells() {
    let told = Answer::json(200, r#"{"text":"hi","usage":{"type":"duration","seconds":90}}"#);
    let silent = Answer::json(200, r#"{"text":"hi"}"#);
    let text = Answer::with_headers(200, &[("content-type", "text/plain")], "hi");
    let upstream = Upstream::in_turn(vec![told, silent, text]);
    let usage = UsageFile::new();
    let gateway = start(&upstream, &(usage.settings() + &own("ear", "whisper-1", "")));
    let body = form(("file", &wav(30)), &[("model", "ear")]);
    post_form(&gateway, "/v1/audio/transcriptions", &body).expect(200);
    assert_eq!(spent(&gateway), "0.009", "90 seconds at 0.006 a minute");
    post_form(&gateway, "/v1/audio/translations", &body).expect(200);
    assert_eq!(spent(&gateway), "0.012", "30 seconds of the file");
    post_form(&gateway, "/v1/audio/transcriptions", &body).expect(200);
    assert_eq!(spent(&gateway), "0.015");
    let records = usage.wait_for(&gateway, 3);
    let mut lengths: Vec<_> =
        records.iter().map(|record| record["audio_duration_seconds"].as_f64()).collect();
    // Every thread writes its own, when it comes to it.
    lengths.sort_by(|one, other| one.partial_cmp(other).expect("numbers"));
    assert_eq!(lengths, [Some(30.0), Some(30.0), Some(90.0)]);
}

#[test]
fn images_are_charged_for_by_those_that_come_and_speech_by_the_characters_that_are_sent() {
    let two = Answer::json(200, r#"{"created":1,"data":[{"b64_json":"aaaa"},{"b64_json":"bbbb"}]}"#);
    let upstream =
        Upstream::in_turn(vec![two, Answer::with_headers(200, &[("content-type", "audio/mpeg")], "mp3")]);
    let cost =
        "cost = { input_per_1k = 0, output_per_1k = 0, per_image = \"0.04\", per_1k_characters = \"0.015\" }";
    let gateway = start(&upstream, &own("maker", "anything", cost));
    let body = r#"{"model":"maker","prompt":"a cat","n":4}"#;
    gateway.post_json("/v1/images/generations", "sk-test", body).expect(200);
    assert_eq!(spent(&gateway), "0.08", "four were asked for, and two came");
    let body = r#"{"model":"maker","input":"zw\u00f6lf \ud83d\ude00","voice":"alloy"}"#;
    gateway.post_json("/v1/audio/speech", "sk-test", body).expect(200);
    assert_eq!(spent(&gateway), "0.080105", "seven characters");
}

#[test]
fn a_worst_case_budget_refuses_what_has_no_bound_and_says_what_helps() {
    let upstream = Upstream::well();
    let cost = "cost = { input_per_1k = \"0.001\", output_per_1k = \"0.001\" }";
    let models = own("open", "unheard-of", cost)
        + &own("bound", "unheard-of", &format!("{cost}\nmax_output_tokens = 500"))
        + &own("known", "gpt-4o", "")
        + &budget("worst", "scope = \"org\"", "1", "worst_case = true");
    let gateway = gateway_over(&upstream, &models);
    let error = gateway.chat(&chat_body("open", "")).expect(400).error();
    assert_eq!((&error["type"], &error["param"]), (&"invalid_request_error".into(), &"max_tokens".into()));
    assert!(error["message"].as_str().expect("words").contains("max_tokens"), "{error}");
    gateway.chat(&chat_body("open", r#","max_tokens":100"#)).expect(200);
    gateway.chat(&chat_body("bound", "")).expect(200);
    gateway.chat(&chat_body("known", "")).expect(200);
    let searching = r#","max_tokens":100,"tools":[{"type": "web_search"}]"#;
    gateway.chat(&chat_body("open", searching)).expect(400);
    let stored = r#","max_tokens":100,"metadata":{"file_id":"f"}"#;
    gateway.chat(&chat_body("open", stored)).expect(400);
    gateway.chat(&chat_body("known", stored)).expect(200);
    gateway.settled();
    assert_eq!(upstream.count(), 4);
}

#[test]
fn a_worst_case_hold_grows_with_what_is_sent_and_asked_for() {
    let gate = Gate::default();
    let answer = Answer::default().wait(&gate).then(Answer::json(200, &completion("hello", 5, 7)));
    let upstream = Upstream::always(answer);
    let cost = "cost = { input_per_1k = \"0.001\", output_per_1k = \"0.002\" }";
    let models =
        own("m2", "unheard-of", cost) + &budget("worst", "scope = \"org\"", "10", "worst_case = true");
    let gateway = gateway_over(&upstream, &models);
    let mut connection = gateway.connect();
    let body = chat_body("m2", r#","max_tokens":100000,"n":3"#);
    connection.send(&request_text("POST", "/v1/chat/completions", "sk-test", &[], body.as_bytes()));
    upstream.wait_for_requests(1);
    // Every byte may be a token, and providers may add to a prompt; no answer is cut to what is likely.
    let most = body.len() as u64 + 2_048 + 2 * 3 * 100_000;
    assert_eq!(gateway.books().ledger.held.0, most);
    gate.open();
    connection.response().expect(200);
    gateway.settled();
}

#[test]
fn an_answer_is_held_for_by_what_is_usual_once_that_is_known() {
    let gate = Gate::default();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, number| match number {
        0 => Answer::json(200, &completion("hello", 5, 40)),
        _ => Answer::default().wait(&held).then(Answer::json(200, &completion("hello", 5, 40))),
    });
    let cost = "cost = { input_per_1k = 0, output_per_1k = \"0.001\" }";
    let gateway = start(&upstream, &own("m2", "unheard-of", cost));
    gateway.chat(&chat_body("m2", "")).expect(200);
    gateway.settled();
    let mut connection = gateway.connect();
    connection.send(&request_text(
        "POST",
        "/v1/chat/completions",
        "sk-test",
        &[],
        chat_body("m2", "").as_bytes(),
    ));
    upstream.wait_for_requests(2);
    assert_eq!(gateway.books().ledger.held.0, 40);
    gate.open();
    connection.response().expect(200);
    gateway.settled();
}
