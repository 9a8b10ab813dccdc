//! An explanation as text.

use std::fmt::Write as _;

use super::report::{Explanation, Target};

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
    if let Some(strategy) = &explanation.strategy {
        line("route", &format!("{strategy}, {} targets", explanation.targets.len()));
    }
    for (place, target) in explanation.targets.iter().enumerate() {
        write_target(place + 1, target, &mut out);
    }
    out
}

fn write_target(place: usize, target: &Target, out: &mut String) {
    let _ = writeln!(out, "\n{place}. {} at {}", target.name, target.provider);
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
