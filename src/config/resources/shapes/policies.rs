//! The shape of rate limit policies: two forms, of which a policy has exactly one.
//!
//! Both share one shape, so that a report of what is wrong is complete; a member of the other form is refused.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{
    RateLimitShape,
    rules::{NAME, by_limits, by_scope, conditions},
    utc,
};
use crate::policies::{Dimension, Whose};

/// Limits that hold for some requests.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RateLimitPolicy", extend(
    "oneOf" = [by_scope(), by_limits()],
    "examples" = [
        {
            "name": "example-team-minute", "scope": "team", "scope_ref": "search", "window": "minute",
            "max_requests": 600, "max_tokens": 200_000,
        },
        {
            "name": "example-each-member", "limits": { "rpm": 60, "concurrency": 4 },
            "conditions": [{ "dimension": "model_name", "operator": "~~", "value": "^demo" }],
            "group_by": ["member"],
        },
    ],
))]
pub(crate) struct RateLimitPolicyShape {
    /// Its name; no two rate limit policies share one. Callers read it in a refusal.
    #[schemars(regex(pattern = NAME))]
    pub(crate) name: String,
    /// What the limits are for; not beside `limits`. All requests of a team share one count, as do those of a member;
    /// with `team_member` each member of the team has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<Whose>,
    /// Which one: an API key or model by name or id, or the id of a team or member; for `team_member` that of the team.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope_ref: Option<String>,
    /// The time after which the count begins anew; with `scope`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) window: Option<WindowShape>,
    /// Requests in a window; with `scope`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub(crate) max_requests: Option<u64>,
    /// Tokens in a window, sent and received; with `scope`, and only in a minute or a day.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub(crate) max_tokens: Option<u64>,
    /// The limits, at least one; not beside `scope`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limits: Option<RateLimitShape>,
    /// With `limits`: what a request must be like, all of it; without conditions, all requests. Each is a leaf
    /// (`dimension`, `operator`, `value`) or a group (`logic`, `children`), `negate` says the opposite; at most 16 leaves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub(crate) conditions: Vec<ConditionShape>,
    /// With `limits`: requests that differ in one of these are counted apart, and those that have no such thing are not
    /// limited. Absent, all share one count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("uniqueItems" = true))]
    pub(crate) group_by: Vec<GroupByShape>,
    /// With `limits`: what becomes of a request beyond them; absent, `reject`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<ActionShape>,
    /// When it is suspended: it neither refuses nor counts. What is counted before stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) schedules: Vec<ScheduleShape>,
}

/// The time after which a count begins anew, by the clock in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RateLimitWindow")]
pub(crate) enum WindowShape {
    /// Each second, as a steady rate.
    Second,
    /// Each minute.
    Minute,
    /// Each hour.
    Hour,
    /// Each day.
    Day,
}

/// What becomes of a request beyond the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RateLimitAction")]
pub(crate) enum ActionShape {
    /// It is answered 429.
    Reject,
}

/// What requests are counted apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RateLimitGroupBy")]
pub(crate) enum GroupByShape {
    /// The caller's team.
    Team,
    /// The member behind the caller's key.
    Member,
    /// The caller's key.
    ApiKey,
    /// The model that answers.
    Model,
    /// Its provider.
    Provider,
}

/// A condition: a leaf or a group. Its schema is that of [`conditions`], which knows how deep they may go.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConditionShape {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dimension: Option<Dimension>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operator: Option<OperatorShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<ValueShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) logic: Option<LogicShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) children: Option<Vec<ConditionShape>>,
    #[serde(default)]
    pub(crate) negate: bool,
}

/// How a dimension is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "RateLimitOperator")]
pub(crate) enum OperatorShape {
    /// The same.
    #[serde(rename = "==")]
    Is,
    /// Something else.
    #[serde(rename = "~=")]
    IsNot,
    /// One of several.
    #[serde(rename = "in")]
    In,
    /// The pattern is found in it; for names of models and providers.
    #[serde(rename = "~~")]
    Like,
    /// The same in letters of either case.
    #[serde(rename = "~*")]
    LikeFolded,
}

/// How the conditions of a group are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "RateLimitLogic")]
pub(crate) enum LogicShape {
    /// All must hold.
    And,
    /// One must hold.
    Or,
}

/// What a dimension is compared with.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum ValueShape {
    One(String),
    Several(Vec<String>),
}

impl<'de> Deserialize<'de> for ValueShape {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> de::Visitor<'de> for ValueVisitor {
    type Value = ValueShape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<ValueShape, E> {
        Ok(ValueShape::One(value.to_owned()))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut source: A) -> Result<ValueShape, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = source.next_element()? {
            values.push(value);
        }
        Ok(ValueShape::Several(values))
    }
}

/// A time in which a policy is suspended, by the clock on the wall; exactly one of `days_of_week` and `dates`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RateLimitSchedule", extend("oneOf" = [
    { "required": ["days_of_week"], "properties": { "days_of_week": { "type": "array" }, "dates": { "type": "null" } } },
    { "required": ["dates"], "properties": { "dates": { "type": "array" }, "days_of_week": { "type": "null" } } },
]))]
pub(crate) struct ScheduleShape {
    /// Whose clock: a name of the IANA database.
    #[serde(default = "utc")]
    #[schemars(length(min = 1))]
    pub(crate) timezone: String,
    /// The days of the week on which it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub(crate) days_of_week: Option<Vec<WeekdayShape>>,
    /// The dates on which it begins, as `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1),
        inner(regex(pattern = r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"))
    )]
    pub(crate) dates: Option<Vec<String>>,
    /// Its first minute, as `HH:MM`.
    #[schemars(regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub(crate) start_time: String,
    /// The minute after its last, as `HH:MM`, up to `24:00`. Before `start_time` it is the next day's; where both are the
    /// same, the policy is never suspended.
    #[schemars(regex(pattern = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"))]
    pub(crate) end_time: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Weekday")]
pub(crate) enum WeekdayShape {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}
