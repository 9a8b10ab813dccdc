//! An explanation as text.

use std::fmt::Write as _;

use super::report::Explanation;
use super::route::Route;
use super::target::{Place, Target};

/// The text, ready to be printed.
pub(super) fn of(explanation: &Explanation) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name:<12}{value}");
    };
    let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join("; ") };
    let stream = if explanation.is_stream { ", streamed" } else { "" };
    line("request", &format!("POST {} ({}{stream})", explanation.path, explanation.operation));
    line("key", &explanation.key);
    line("model", &explanation.model);
    if let Some((status, reason)) = &explanation.refusal {
        line("refused", &format!("{status}: {reason}"));
        return out;
    }
    line("guardrails", &format!("input: {}", list(&explanation.input_guardrails)));
    line("", &format!("output: {}", list(&explanation.output_guardrails)));
    line("limits", &list(&explanation.limits));
    line("budgets", &list(&explanation.budgets));
    line("cache", explanation.cache.as_deref().unwrap_or("none"));
    let (prompt, answer) = explanation.held_tokens;
    line("holds", &format!("about {prompt} tokens for the prompt, {answer} for the answer"));
    if let Some(money) = &explanation.held_money {
        line("", money);
    }
    if let Some(limit) = explanation.total_timeout_ms {
        line("time", &format!("total_timeout {limit} ms over all attempts, until the answer begins"));
    }
    if let Some(route) = &explanation.route {
        line("route", &format!("{}: {}", word(route, "strategy"), route.ordered_by));
        line("on failure", &on_failure(route));
    }
    for target in &explanation.targets {
        write_target(target, &mut out);
    }
    out
}

/// A member as JSON has it.
fn word(route: &Route, member: &str) -> String {
    let json = serde_json::to_value(route).unwrap_or_default();
    json.get(member).and_then(|word| word.as_str()).unwrap_or_default().to_owned()
}

/// What moves a request on, and how far.
fn on_failure(route: &Route) -> String {
    let most = route.max_fallbacks.map_or_else(
        || "all other targets".to_owned(),
        |most| match most {
            0 => "no other target".to_owned(),
            1 => "1 other target".to_owned(),
            most => format!("{most} other targets"),
        },
    );
    let mut parts = vec![most];
    if route.retry_on_429 {
        parts.push("429 is retried".to_owned());
    }
    let causes = route.fallback_on_statuses.iter().map(ToString::to_string);
    let causes: Vec<_> = causes.chain(route.fallback_on.iter().map(ToString::to_string)).collect();
    if !causes.is_empty() {
        parts.push(format!("also after {}", causes.join(", ")));
    }
    let rescued = if route.is_rescued { " (this answer too)" } else { "" };
    parts.push(format!("mid_stream {}{rescued}", word(route, "mid_stream")));
    parts.push(format!("when all are out {}", word(route, "when_all_unavailable")));
    parts.join("; ")
}

fn write_target(target: &Target, out: &mut String) {
    let (name, provider) = (&target.name, &target.provider);
    let _ = match &target.place {
        Place::At(place) => writeln!(out, "\n{place}. {name} at {provider}"),
        Place::Among => writeln!(out, "\n*  {name} at {provider}"),
        Place::LeftOut(reason) => writeln!(out, "\n-  {name} at {provider}\n   left out: {reason}"),
    };
    if let Some(member) = &target.member {
        let tags =
            if member.tags.is_empty() { String::new() } else { format!(", tags {}", member.tags.join(" ")) };
        let _ = writeln!(out, "   priority {}, weight {}{tags}", member.priority, member.weight);
    }
    if matches!(target.place, Place::LeftOut(_)) {
        return;
    }
    if !target.limits.is_empty() {
        let _ = writeln!(out, "   limits: {}", target.limits.join("; "));
    }
    if !target.budgets.is_empty() {
        let held = target.held_money.as_deref().unwrap_or("nothing");
        let _ = writeln!(out, "   budgets: {}; holds {held}", target.budgets.join("; "));
    }
    let limits: Vec<_> =
        target.time_limits_ms.iter().map(|(name, limit)| format!("{name} {limit} ms")).collect();
    if !limits.is_empty() {
        let _ = writeln!(out, "   waits: {}", limits.join(", "));
    }
    let _ = match (target.retries, target.retries_when_last) {
        (usual, last) if usual == last => writeln!(out, "   retries: {usual}"),
        (usual, last) => writeln!(out, "   retries: {usual}, or {last} where no other target is left"),
    };
    let _ = match &target.price {
        Some(price) => writeln!(out, "   price: USD per million tokens: {price}"),
        None => writeln!(out, "   price: unknown"),
    };
    if let Some(problem) = &target.problem {
        let _ = writeln!(out, "   {problem}");
    }
    if let Some(url) = &target.url {
        let _ = writeln!(out, "   POST {url}");
    }
    for (name, value) in &target.headers {
        let _ = writeln!(out, "   {name}: {value}");
    }
    if let Some(dialect) = target.translated_to {
        let _ = writeln!(out, "   translated for {dialect}");
    }
    if !target.dropped.is_empty() {
        let _ = writeln!(out, "   not carried: {}", target.dropped.join(", "));
    }
    if let Some(body) = &target.body {
        let _ = writeln!(out, "\n   {}", indented(body.get(), "   "));
    }
}

/// JSON with a line for each member, in its order and spelling.
fn indented(json: &str, margin: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut is_escaped) = (0usize, false, false);
    let new_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(margin);
        out.push_str(&"  ".repeat(depth));
    };
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        if in_string {
            in_string = is_escaped || character != '"';
            is_escaped = character == '\\' && !is_escaped;
            out.push(character);
            continue;
        }
        match character {
            '{' | '[' => {
                out.push(character);
                while characters.next_if(|next| next.is_whitespace()).is_some() {}
                if let Some(close) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(',');
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            space if space.is_whitespace() => {}
            other => {
                in_string = other == '"';
                out.push(other);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_and_its_strings_are_left_alone() {
        let text = indented(r#"{"b":[1,{"a \"x, ":"{\\"},{ }],"a": true}"#, "");
        assert_eq!(
            text,
            "{\n  \"b\": [\n    1,\n    {\n      \"a \\\"x, \": \"{\\\\\"\n    },\n    {}\n  ],\n  \"a\": true\n}"
        );
    }
}
