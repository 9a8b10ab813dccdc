//! Configuration text for tests: each function is one table of the file.

use super::{Gateway, Upstream};

/// A provider key that speaks OpenAI's dialect at an address.
pub fn provider_key(name: &str, url: &str) -> String {
    format!(
        "[[provider_keys]]\ndisplay_name = \"{name}\"\nprovider = \"openai\"\n\
         api_key = \"sk-upstream\"\napi_base = \"{url}\"\n"
    )
}

/// A direct model; `more` is further lines of its table.
pub fn model(name: &str, provider_key: &str, more: &str) -> String {
    format!(
        "[[models]]\ndisplay_name = \"{name}\"\nprovider_key = \"{provider_key}\"\n\
         model_name = \"upstream-{name}\"\n{more}\n"
    )
}

/// A routing model over targets, in order; `more` is further lines of its `routing` table.
pub fn routing(name: &str, targets: &[&str], more: &str) -> String {
    let targets: Vec<String> = targets.iter().map(|target| format!("{{ model = \"{target}\" }}")).collect();
    let targets = targets.join(", ");
    format!("[[models]]\ndisplay_name = \"{name}\"\n[models.routing]\ntargets = [{targets}]\n{more}\n")
}

/// A caller's key called as it reads; `more` is further lines of its table.
pub fn api_key(key: &str, allowed: &str, more: &str) -> String {
    format!("[[api_keys]]\ndisplay_name = \"{key}\"\nkey = \"{key}\"\nallowed_models = [{allowed}]\n{more}\n")
}

/// A budget; `scope` is its scope and reference, `more` further lines of its table.
pub fn budget(name: &str, scope: &str, limit_usd: &str, more: &str) -> String {
    format!(
        "[[budgets]]\nname = \"{name}\"\n{scope}\nlimit_usd = \"{limit_usd}\"\nperiod = \"day\"\n{more}\n"
    )
}

/// A rate limit policy; `rest` is the further lines of its table.
pub fn policy(name: &str, rest: &str) -> String {
    format!("[[rate_limit_policies]]\nname = \"{name}\"\n{rest}\n")
}

/// A guardrail; `more` is further lines of its table.
pub fn guardrail(name: &str, kind: &str, more: &str) -> String {
    format!("[[guardrails]]\nname = \"{name}\"\nkind = \"{kind}\"\n{more}\n")
}

/// A gateway with the model `m` at the upstream, the key `sk-test`, and `more` configuration.
pub fn gateway_over(upstream: &Upstream, more: &str) -> Gateway {
    Gateway::start(
        &[
            &provider_key("up", &upstream.url()),
            &model("m", "up", ""),
            &api_key("sk-test", "\"*\"", ""),
            more,
        ]
        .concat(),
    )
}

/// A chat request; `more` is further members, each after a comma.
pub fn chat_body(model: &str, more: &str) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hello"}}]{more}}}"#)
}
