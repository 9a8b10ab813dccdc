//! Metrics about the configuration: whether it is the one that the operator means to run (§13.1).

use super::exposition::{Exposition, Kind, labels};
use crate::config;
use crate::gateway::Gateway;
use crate::registry::FailureKind;

/// Writes the families of the configuration.
pub(super) fn write(gateway: &Gateway, out: &mut Exposition) {
    let status = gateway.status.load();
    let mut one = |name: &str, kind: Kind, help: &str, value: u64| {
        out.family(name, kind, help);
        out.sample(name, "", value);
    };
    let is_good = status.last_reload.as_ref().is_none_or(|(is_good, _)| *is_good);
    one(
        "aisix_config_last_reload_successful",
        Kind::Gauge,
        "Whether the last load of the file was applied.",
        u64::from(is_good),
    );
    one(
        "aisix_config_last_reload_success_timestamp_seconds",
        Kind::Gauge,
        "When the file in force was applied.",
        status.last_success.as_second().unsigned_abs(),
    );
    one("aisix_config_reloads_total", Kind::Counter, "Reloads of the file that were tried.", status.reloads);
    one(
        "aisix_config_applied_total",
        Kind::Counter,
        "Configurations applied, writes of the Admin API included.",
        status.applied,
    );
    one(
        "aisix_config_store_connected",
        Kind::Gauge,
        "Whether the store of the Admin API can be used.",
        u64::from(status.store_failure().is_none()),
    );
    let name = "aisix_config_reload_failures_total";
    out.family(name, Kind::Counter, "Loads that came to grief, by where.");
    for (kind, count) in FailureKind::ALL.iter().zip(status.failures) {
        out.sample(name, &labels(&[("reason", kind.label())]), count);
    }
    let name = "aisix_config_rejected_resources";
    out.family(name, Kind::Gauge, "Stored resources that cannot be used.");
    for kind in config::Kind::ALL {
        let count = status.rejected.iter().filter(|row| row.kind == kind.collection()).count();
        out.sample(name, &labels(&[("kind", kind.collection())]), count);
    }
    let name = "aisix_config_resources";
    out.family(name, Kind::Gauge, "Resources in force.");
    for (kind, count) in &status.counts {
        out.sample(name, &labels(&[("kind", kind.collection())]), count);
    }
    let name = "aisix_config_hash_info";
    out.family(name, Kind::Gauge, "The configuration in force, as its hash.");
    out.sample(name, &labels(&[("hash", &status.config_hash)]), 1);
}
