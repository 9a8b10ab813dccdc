//! What must be so of the books when a round is over: they agree with the records.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aisix::config::snapshot::{Dispatch, Model};
use aisix_actors::Now;
use aisix_actors::budget_ledger::Budget;
use aisix_actors::rate_limiter::Scope;
use serde_json::Value;

use super::judge::Wrong;
use crate::harness::Gateway;

/// The minute of the clock.
pub fn minute() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() / 60
}

/// Sums a member over the records that are of one kind.
fn sum(lines: &[Value], member: &str, is_meant: impl Fn(&Value) -> bool) -> u64 {
    let meant = lines.iter().filter(|line| is_meant(line));
    meant.map(|line| line[member].as_u64().expect("a number")).sum()
}

/// Judges the books; `since` is the minute in which the round began.
pub fn judge(gateway: &Gateway, lines: &[Value], since: u64) -> Result<(), Wrong> {
    metrics(gateway, lines)?;
    let snapshot = gateway.gateway.snapshot();
    let books = &gateway.gateway.books;
    let is_of_target = |line: &Value, name: &str| {
        line.get("attempt_model").or(line.get("requested_model")).is_some_and(|own| own == name)
    };
    let is_named = |line: &Value, name: &str| line["requested_model"] == name;
    let ensure_spent = |budgets: &[Arc<Budget>], what: &str, of: &dyn Fn(&Value) -> bool| {
        for budget in budgets {
            let spent = books.ledger.spend(budget, Now::read()).spent.0;
            let is_all = budget.scope.as_str() == "org";
            let recorded = sum(lines, "cost_micro_usd", |line| is_all || of(line));
            if spent != recorded {
                return Err(format!("{what}: {spent} spent under {}, and {recorded} recorded", budget.name));
            }
        }
        Ok(())
    };
    let tokens = |scope: &Scope, of: &dyn Fn(&Value) -> bool| {
        let used = books.limits.peek(scope, Now::read()).used_tokens_minute;
        let recorded = sum(lines, "prompt_tokens", of) + sum(lines, "completion_tokens", of);
        // Another minute begins with nothing.
        let is_right = scope.limit.tpm.is_none() || used == recorded || minute() != since;
        if is_right { Ok(()) } else { Err(format!("{}: {used} tokens used, {recorded} recorded", scope.id)) }
    };
    for key in snapshot.api_keys() {
        ensure_spent(&key.budgets, "the key", &|_| true)?;
        if let Some(scope) = &key.rate_limit {
            tokens(scope, &|_| true)?;
        }
    }
    for model in snapshot.models() {
        let Model { name, dispatch, budgets, rate_limit, .. } = &**model;
        let is_meant: &dyn Fn(&Value) -> bool = match dispatch {
            Dispatch::Routing(_) => &|line| is_named(line, name),
            Dispatch::Direct(_) => &|line| is_of_target(line, name),
        };
        ensure_spent(budgets, name, is_meant)?;
        if let Some(scope) = rate_limit {
            tokens(scope, is_meant)?;
        }
        if let Dispatch::Direct(direct) = dispatch {
            let key = format!("key-{name}");
            ensure_spent(&direct.provider_key_budgets, &key, &|line| line["pk_label"] == *key)?;
        }
    }
    Ok(())
}

/// The metrics count the tokens and the money of the records.
fn metrics(gateway: &Gateway, lines: &[Value]) -> Result<(), Wrong> {
    let metrics = gateway.metrics();
    for (family, member) in [
        ("aisix_llm_input_tokens_total", "prompt_tokens"),
        ("aisix_llm_output_tokens_total", "completion_tokens"),
        ("aisix_llm_spend_micro_usd_total", "cost_micro_usd"),
    ] {
        let (counted, recorded) = (metrics.sum(family, &[]), sum(lines, member, |_| true));
        if counted != recorded as f64 {
            return Err(format!("{family} is {counted}, and {recorded} are recorded"));
        }
    }
    Ok(())
}
