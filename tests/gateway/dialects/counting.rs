//! Tokens counted: by the provider where it can, by the gateway where not, and never paid for.

use super::*;

const MESSAGES: &str =
    r#"{"model":"m","system":"be kind","messages":[{"role":"user","content":"hello there, how are you?"}]}"#;
const CONTENTS: &str = r#"{"contents":[{"role":"user","parts":[{"text":"hello there, how are you?"}]}]}"#;

fn count(gateway: &Gateway, caller: Caller) -> (Response, u64) {
    let (path, body, name) = match caller {
        Caller::Gemini => ("/v1beta/models/m:countTokens", CONTENTS, "totalTokens"),
        _ => ("/v1/messages/count_tokens", MESSAGES, "input_tokens"),
    };
    let response = gateway.post_json(path, "sk-test", body).expect(200);
    let number = response.json()[name].as_u64().unwrap_or_else(|| panic!("{caller:?}: {response:?}"));
    (response, number)
}

#[test]
fn the_provider_counts_where_it_speaks_the_callers_dialect() {
    for (caller, provider, path, answer) in [
        (Caller::Messages, Provider::Anthropic, "/v1/messages/count_tokens", r#"{"input_tokens": 669}"#),
        (
            Caller::Gemini,
            Provider::Gemini,
            "/v1beta/models/upstream-m:countTokens",
            r#"{"totalTokens": 669,"promptTokensDetails": [{"modality": "TEXT","tokenCount": 669}]}"#,
        ),
    ] {
        let upstream = Upstream::always(Answer::json(200, answer));
        let usage = UsageFile::new();
        let gateway = provider.gateway(&upstream, &usage.settings());
        let (response, number) = count(&gateway, caller);
        assert_eq!((number, response.text().as_str()), (669, answer));
        assert_eq!(response.header("x-aisix-token-count"), None);
        assert_eq!(upstream.received()[0].path, path);
        let record = &usage.wait_for(&gateway, 1)[0];
        assert_eq!((&record["prompt_tokens"], &record["cost_micro_usd"]), (&0.into(), &0.into()));
    }
}

#[test]
fn the_gateway_counts_where_the_provider_does_not_and_says_so() {
    for (caller, provider) in [
        (Caller::Messages, Provider::OpenAi),
        (Caller::Messages, Provider::Gemini),
        (Caller::Gemini, Provider::OpenAi),
        (Caller::Gemini, Provider::Anthropic),
    ] {
        let upstream = Upstream::well();
        let usage = UsageFile::new();
        let gateway = provider.gateway(&upstream, &usage.settings());
        let (response, number) = count(&gateway, caller);
        // Seven words and signs, and what stands around them.
        assert!((7..=40).contains(&number), "{caller:?} {provider:?}: {number}");
        assert_eq!(response.header("x-aisix-token-count"), Some("estimated"), "{caller:?} {provider:?}");
        assert_eq!(upstream.count(), 0, "{caller:?} {provider:?}");
        let record = &usage.wait_for(&gateway, 1)[0];
        assert_eq!((&record["prompt_tokens"], &record["status_code"]), (&0.into(), &200.into()));
    }
}

#[test]
fn a_whole_request_can_be_counted_in_geminis_dialect() {
    let upstream = Upstream::well();
    let gateway = Provider::OpenAi.gateway(&upstream, "");
    let whole = format!(r#"{{"generateContentRequest":{{"model":"models/m",{}}}"#, &CONTENTS[1..]);
    let response = gateway.post_json("/v1beta/models/m:countTokens", "sk-test", &whole).expect(200);
    let plain = gateway.post_json("/v1beta/models/m:countTokens", "sk-test", CONTENTS).expect(200);
    assert_eq!(response.json(), plain.json());
}

#[test]
fn counting_takes_no_tokens_from_a_limit() {
    let upstream = Upstream::well();
    let gateway =
        Provider::OpenAi.gateway(&upstream, &api_key("sk-poor", "\"*\"", "rate_limit = { tpm = 1000 }"));
    away_from_the_turn_of_the_minute();
    for _ in 0..3 {
        let response = gateway.post_json("/v1/messages/count_tokens", "sk-poor", MESSAGES).expect(200);
        assert_eq!(response.header("x-ratelimit-remaining-tokens"), Some("1000"));
    }
    gateway.settled();
}
