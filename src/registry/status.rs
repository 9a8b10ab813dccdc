//! How the configuration stands: what is applied, what was refused, what is served although it is old (§12.5).

use jiff::Timestamp;
use serde::Serialize;

use crate::config::Kind;

/// Where a load came to grief.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The file could not be read.
    Fetch,
    /// The file is no TOML.
    Parse,
    /// The file says what cannot be.
    Validate,
    /// The store could not be read.
    Store,
}

impl FailureKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Fetch, Self::Parse, Self::Validate, Self::Store];

    /// The name in metrics.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Parse => "parse",
            Self::Validate => "validate",
            Self::Store => "store",
        }
    }
}

/// A load that came to grief.
#[derive(Clone, Debug)]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// Where.
    pub kind: FailureKind,
    /// The whole report.
    pub report: String,
}

/// A stored resource that cannot be used.
#[derive(Clone, Debug)]
pub struct RejectedRow {
    /// The collection, as it is written in the store.
    pub kind: String,
    /// The id.
    pub id: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub first_seen: Timestamp,
    /// When it was last tried.
    pub last_seen: Timestamp,
}

/// How the configuration stands.
#[derive(Clone, Debug)]
pub struct Status {
    /// SHA-256 of the file in force.
    pub source_hash: String,
    /// When that file was read.
    pub observed_at: Timestamp,
    /// SHA-256 of the file in force and of the revisions of everything that is stored.
    pub config_hash: String,
    /// How many configurations were applied in this process, writes of the Admin API included.
    pub applied: u64,
    /// When the last one was applied.
    pub applied_at: Timestamp,
    /// Resources in force.
    pub counts: Vec<(Kind, usize)>,
    /// Whether the last reload was good, and when it was.
    pub last_reload: Option<(bool, Timestamp)>,
    /// When the file in force was applied.
    pub last_success: Timestamp,
    /// The last failure; a later success leaves it.
    pub last_failure: Option<Failure>,
    /// Reloads that were tried.
    pub reloads: u64,
    /// Failures, in the order of [`FailureKind::ALL`].
    pub failures: [u64; FailureKind::ALL.len()],
    /// Stored resources that cannot be used.
    pub rejected: Vec<RejectedRow>,
    /// Settings whose new values wait for a restart.
    pub restart_required: Vec<&'static str>,
    /// Why the store cannot be read, if it cannot.
    pub store_error: Option<String>,
    /// Why the last write could not be made, if it could not.
    pub write_error: Option<String>,
}

impl Status {
    /// The status of a gateway that has applied nothing yet.
    #[must_use]
    pub fn at_start(now: Timestamp) -> Self {
        Self {
            source_hash: String::new(),
            observed_at: now,
            config_hash: String::new(),
            applied: 0,
            applied_at: now,
            counts: Vec::new(),
            last_reload: None,
            last_success: now,
            last_failure: None,
            reloads: 0,
            failures: [0; FailureKind::ALL.len()],
            rejected: Vec::new(),
            restart_required: Vec::new(),
            store_error: None,
            write_error: None,
        }
    }

    /// Notes a failure.
    pub fn fail(&mut self, now: Timestamp, kind: FailureKind, report: String) {
        let counted = FailureKind::ALL.iter().zip(&mut self.failures).find(|(known, _)| **known == kind);
        if let Some((_, count)) = counted {
            *count = count.saturating_add(1);
        }
        self.last_failure = Some(Failure { at: now, kind, report });
    }

    /// Why the store cannot be used, if it cannot.
    #[must_use]
    pub fn store_failure(&self) -> Option<&String> {
        self.store_error.as_ref().or(self.write_error.as_ref())
    }

    /// The state in one word (§12.5).
    #[must_use]
    pub fn state(&self) -> &'static str {
        let resources: usize = self.counts.iter().map(|(_, count)| count).sum();
        match self {
            Self { applied: 0, .. } => "never_loaded",
            Self { last_reload: Some((false, _)), .. } => "out_of_sync",
            Self { rejected, .. } if !rejected.is_empty() && resources == 0 => "out_of_sync",
            Self { rejected, .. } if !rejected.is_empty() || self.store_failure().is_some() => "degraded",
            _ if resources == 0 => "empty",
            _ => "synced",
        }
    }

    /// The document of `GET /status/config`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let instant = |at: &Timestamp| at.round(jiff::Unit::Second).unwrap_or(*at).to_string();
        let counts: serde_json::Map<_, _> =
            self.counts.iter().map(|(kind, count)| (kind.collection().to_owned(), (*count).into())).collect();
        let rejected = self.rejected.iter().map(|row| {
            serde_json::json!({
                "resource_kind": row.kind,
                "resource_id": row.id,
                "last_error_kind": "validate",
                "last_error": row.reason,
                "first_seen_at": instant(&row.first_seen),
                "last_seen_at": instant(&row.last_seen),
            })
        });
        serde_json::json!({
            "state": self.state(),
            "source": {
                "type": "file",
                "source_hash": self.source_hash,
                "observed_at": instant(&self.observed_at),
            },
            "store": { "connected": self.store_failure().is_none(), "last_error": self.store_failure() },
            "applied": (self.applied > 0).then(|| serde_json::json!({
                "config_hash": self.config_hash,
                "apply_seq": self.applied,
                "applied_at": instant(&self.applied_at),
                "resource_counts": counts,
            })),
            "last_reload": self.last_reload.as_ref().map(|(successful, at)| serde_json::json!({
                "successful": successful,
                "at": instant(at),
            })),
            "last_failure": self.last_failure.as_ref().map(|failure| serde_json::json!({
                "at": instant(&failure.at),
                "last_error_kind": failure.kind,
                "last_error": failure.report,
            })),
            "rejected": rejected.collect::<Vec<_>>(),
            "partially_compatible": [],
            "restart_required": self.restart_required,
        })
    }
}
