//! The metrics that do not come from rows: what is open, what was refused, how budgets and targets stand, and what this
//! build is.

use std::collections::BTreeMap;

use aisix_actors::budget_ledger::{Budget, BudgetScope};
use aisix_actors::candidate_router::Condition;
use aisix_actors::types::Now;

use super::board::{ADMISSIONS, Board, DRAINS, LAYERS, SCOPES};
use super::exposition::{Exposition, Kind, labels};
use super::series::Text;
use super::shared_state;
use super::spread::Cell;
use super::tallies::What;
use crate::config::snapshot::Dispatch;
use crate::endpoints::ENDPOINTS;
use crate::gateway::Gateway;
use crate::journal::{Counters, Health};

/// Writes them.
pub fn write(gateway: &Gateway, out: &mut Exposition) {
    write_in_flight(gateway, out);
    write_refusals(gateway, out);
    write_tallies(gateway, out);
    write_cache(gateway, out);
    write_remaining(gateway, out);
    write_budgets(gateway, out);
    write_budget_tallies(gateway, out);
    write_journal(gateway, out);
    write_deployments(gateway, out);
    shared_state::write(gateway, out);
    write_own(gateway, out);
}

fn write_in_flight(gateway: &Gateway, out: &mut Exposition) {
    let boards = gateway.telemetry.boards();
    let name = "aisix_proxy_in_flight_requests";
    out.family(name, Kind::Gauge, "Requests that are open, streams until their last byte.");
    for (place, row) in ENDPOINTS.iter().enumerate() {
        let open: usize = boards.iter().map(|board| board.open_at(place)).sum();
        let pairs = [("endpoint", row.path), ("inbound_protocol", row.protocol())];
        out.sample(name, &labels(&pairs), open);
    }
    let name = "aisix_proxy_request_body_limit_rejections_total";
    out.family(name, Kind::Counter, "Bodies refused for their declared size, and what became of them.");
    for (place, row) in ENDPOINTS.iter().enumerate() {
        for (drain, (_, outcome)) in DRAINS.iter().enumerate() {
            let protocol = row.protocol();
            let pairs = [("endpoint", row.path), ("inbound_protocol", protocol), ("outcome", *outcome)];
            let count = sum(gateway, |board| &board.drains[place][drain]);
            write_some(name, &labels(&pairs), count, out);
        }
    }
}

fn write_refusals(gateway: &Gateway, out: &mut Exposition) {
    let name = "aisix_auth_decisions_total";
    out.family(name, Kind::Counter, "Decisions on callers.");
    for (place, (_, [method, result, reason])) in ADMISSIONS.iter().enumerate() {
        let pairs = [("method", *method), ("result", *result), ("reason", *reason)];
        write_some(name, &labels(&pairs), sum(gateway, |board| &board.admissions[place]), out);
    }
    let name = "aisix_ratelimit_rejections_total";
    out.family(name, Kind::Counter, "Requests and attempts refused by a rate limit.");
    for (scope, scope_name) in SCOPES.iter().enumerate() {
        for (layer, layer_name) in LAYERS.iter().enumerate() {
            let layer_name = layer_name.to_string();
            let pairs = [("scope", *scope_name), ("layer", &layer_name), ("policy_id", "unknown")];
            write_some(name, &labels(&pairs), sum(gateway, |board| &board.refusals[scope][layer]), out);
        }
    }
    write_refusals_of_policies(name, gateway, out);
}

fn write_refusals_of_policies(name: &str, gateway: &Gateway, out: &mut Exposition) {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    let tallies = gateway.telemetry.registry.tallies();
    for tally in tallies.iter().filter(|tally| tally.what == What::Refusals) {
        for (scope, cell) in SCOPES.iter().zip(&tally.counts) {
            let pairs = [("scope", *scope), ("layer", "policy"), ("policy_id", &*tally.texts[0])];
            *sums.entry(labels(&pairs)).or_default() += cell.read();
        }
    }
    sums.iter().for_each(|(labels, sum)| write_some(name, labels, *sum, out));
}

fn sum(gateway: &Gateway, cell: impl Fn(&Board) -> &Cell) -> u64 {
    gateway.telemetry.boards().iter().map(|board| cell(board).read()).sum()
}

fn write_some(name: &str, labels: &str, count: u64, out: &mut Exposition) {
    if count > 0 {
        out.sample(name, labels, count);
    }
}

/// A family of tallies: its name and help, the names of its two labels, and that of the counts.
struct TallyFamily {
    what: What,
    name: &'static str,
    help: &'static str,
    labels: [&'static str; 2],
    /// The name of the third label and the values that go with the counts; no name where each count is a family.
    counts: (&'static str, [&'static str; 3]),
}

const TALLIES: [TallyFamily; 4] = [
    TallyFamily {
        what: What::Tokens,
        name: "aisix_llm_tokens_by_client_total",
        help: "Tokens by the kind of client.",
        labels: ["client_type", "model"],
        counts: ("token_type", ["input", "output", "total"]),
    },
    TallyFamily {
        what: What::Cache,
        name: "aisix_cache_requests_total",
        help: "Look-ups in the response cache.",
        labels: ["policy", ""],
        counts: ("outcome", ["hit_exact", "miss", "bypass"]),
    },
    TallyFamily {
        what: What::Fallbacks,
        name: "aisix_routing_successful_fallbacks_total",
        help: "Attempts at later targets that answered.",
        labels: ["model", "fallback_model"],
        counts: ("", ["yes", "", ""]),
    },
    TallyFamily {
        what: What::Fallbacks,
        name: "aisix_routing_failed_fallbacks_total",
        help: "Attempts at later targets that failed.",
        labels: ["model", "fallback_model"],
        counts: ("", ["", "yes", ""]),
    },
];

fn write_tallies(gateway: &Gateway, out: &mut Exposition) {
    let tallies = gateway.telemetry.registry.tallies();
    for family in &TALLIES {
        out.family(family.name, Kind::Counter, family.help);
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for tally in tallies.iter().filter(|tally| tally.what == family.what) {
            let (third, values) = family.counts;
            for (cell, value) in tally.counts.iter().zip(values).filter(|(_, value)| !value.is_empty()) {
                let pairs = family.labels.iter().copied().zip(tally.texts.iter().map(|text| &**text));
                let pairs: Vec<_> =
                    pairs.chain([(third, value)]).filter(|(name, _)| !name.is_empty()).collect();
                *sums.entry(labels(&pairs)).or_default() += cell.read();
            }
        }
        sums.iter().for_each(|(labels, sum)| write_some(family.name, labels, *sum, out));
    }
}

/// What is kept of answers in this process.
fn write_cache(gateway: &Gateway, out: &mut Exposition) {
    gateway.books.cache.settle();
    let counters = gateway.books.cache.counters();
    let families = [
        ("aisix_cache_entries", Kind::Gauge, "Answers kept in this process.", counters.entries),
        ("aisix_cache_bytes", Kind::Gauge, "What the answers kept in this process weigh.", counters.bytes),
        (
            "aisix_cache_evictions_total",
            Kind::Counter,
            "Answers thrown out for newer ones.",
            counters.evicted,
        ),
    ];
    for (name, kind, help, value) in families {
        out.family(name, kind, help);
        out.sample(name, "", value);
    }
}

/// What was left of each caller's limits when it was last answered, as far as that was in this minute.
fn write_remaining(gateway: &Gateway, out: &mut Exposition) {
    let minute = Now::read().unix.as_secs() / 60;
    let mut left: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    for row in gateway.telemetry.registry.rows().iter() {
        if row.standing.minute.read() == minute {
            let pairs = [("api_key_id", row.text(Text::ApiKeyId)), ("model", row.text(Text::Model))];
            let known = left.entry(labels(&pairs)).or_insert([0; 2]);
            for (known, cell) in known.iter_mut().zip([&row.standing.requests, &row.standing.tokens]) {
                // Within a minute less and less is left, so the least is the newest; one more than is left stands there.
                let now = cell.read();
                *known = if *known == 0 || (now > 0 && now < *known) { now } else { *known };
            }
        }
    }
    let families = [
        (
            "aisix_ratelimit_remaining_requests",
            "Requests left to a key in this minute, when it was last answered.",
        ),
        (
            "aisix_ratelimit_remaining_tokens",
            "Tokens left to a key in this minute, when it was last answered.",
        ),
    ];
    for (place, (name, help)) in families.into_iter().enumerate() {
        out.family(name, Kind::Gauge, help);
        for (labels, known) in left.iter().filter(|(_, known)| known[place] > 0) {
            out.sample(name, labels, known[place] - 1);
        }
    }
}

fn write_budgets(gateway: &Gateway, out: &mut Exposition) {
    let now = Now::read();
    let snapshot = gateway.snapshot();
    let mut rows = Vec::new();
    for budget in &snapshot.budgets {
        let spend = gateway.books.ledger.spend(budget, now);
        let spent = spend.spent.0 as f64 / 1e6;
        let limit = budget.limit.0 as f64 / 1e6;
        let reset = spend.resets_at.map(|at| at.saturating_sub(now.unix).as_secs() as f64);
        rows.push((
            budget_labels(budget),
            [Some(limit), Some(spent), Some((limit - spent).max(0.0)), reset, Some(1.0)],
        ));
    }
    let families = [
        ("aisix_budget_limit_usd", "The most that may be spent in a period."),
        ("aisix_budget_spent_usd", "What is spent in this period, as far as this gateway knows."),
        ("aisix_budget_remaining_usd", "What is left in this period, as far as this gateway knows."),
        ("aisix_budget_reset_seconds", "Time until the next period begins."),
        ("aisix_budget_details_present", "Whether limit and spend of the budget are known."),
    ];
    for (place, (name, help)) in families.into_iter().enumerate() {
        out.family(name, Kind::Gauge, help);
        for (labels, values) in &rows {
            values[place].into_iter().for_each(|value| out.sample(name, labels, value));
        }
    }
}

/// How often budgets refused and warned; as many series as there are budgets, and fractions in them.
fn write_budget_tallies(gateway: &Gateway, out: &mut Exposition) {
    let snapshot = gateway.snapshot();
    let tallies = || snapshot.budgets.iter().map(|budget| (budget, gateway.books.ledger.tally(budget)));
    let name = "aisix_budget_rejections_total";
    out.family(
        name,
        Kind::Counter,
        "Requests and attempts refused by a budget, the tightest of those that refused.",
    );
    for (budget, tally) in tallies() {
        let pairs = [("budget", &*budget.name), ("scope", budget.scope.as_str())];
        write_some(name, &labels(&pairs), tally.refused, out);
    }
    let name = "aisix_budget_alerts_total";
    out.family(
        name,
        Kind::Counter,
        "How often a fraction of a budget's limit was reached (alert_at), once a period.",
    );
    for (budget, tally) in tallies() {
        for (at, count) in tally.alerts.iter().filter(|(at, _)| budget.alert_at.contains(at)) {
            let pairs = [("budget", &*budget.name), ("threshold", &*at.to_string())];
            write_some(name, &labels(&pairs), *count, out);
        }
    }
}

/// How the charges come to the disk; nothing where they do not.
fn write_journal(gateway: &Gateway, out: &mut Exposition) {
    if !gateway.journal.is_kept() {
        return;
    }
    let Counters { commits, charges, failures, corrupt, pending } = gateway.journal.counters();
    let is_well = u64::from(gateway.journal.health() == Health::Well);
    for (name, kind, help, value) in [
        ("healthy", Kind::Gauge, "Whether charges can be written to the store.", is_well),
        ("commits_total", Kind::Counter, "Transactions that brought charges to the disk.", commits),
        ("committed_charges_total", Kind::Counter, "Charges in them, one for each budget.", charges),
        ("failures_total", Kind::Counter, "Transactions that failed.", failures),
        ("corrupt_rows", Kind::Gauge, "Rows that are not as they were written, and do not count.", corrupt),
        (
            "pending_micro_usd",
            Kind::Gauge,
            "Charges that are not on the disk yet, over all budgets.",
            pending,
        ),
    ] {
        let name = format!("aisix_ledger_journal_{name}");
        out.family(&name, kind, help);
        out.sample(&name, "", value);
    }
}

fn budget_labels(budget: &Budget) -> String {
    let of = |scope: BudgetScope| {
        let reference = budget.scope_ref.as_deref().filter(|_| budget.scope == scope);
        reference.unwrap_or("unknown")
    };
    labels(&[
        ("api_key_id", of(BudgetScope::ApiKey)),
        ("team_id", of(BudgetScope::Team)),
        ("user_id", of(BudgetScope::Member)),
        ("budget", &budget.name),
    ])
}

fn write_deployments(gateway: &Gateway, out: &mut Exposition) {
    let (now, snapshot) = (Now::read(), gateway.snapshot());
    let mut rows = Vec::new();
    for model in snapshot.models() {
        if let Dispatch::Direct(direct) = &model.dispatch {
            let pairs = [
                ("provider", &*direct.provider_label),
                ("model", &*model.name),
                ("upstream_model", &*direct.upstream_model),
                ("provider_key_id", &*direct.provider_key),
            ];
            rows.push((labels(&pairs), gateway.books.health.status(&model.id, now)));
        }
    }
    let name = "aisix_deployment_state";
    out.family(name, Kind::Gauge, "How a target stands: 0 healthy, 2 cooling or unhealthy.");
    for (labels, status) in &rows {
        out.sample(name, labels, if status.condition == Condition::Healthy { 0 } else { 2 });
    }
    let name = "aisix_deployment_cooled_down_total";
    out.family(name, Kind::Counter, "How often a target began to cool, or cools for longer.");
    for (labels, status) in &rows {
        write_some(name, labels, status.cooled, out);
    }
}

/// What this build is, and what of its own telling was lost.
fn write_own(gateway: &Gateway, out: &mut Exposition) {
    out.family("aisix_build_info", Kind::Gauge, "This build, and what its operator calls it.");
    let snapshot = gateway.snapshot();
    let service_name = &snapshot.settings.observability.service_name;
    let pairs = [("version", env!("CARGO_PKG_VERSION")), ("service_name", service_name)];
    out.sample("aisix_build_info", &labels(&pairs), 1);
    let name = "aisix_log_lines_dropped_total";
    out.family(name, Kind::Counter, "Log lines dropped because the log is read too slowly.");
    out.sample(name, "", gateway.telemetry.log.as_ref().map_or(0, |log| log.dropped()));
    let name = "aisix_metrics_collapsed_total";
    out.family(name, Kind::Counter, "Requests that count as \"other\" because there are too many series.");
    out.sample(name, "", gateway.telemetry.registry.collapsed());
}
