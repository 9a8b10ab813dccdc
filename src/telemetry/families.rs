//! The families that come from rows: which labels each has, and what of a row it adds up (§13.1).
//!
//! Rows of all workers with the same labels become one sample, so a family with fewer labels is a sum over more rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::exposition::{Exposition, Kind, label};
use super::series::{Part, Row, Text};
use super::spread::{BucketSum, Buckets, Spread, SpreadSum};
use crate::endpoints::Answer;
use crate::gateway::Gateway;

/// A label of a family.
#[derive(Debug, Clone, Copy)]
enum Label {
    /// A text of the row, under its usual name.
    Of(&'static str, Text),
    Endpoint,
    Handler,
    InboundProtocol,
    Stream,
    Streaming,
    IsFallback,
    Status,
    StatusClass,
    /// The class of the status, as usage records name it.
    EventClass,
    Outcome,
    EnvId,
}

use Label as L;

const MODEL: Label = L::Of("model", Text::Model);
const PROVIDER: Label = L::Of("provider", Text::Provider);
const UPSTREAM_MODEL: Label = L::Of("upstream_model", Text::UpstreamModel);
const KEY_ID: Label = L::Of("provider_key_id", Text::ProviderKeyId);
const KEY_NAME: Label = L::Of("provider_key_name", Text::ProviderKeyName);
const API_KEY: Label = L::Of("api_key_id", Text::ApiKeyId);

/// The labels of tokens and money.
const USAGE: &[Label] = &[
    L::Endpoint,
    L::InboundProtocol,
    PROVIDER,
    MODEL,
    UPSTREAM_MODEL,
    KEY_ID,
    KEY_NAME,
    API_KEY,
    L::Of("team_id", Text::TeamId),
    L::Of("user_id", Text::UserId),
    L::Of("user_name", Text::UserName),
];
/// The labels of a duration, beyond those of usage.
const ENDED: &[Label] = &[L::Stream, L::Status, L::Outcome];
/// The labels of a request, beyond those of usage.
const REQUEST: &[Label] = &[L::Stream, L::IsFallback, L::Status, L::Outcome];
/// The labels of a target of the router.
const DEPLOYMENT: &[Label] = &[PROVIDER, L::Of("model", Text::Target), UPSTREAM_MODEL, KEY_ID];
const LATENCY: &[Label] = &[L::EnvId, L::Endpoint, MODEL, PROVIDER, L::StatusClass, L::Streaming];
const EVENT: &[Label] = &[L::Handler, L::EventClass, L::InboundProtocol, MODEL, KEY_ID, KEY_NAME];
const NOTHING: &[Label] = &[];

/// What a family adds up of a row; `None` where the row has nothing to do with it.
enum Measure {
    Count(fn(&Row) -> Option<u64>),
    Spread(fn(&Row) -> Option<&Spread>),
    E2e(fn(&Row) -> Option<&Buckets>),
    Ttft(fn(&Row) -> Option<&Buckets>),
}

use Measure as M;

struct Family {
    name: &'static str,
    help: &'static str,
    labels: [&'static [Label]; 2],
    measure: Measure,
}

const fn family(
    name: &'static str,
    labels: [&'static [Label]; 2],
    measure: Measure,
    help: &'static str,
) -> Family {
    Family { name, help, labels, measure }
}

fn is_exchange(row: &Row) -> bool {
    row.marks.part == Part::Exchange
}

fn is_llm(row: &Row) -> bool {
    is_exchange(row) && row.endpoint().is_some_and(|endpoint| endpoint.answer == Answer::Provider)
}

/// A count that makes no series while it is nothing.
fn some(count: u64) -> Option<u64> {
    (count > 0).then_some(count)
}

fn count_if(row: &Row, is_meant: bool) -> Option<u64> {
    is_meant.then(|| row.count.read())
}

fn sent_if(row: &Row, is_meant: bool) -> Option<u64> {
    some(row.sent.read()).filter(|_| is_meant)
}

fn has_succeeded(row: &Row) -> bool {
    is_exchange(row) && outcome(row.marks.status) == "success"
}

fn first_upstream(row: &Row) -> Option<&Spread> {
    row.times.as_ref()?.first.as_ref().map(|first| &first.upstream)
}

const RESPONSE: &[Label] = &[PROVIDER, MODEL, L::Status];

const FAMILIES: [Family; 20] = [
    family(
        "aisix_requests_total",
        [RESPONSE, &[L::Outcome]],
        M::Count(|row| count_if(row, is_exchange(row))),
        "Responses of the proxy.",
    ),
    family(
        "aisix_request_duration_seconds",
        [RESPONSE, NOTHING],
        M::Spread(|row| row.times.as_ref().map(|times| &times.duration)),
        "Time until the response was handed over; for streams until it began.",
    ),
    family(
        "aisix_proxy_requests_total",
        [USAGE, REQUEST],
        M::Count(|row| count_if(row, is_exchange(row))),
        "Requests to any endpoint.",
    ),
    family(
        "aisix_proxy_failed_requests_total",
        [USAGE, REQUEST],
        M::Count(|row| count_if(row, is_exchange(row) && outcome(row.marks.status) != "success")),
        "Requests to any endpoint that were not answered with a status of success.",
    ),
    family(
        "aisix_proxy_request_duration_seconds",
        [USAGE, ENDED],
        M::Spread(|row| row.times.as_ref().map(|times| &times.duration)),
        "Time until the response of any endpoint was handed over; for streams until it began.",
    ),
    family(
        "aisix_llm_requests_total",
        [USAGE, REQUEST],
        M::Count(|row| count_if(row, is_llm(row))),
        "Requests to endpoints that a model answers.",
    ),
    family(
        "aisix_llm_request_duration_seconds",
        [USAGE, ENDED],
        M::Spread(|row| row.times.as_ref().filter(|_| is_llm(row)).map(|times| &times.duration)),
        "Time until a model's response was handed over; for streams until it began.",
    ),
    family(
        "aisix_llm_time_to_first_token_seconds",
        [USAGE, NOTHING],
        M::Spread(first_upstream),
        "Time from asking a provider to the first event of its stream.",
    ),
    family(
        "aisix_llm_input_tokens_total",
        [USAGE, NOTHING],
        M::Count(|row| some(row.input.read())),
        "Tokens sent to providers.",
    ),
    family(
        "aisix_llm_output_tokens_total",
        [USAGE, NOTHING],
        M::Count(|row| some(row.output.read())),
        "Tokens received from providers.",
    ),
    family(
        "aisix_llm_total_tokens_total",
        [USAGE, NOTHING],
        M::Count(|row| some(row.total.read())),
        "Tokens in all, as the provider counts them.",
    ),
    family(
        "aisix_llm_spend_micro_usd_total",
        [USAGE, NOTHING],
        M::Count(|row| some(row.spend.read())),
        "Cost in millionths of a US dollar.",
    ),
    family(
        "aisix_tokens_consumed_total",
        [&[PROVIDER, MODEL], NOTHING],
        M::Count(|row| some(row.total.read())),
        "Tokens in all by provider and model.",
    ),
    family(
        "aisix_proxy_client_cancelled_requests_total",
        [&[L::Endpoint, MODEL, KEY_ID, KEY_NAME], NOTHING],
        M::Count(|row| some(row.cancelled.read())),
        "Requests whose caller left before the head of the answer.",
    ),
    family(
        "aisix_request_e2e_latency_seconds",
        [LATENCY, NOTHING],
        M::E2e(|row| row.times.as_ref().map(|times| &times.e2e)),
        "Time until a request was over; for streams until their end.",
    ),
    family(
        "aisix_request_ttft_seconds",
        [LATENCY, NOTHING],
        M::Ttft(|row| row.times.as_ref()?.first.as_ref().map(|first| &first.downstream)),
        "Time from a request to the first event of its stream.",
    ),
    family(
        "aisix_deployment_requests_total",
        [DEPLOYMENT, NOTHING],
        M::Count(|row| sent_if(row, true)),
        "Attempts for which a provider was asked.",
    ),
    family(
        "aisix_deployment_success_responses_total",
        [DEPLOYMENT, NOTHING],
        M::Count(|row| sent_if(row, has_succeeded(row))),
        "Attempts that answered.",
    ),
    family(
        "aisix_deployment_failure_responses_total",
        [DEPLOYMENT, NOTHING],
        M::Count(|row| sent_if(row, !has_succeeded(row) && row.marks.status != super::record::LEFT)),
        "Attempts that failed; neither this nor a success is one whose caller left.",
    ),
    family(
        "aisix_usage_events_emitted_total",
        [EVENT, NOTHING],
        M::Count(|row| some(row.events.read())),
        "Usage records made: those that were delivered and those that were dropped.",
    ),
];

/// Counts something of a row.
type Count = fn(&Row) -> u64;

/// Why usage records were dropped, and how many of a row.
const DROPS: [(&str, Count); 3] = [
    ("sink_full", |row| row.drops_full.read()),
    ("sink_closed", |row| row.drops_closed.read()),
    ("sink_disabled", |row| row.events.read()),
];
const DROP: &[Label] = &[MODEL, KEY_ID, KEY_NAME];

/// Writes the families that come from rows.
pub fn write(gateway: &Gateway, out: &mut Exposition) {
    let rows = gateway.telemetry.registry.rows();
    for family in &FAMILIES {
        match family.measure {
            M::Count(count) => write_counter(family, &rows, count, out),
            M::Spread(spread) => write_summary(family, &rows, spread, out),
            M::E2e(buckets) => write_histogram(family, &rows, buckets, &gateway.telemetry.edges.e2e, out),
            M::Ttft(buckets) => write_histogram(family, &rows, buckets, &gateway.telemetry.edges.ttft, out),
        }
    }
    write_drops(gateway, &rows, out);
}

/// Sums over rows with the same labels; `add` tells whether a row counts.
fn group<T: Default>(
    rows: &[Arc<Row>],
    labels: &[&[Label]],
    mut add: impl FnMut(&mut T, &Row) -> bool,
) -> BTreeMap<String, T> {
    let mut groups: BTreeMap<String, T> = BTreeMap::new();
    let mut key = String::new();
    for row in rows {
        key.clear();
        labels.iter().copied().flatten().for_each(|label| label.write(row, &mut key));
        if let Some(sum) = groups.get_mut(&key) {
            add(sum, row);
            continue;
        }
        let mut sum = T::default();
        if add(&mut sum, row) {
            groups.insert(key.clone(), sum);
        }
    }
    groups
}

fn write_counter(family: &Family, rows: &[Arc<Row>], count: fn(&Row) -> Option<u64>, out: &mut Exposition) {
    out.family(family.name, Kind::Counter, family.help);
    let sums = group(rows, &family.labels, |sum: &mut u64, row| {
        let found = count(row);
        *sum += found.unwrap_or(0);
        found.is_some()
    });
    sums.iter().for_each(|(labels, sum)| out.sample(family.name, labels, sum));
}

fn write_summary(
    family: &Family,
    rows: &[Arc<Row>],
    spread: fn(&Row) -> Option<&Spread>,
    out: &mut Exposition,
) {
    const QUANTILES: [(&str, f64); 4] = [("0.5", 0.5), ("0.9", 0.9), ("0.95", 0.95), ("0.99", 0.99)];
    out.family(family.name, Kind::Summary, family.help);
    let sums = group(rows, &family.labels, |sum: &mut SpreadSum, row| {
        let found = spread(row);
        found.into_iter().for_each(|spread| sum.add(spread));
        found.is_some()
    });
    let (sum_name, count_name) = (format!("{}_sum", family.name), format!("{}_count", family.name));
    for (labels, sum) in sums.iter().filter(|(_, sum)| sum.count() > 0) {
        for (text, part) in QUANTILES {
            let mut labels = labels.clone();
            label(&mut labels, "quantile", text);
            out.sample(family.name, &labels, sum.quantile(part));
        }
        out.sample(&sum_name, labels, sum.seconds());
        out.sample(&count_name, labels, sum.count());
    }
}

fn write_histogram(
    family: &Family,
    rows: &[Arc<Row>],
    buckets: fn(&Row) -> Option<&Buckets>,
    edges: &[u64],
    out: &mut Exposition,
) {
    out.family(family.name, Kind::Histogram, family.help);
    let sums = group(rows, &family.labels, |sum: &mut BucketSum, row| {
        let found = buckets(row);
        found.into_iter().for_each(|buckets| sum.add(buckets));
        found.is_some()
    });
    let names = ["bucket", "sum", "count"].map(|part| format!("{}_{part}", family.name));
    for (labels, sum) in sums.iter().filter(|(_, sum)| sum.cumulative().last() != Some(0)) {
        let edges = edges.iter().map(|edge| (*edge as f64 / 1e6).to_string());
        for (edge, count) in edges.chain(["+Inf".to_owned()]).zip(sum.cumulative()) {
            let mut labels = labels.clone();
            label(&mut labels, "le", &edge);
            out.sample(&names[0], &labels, count);
        }
        out.sample(&names[1], labels, sum.seconds());
        out.sample(&names[2], labels, sum.cumulative().last().unwrap_or(0));
    }
}

fn write_drops(gateway: &Gateway, rows: &[Arc<Row>], out: &mut Exposition) {
    let name = "aisix_usage_event_drops_total";
    out.family(name, Kind::Counter, "Usage records that were dropped, and why.");
    let usage = &gateway.telemetry.usage;
    for (reason, count) in DROPS.iter().filter(|(reason, _)| *reason != "sink_disabled" || usage.is_none()) {
        let sums = group(rows, &[DROP], |sum: &mut u64, row| {
            *sum += count(row);
            *sum > 0
        });
        for (labels, sum) in sums {
            let mut with_reason = String::new();
            label(&mut with_reason, "reason", reason);
            out.sample(name, &format!("{with_reason},{labels}"), sum);
        }
    }
    if let Some(failed) = usage.as_ref().map(|usage| usage.failed()).filter(|failed| *failed > 0) {
        // The thread that writes knows lines, and not whose they are.
        let labels = "reason=\"sink_failed\",model=\"unknown\",provider_key_id=\"unknown\",provider_key_name=\"unknown\"";
        out.sample(name, labels, failed);
    }
}

impl Label {
    fn write(self, row: &Row, out: &mut String) {
        let endpoint = row.endpoint();
        let flag = |is_so: bool| if is_so { "true" } else { "false" };
        let marks = row.marks;
        match self {
            Self::Of(name, text) => label(out, name, row.text(text)),
            Self::Endpoint => label(out, "endpoint", endpoint.map_or("other", |row| row.path)),
            Self::Handler => label(out, "handler", endpoint.map_or("other", |row| row.operation.label())),
            Self::InboundProtocol => {
                let protocol = endpoint.map_or("unknown", |row| row.protocol());
                label(out, "inbound_protocol", protocol);
            }
            Self::Stream => label(out, "stream", flag(marks.is_stream)),
            Self::Streaming => label(out, "streaming", flag(marks.is_stream)),
            Self::IsFallback => label(out, "is_fallback", flag(marks.is_fallback)),
            Self::Status => label(out, "status", itoa::Buffer::new().format(marks.status)),
            Self::StatusClass => label(out, "status_class", status_class(marks.status)),
            Self::EventClass => label(out, "status_code", status_class(marks.status)),
            Self::Outcome => label(out, "outcome", outcome(marks.status)),
            Self::EnvId => label(out, "env_id", "unknown"),
        }
    }
}

fn outcome(status: u16) -> &'static str {
    match status {
        200..=399 => "success",
        429 => "rate_limited",
        400..=499 => "client_error",
        _ => "upstream_error",
    }
}

fn status_class(status: u16) -> &'static str {
    match status {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
