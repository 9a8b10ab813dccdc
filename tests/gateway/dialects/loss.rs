//! What a dialect cannot say: named in a header, or a refusal where nothing may be lost.

use super::*;

/// What callers can ask for and another dialect cannot say: the caller, the provider, the member and its name.
const LOSSES: [(Caller, Provider, &str, &str); 4] = [
    (Caller::Chat, Provider::Anthropic, r#","logit_bias":{"50256":-100}"#, "logit_bias"),
    (Caller::Chat, Provider::Gemini, r#","logit_bias":{"50256":-100}"#, "logit_bias"),
    (Caller::Messages, Provider::OpenAi, r#","top_k":5"#, "top_k"),
    (
        Caller::Gemini,
        Provider::Anthropic,
        r#","safetySettings":[{"category":"HARM_CATEGORY_HARASSMENT","threshold":"BLOCK_NONE"}]"#,
        "safetySettings",
    ),
];

#[test]
fn what_was_lost_is_named_on_the_answer() {
    for (caller, provider, more, name) in LOSSES {
        for is_stream in [false, true] {
            let Some(recording) = recordings(provider, is_stream).into_iter().next() else { return };
            let upstream = Upstream::always(recording.answer());
            let gateway = provider.gateway(&upstream, "");
            let plain = caller.ask(&gateway, "m", is_stream, "").response().expect(200);
            assert_eq!(plain.header("x-aisix-dropped-fields"), None, "{caller:?} {provider:?}");
            let response = caller.ask(&gateway, "m", is_stream, more).response().expect(200);
            let dropped = response.header("x-aisix-dropped-fields").unwrap_or_default();
            assert!(dropped.split(", ").any(|own| own == name), "{caller:?} {provider:?}: {dropped}");
        }
    }
}

#[test]
fn a_strict_model_refuses_what_would_be_lost_and_nothing_else() {
    for (caller, provider, more, name) in LOSSES {
        let Some(recording) = recordings(provider, false).into_iter().next() else { return };
        let upstream = Upstream::always(recording.answer());
        let gateway = provider.gateway(&upstream, "");
        caller.ask(&gateway, "strict", false, "").response().expect(200);
        let response = caller.ask(&gateway, "strict", false, more).response().expect(400);
        let message = response.error_message();
        assert!(message.contains(name) && message.contains("strict_translation"), "{message}");
        assert_eq!(upstream.count(), 1, "{caller:?} {provider:?}");
        gateway.settled();
    }
}

#[test]
fn the_same_dialect_loses_nothing() {
    for (caller, provider, ..) in LOSSES {
        let own = caller.own().expect("it has a provider");
        let Some(recording) = recordings(own, false).into_iter().next() else { return };
        let upstream = Upstream::always(recording.answer());
        let gateway = own.gateway(&upstream, "");
        for (_, _, more, _) in LOSSES.iter().filter(|(other, to, ..)| *other == caller && *to == provider) {
            let response = caller.ask(&gateway, "strict", false, more).response().expect(200);
            assert_eq!(response.header("x-aisix-dropped-fields"), None, "{caller:?}");
        }
    }
}

#[test]
fn thoughts_of_another_provider_are_named_and_do_not_make_a_strict_model_unusable() {
    let Some(recording) = recordings(Provider::OpenAi, false).into_iter().next() else { return };
    let upstream = Upstream::always(recording.answer());
    let gateway = Provider::OpenAi.gateway(&upstream, "");
    let body = r#"{"model":"strict","max_tokens":64,"messages":[{"role":"user","content":"a"},{"role":"assistant",
        "content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"b"}]},
        {"role":"user","content":"c"}]}"#;
    let response = gateway.post_json("/v1/messages", "sk-test", body).expect(200);
    assert_eq!(response.header("x-aisix-dropped-fields"), Some("messages.thinking"));
}
