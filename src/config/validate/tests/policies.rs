//! Rate limit policies that do not make sense.

use super::check;
use crate::config::tests::parse_plain;

#[test]
fn forms() {
    check(
        r#"
[[rate_limit_policies]]
name = "neither"
[[rate_limit_policies]]
name = "both"
scope = "team"
limits = { rpm = 1 }
[[rate_limit_policies]]
name = "foreign to scope"
scope = "team"
scope_ref = "red"
window = "minute"
max_requests = 1
conditions = [{ dimension = "team", operator = "==", value = "red" }]
group_by = ["team"]
action = "reject"
[[rate_limit_policies]]
name = "foreign to limits"
limits = {}
scope_ref = "red"
window = "minute"
max_requests = 1
max_tokens = 1
group_by = ["team", "model", "team"]
[[rate_limit_policies]]
name = "odd"
scope = "org"
action = "log"
window = "month"
limit = { rpm = 1 }
"#,
        &[
            r#"config.toml:12: rate_limit_policies[0]: either "scope", "scope_ref" and "window", or "limits" is required"#,
            r#"config.toml:17: rate_limit_policies[1].limits: a policy has either "scope" and "window", or "limits"; keep one of the two forms"#,
            r#"config.toml:24: rate_limit_policies[2].conditions: only a policy with "limits" has this"#,
            r#"config.toml:25: rate_limit_policies[2].group_by: only a policy with "limits" has this"#,
            r#"config.toml:26: rate_limit_policies[2].action: only a policy with "limits" has this"#,
            "config.toml:29: rate_limit_policies[3].limits: expected at least one limit",
            r#"config.toml:30: rate_limit_policies[3].scope_ref: only a policy with "scope" has this"#,
            r#"config.toml:31: rate_limit_policies[3].window: only a policy with "scope" has this"#,
            r#"config.toml:32: rate_limit_policies[3].max_requests: only a policy with "scope" has this"#,
            r#"config.toml:33: rate_limit_policies[3].max_tokens: only a policy with "scope" has this"#,
            "config.toml:34: rate_limit_policies[3].group_by[2]: stands here a second time",
            r#"config.toml:37: rate_limit_policies[4].scope: expected one of "api_key", "model", "team", "member", "team_member", found "org""#,
            r#"config.toml:38: rate_limit_policies[4].action: expected "reject", found "log""#,
            r#"config.toml:39: rate_limit_policies[4].window: expected one of "second", "minute", "hour", "day", found "month""#,
            r#"config.toml:40: rate_limit_policies[4].limit: no setting is called "limit" (did you mean "limits"?)"#,
        ],
    );
}

#[test]
fn windows_and_references() {
    check(
        r#"
[[rate_limit_policies]]
name = "nothing said"
scope = "team"
[[rate_limit_policies]]
name = "tokens by the hour"
scope = "api_key"
scope_ref = "kk"
window = "hour"
max_tokens = 5
[[rate_limit_policies]]
name = "tokens by the second"
scope = "model"
scope_ref = "b"
window = "second"
max_requests = 0
max_tokens = 0
"#,
        &[
            r#"config.toml:12: rate_limit_policies[0]: "max_requests" or "max_tokens" is required beside "scope""#,
            r#"config.toml:12: rate_limit_policies[0].window: is required beside "scope""#,
            r#"config.toml:12: rate_limit_policies[0].scope_ref: is required beside "scope""#,
            r#"config.toml:18: rate_limit_policies[1].scope_ref: no API key is called "kk" (did you mean "k"?)"#,
            r#"config.toml:20: rate_limit_policies[1].max_tokens: tokens are counted by the minute and by the day only: let window be "minute" or "day""#,
            r#"config.toml:24: rate_limit_policies[2].scope_ref: no model is called "b""#,
            "config.toml:26: rate_limit_policies[2].max_requests: expected 1 or more",
            "config.toml:27: rate_limit_policies[2].max_tokens: expected 1 or more",
            r#"config.toml:27: rate_limit_policies[2].max_tokens: tokens are counted by the minute and by the day only: let window be "minute" or "day""#,
        ],
    );
}

#[test]
fn comparisons() {
    check(
        r#"
[[rate_limit_policies]]
name = "p"
limits = { rpm = 1 }
[[rate_limit_policies.conditions]]
dimension = "model"
operator = "~~"
value = "("
[[rate_limit_policies.conditions]]
dimension = "model_name"
operator = "in"
value = "a"
[[rate_limit_policies.conditions]]
dimension = "api_key"
operator = "in"
value = ["k", "", "kk"]
[[rate_limit_policies.conditions]]
dimension = "team"
operator = "in"
value = []
[[rate_limit_policies.conditions]]
dimension = "team"
operator = "=="
value = ["red"]
[[rate_limit_policies.conditions]]
operator = "~="
value = ""
[[rate_limit_policies.conditions]]
[[rate_limit_policies.conditions]]
dimension = "model"
operator = "=="
value = "aa"
logic = "or"
"#,
        &[
            r#"config.toml:17: rate_limit_policies[0].conditions[0].operator: patterns are for "model_name" and "provider" only"#,
            "config.toml:18: rate_limit_policies[0].conditions[0].value: not a regular expression: unclosed group",
            r#"config.toml:22: rate_limit_policies[0].conditions[1].value: expected a list of strings for the operator "in""#,
            "config.toml:26: rate_limit_policies[0].conditions[2].value[1]: must not be empty",
            r#"config.toml:26: rate_limit_policies[0].conditions[2].value[2]: no API key is called "kk" (did you mean "k"?)"#,
            "config.toml:30: rate_limit_policies[0].conditions[3].value: expected 1 to 64 strings",
            r#"config.toml:34: rate_limit_policies[0].conditions[4].value: expected one string; only the operator "in" takes a list"#,
            r#"config.toml:35: rate_limit_policies[0].conditions[5]: "dimension" is required in a comparison"#,
            r#"config.toml:38: rate_limit_policies[0].conditions[6]: either "dimension", "operator" and "value", or "logic" and "children" is required"#,
            "config.toml:39: rate_limit_policies[0].conditions[7]: is either a comparison (dimension, operator, value) or a group (logic, children)",
        ],
    );
}

#[test]
fn reserved_operators_and_odd_values() {
    for operator in ["has", ">", ">=", "<", "<=", "ipmatch"] {
        let text = format!(
            "[[rate_limit_policies]]\nname = \"p\"\nlimits = {{ rpm = 1 }}\n\
             conditions = [{{ dimension = \"provider\", operator = \"{operator}\", value = 5 }}]\n"
        );
        let hint = match operator {
            ">=" | "<=" | "!=" => " (did you mean \"==\"?)",
            _ => "",
        };
        let place = "config.toml:15: rate_limit_policies[0].conditions[0]";
        check(
            &text,
            &[
                &format!(
                    "{place}.operator: expected one of \"==\", \"~=\", \"in\", \"~~\", \"~*\", found \"{operator}\"{hint}"
                ),
                &format!("{place}.value: expected a string or a list of strings, found a whole number"),
            ],
        );
    }
}

#[test]
fn groups() {
    let leaf = |value: &str| format!("{{ dimension = \"team\", operator = \"==\", value = \"{value}\" }}");
    let group = |inside: &str| format!("{{ logic = \"or\", children = [{inside}] }}");
    let policy = |conditions: &str| {
        format!(
            "[[rate_limit_policies]]\nname = \"p\"\nlimits = {{ rpm = 1 }}\nconditions = [{conditions}]\n"
        )
    };
    let place = "config.toml:15: rate_limit_policies[0].conditions";
    check(&policy(&group(&group(&leaf("a")))), &[]);
    check(
        &policy(&group(&group(&group(&leaf("a"))))),
        &[&format!("{place}[0].children[0].children[0]: groups go no deeper than this: at most 3 levels")],
    );
    let many =
        |count: usize| (0..count).map(|number| leaf(&number.to_string())).collect::<Vec<_>>().join(", ");
    check(&policy(&format!("{}, {}", many(8), group(&many(8)))), &[]);
    check(
        &policy(&format!("{}, {}", many(8), group(&many(9)))),
        &[&format!("{place}: expected at most 16 comparisons, found 17")],
    );
    check(&policy(&group("")), &[&format!("{place}[0].children: expected at least one condition")]);
    check(
        &policy(&format!("{{ logic = \"or\" }}, {{ children = [{}] }}", leaf("a"))),
        &[
            &format!("{place}[0]: \"children\" is required beside \"logic\""),
            &format!("{place}[1]: \"logic\" is required beside \"children\""),
        ],
    );
    let long = format!("{{ dimension = \"provider\", operator = \"~*\", value = \"{}\" }}", "x".repeat(257));
    check(&policy(&long), &[&format!("{place}[0].value: expected at most 256 characters")]);
}

#[test]
fn schedules() {
    check(
        r#"
[[rate_limit_policies]]
name = "p"
limits = { rpm = 1 }
[[rate_limit_policies.schedules]]
timezone = "Europe/Berln"
days_of_week = ["mon", "sun"]
start_time = "9:00"
end_time = "24:01"
[[rate_limit_policies.schedules]]
dates = ["2026-02-29", "2026-12-24", "24.12.2026"]
start_time = "24:00"
end_time = "24:00"
[[rate_limit_policies.schedules]]
days_of_week = ["mon"]
dates = ["2026-12-24"]
start_time = "00:00"
end_time = "23:60"
[[rate_limit_policies.schedules]]
start_time = "00:00"
end_time = "00:00"
[[rate_limit_policies.schedules]]
days_of_week = []
start_time = "00:00"
end_time = "00:00"
"#,
        &[
            r#"config.toml:16: rate_limit_policies[0].schedules[0].timezone: no time zone of the IANA database has this name (did you mean "Europe/Berlin"?)"#,
            "config.toml:18: rate_limit_policies[0].schedules[0].start_time: expected a time such as 09:30",
            "config.toml:19: rate_limit_policies[0].schedules[0].end_time: expected a time such as 17:30, up to 24:00",
            "config.toml:21: rate_limit_policies[0].schedules[1].dates[0]: expected a date such as 2026-12-24",
            "config.toml:21: rate_limit_policies[0].schedules[1].dates[2]: expected a date such as 2026-12-24",
            "config.toml:22: rate_limit_policies[0].schedules[1].start_time: expected a time such as 09:30",
            "config.toml:26: rate_limit_policies[0].schedules[2].dates: says a second time on which days; keep one of the two",
            "config.toml:28: rate_limit_policies[0].schedules[2].end_time: expected a time such as 17:30, up to 24:00",
            r#"config.toml:29: rate_limit_policies[0].schedules[3]: "days_of_week" or "dates" is required"#,
            "config.toml:33: rate_limit_policies[0].schedules[4].days_of_week: expected at least one day",
        ],
    );
}

#[test]
fn good_ones() {
    check(
        r#"
[[rate_limit_policies]]
name = "by name"
scope = "api_key"
scope_ref = "k"
window = "day"
max_requests = 1
max_tokens = 1
[[rate_limit_policies]]
name = "of a member"
scope = "team_member"
scope_ref = "any team"
window = "second"
max_requests = 1
[[rate_limit_policies]]
name = "for everybody"
limits = { concurrency = 0 }
action = "reject"
[[rate_limit_policies]]
name = "with all that there is"
limits = { rps = 1, rpm = 1, rph = 1, rpd = 1, tpm = 1, tpd = 1, concurrency = 1 }
conditions = [
  { dimension = "model", operator = "~=", value = "a", negate = true },
  { logic = "and", children = [{ dimension = "provider", operator = "~*", value = "^mock" }] },
]
group_by = ["provider", "team", "member", "api_key", "model"]
schedules = [
  { timezone = "America/New_York", days_of_week = ["fri", "sat"], start_time = "22:00", end_time = "06:00" },
  { dates = ["2028-02-29"], start_time = "00:00", end_time = "24:00" },
]
"#,
        &[],
    );
}

#[test]
fn signs_of_other_languages_are_told_as_what_they_mean_here() {
    for (sign, ours) in [("=~", "~~"), ("!=", "~="), ("=", "==")] {
        let toml = format!(
            "[[rate_limit_policies]]\nname = \"p\"\nlimits = {{ rpm = 1 }}\n[[rate_limit_policies.conditions]]\n\
             dimension = \"model_name\"\noperator = \"{sign}\"\nvalue = \"a\"\n"
        );
        let problems = parse_plain(&toml).expect_err("no such operator").to_string();
        assert!(problems.contains(&format!("did you mean \"{ours}\"")), "{sign}: {problems}");
    }
}
