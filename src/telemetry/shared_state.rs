//! The metrics of what several gateways share in Redis.

use std::sync::atomic::Ordering::Relaxed;

use aisix_actors::budget_ledger::Backlog;
use aisix_actors::redis::{Server, Tally, Use};

use super::exposition::{Exposition, Kind, labels};
use crate::gateway::Gateway;

/// Writes them, for every use that has a Redis.
pub fn write(gateway: &Gateway, out: &mut Exposition) {
    let servers = &gateway.books.redis;
    let uses = Use::ALL.iter().filter_map(|used_for| Some((*used_for, &**servers.of(*used_for)?)));
    let uses: Vec<(Use, &Server)> = uses.collect();
    if uses.is_empty() {
        return;
    }
    let name = "aisix_redis_up";
    out.family(name, Kind::Gauge, "Whether the Redis of a use can be asked: 0 while any worker cannot.");
    for (used_for, server) in &uses {
        out.sample(name, &labels(&[("use", &used_for.to_string())]), u8::from(server.is_up()));
    }
    let mut write_counter = |name: &str, help: &str, count: fn(&Tally) -> u64| {
        out.family(name, Kind::Counter, help);
        for (used_for, server) in &uses {
            out.sample(name, &labels(&[("use", &used_for.to_string())]), count(server.tally(*used_for)));
        }
    };
    write_counter("aisix_redis_failures_total", "Calls of Redis that failed or were late.", Tally::failures);
    let help = "Requests decided without the Redis of a use.";
    write_counter("aisix_redis_fallbacks_total", help, Tally::fallbacks);
    if let Some(shared) = &gateway.books.shared_budgets {
        write_backlog(&shared.backlog, out);
        let name = "aisix_redis_lost_spend_micro_usd_total";
        let help =
            "Millionths of a dollar of spend that Redis was found to have lost, and that were put back.";
        out.family(name, Kind::Counter, help);
        out.sample(name, "", shared.lost());
    }
}

fn write_backlog(backlog: &Backlog, out: &mut Exposition) {
    let families = [
        ("batches", "Batches of charges that Redis does not have yet.", &backlog.batches),
        ("micro_usd", "Millionths of a dollar in charges that Redis does not have yet.", &backlog.micro_usd),
        ("age_seconds", "Age of the oldest charges that Redis does not have yet.", &backlog.age_secs),
    ];
    for (what, help, figure) in families {
        let name = format!("aisix_ledger_forward_pending_{what}");
        out.family(&name, Kind::Gauge, help);
        out.sample(&name, "", figure.load(Relaxed));
    }
}
