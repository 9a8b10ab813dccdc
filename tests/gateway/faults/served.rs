//! S16: who answered is named and billed, and nobody else; and nothing stays open behind any of the faults.

use super::page::tell;
use super::seen::Seen;
use super::stage::{price, scene, target};
use super::told::Fate::{Answered, Failed};
use super::told::{Gets, Told, Try, words};
use super::way::ALL;
use crate::harness::*;

#[test]
fn s16_the_target_that_answered_is_named_and_billed() {
    let group = scene(&[target("503"), target("s05"), target("words-3")]);
    let tries = [
        Try(0, "initial", Failed("upstream_error")),
        Try(1, "fallback", Failed("transport_error")),
        Try(2, "fallback", Answered),
    ];
    let told = Told::new("two fail, the third serves", ALL, group, Gets::Whole(words(3)), &tries)
        .cooling(0, "upstream_server_error")
        .cooling(1, "transport_error");
    let rows = told.check_into(
        |_, _| {},
        |books, group| {
            let records = books.records(group);
            let (input, output) = (&records[2]["prompt_tokens"], &records[2]["completion_tokens"]);
            let [input, output] = [input, output].map(|count| count.as_u64().expect("a count"));
            let [input_price, output_price] = price(2);
            let own = group.target(2);
            for (name, wanted) in [
                ("aisix_llm_input_tokens_total", input),
                ("aisix_llm_output_tokens_total", output),
                ("aisix_llm_spend_micro_usd_total", input * input_price + output * output_price),
            ] {
                let all = books.metrics.all(name, &[("model", &group.name)]);
                assert_eq!(all.len(), 1, "{name} names one target: {all:#?}");
                assert_eq!(all[0].labels["provider_key_name"], own, "{name}");
                assert_eq!(all[0].value as u64, wanted, "{name}");
            }
        },
    );
    tell("S16", &rows);
}

/// Every fault in front of a target that is well, with limits and a budget over all.
#[test]
fn nothing_is_held_or_open_after_any_fault() {
    const FAULTS: [&str; 15] = [
        "s01",
        "s02",
        "s03",
        "s04",
        "s05",
        "s06",
        "s07",
        "s08",
        "s09",
        "s10",
        "s11",
        "s12",
        "s13",
        "s13-finish",
        "no-finish",
    ];
    let mock = Mock::start();
    let mut config = budget("all", "scope = \"org\"", "1000", "")
        + &api_key("sk-test", "\"*\"", "rate_limit = { rpm = 1000000, tpm = 1000000, concurrency = 1000 }");
    for provider in ["openai", "mistral"] {
        config += &provider_key(provider, &mock.base_url())
            .replace("\"openai\"\napi", &format!("\"{provider}\"\napi"));
    }
    let limits = "rate_limit = { concurrency = 1000 }\ncost = { input_per_1k = 1, output_per_1k = 1 }\n\
                  timeout = 600\nttft_timeout = 300";
    let own = |name: &str, key: &str, upstream: &str| {
        model(name, key, limits).replace(&format!("\"upstream-{name}\""), &format!("\"{upstream}\""))
    };
    for way in ALL {
        let name = way.name();
        config += &own(&format!("{name}-well"), "mistral", "words-60");
        for fault in FAULTS {
            let (group, ill) = (format!("{name}-{fault}"), format!("{name}-{fault}-ill"));
            config += &own(&ill, "openai", fault);
            config += &routing(&group, &[&ill, &format!("{name}-well")], "mid_stream = \"continue\"");
        }
    }
    let gateway = Gateway::start(&config);
    std::thread::scope(|scope| {
        for way in ALL {
            let gateway = &gateway;
            scope.spawn(move || {
                for fault in FAULTS {
                    let mut connection = gateway.connect();
                    connection.send(&way.request(&format!("{}-{fault}", way.name()), ""));
                    Seen::read(*way, connection.response(), std::time::Duration::ZERO);
                }
            });
        }
    });
    gateway.settled();
    let books = gateway.books();
    assert_eq!(books.limiter.held + books.ledger.holds, 0, "{books:#?}");
}
