//! Which stored resources are good: those that can be read and fit everything else.

use std::collections::HashMap;

use jiff::Timestamp;

use super::status::RejectedRow;
use super::store::StoredRow;
use crate::config::resources::{Resource, Resources};
use crate::config::stored::Row;
use crate::config::{Config, Declaration, Kind, Problem, Problems};

/// A stored resource that could be read and does not fit the others.
pub(super) struct Misfit {
    pub(super) kind: Kind,
    resource: Resource,
}

/// Stored resources, sorted.
#[derive(Default)]
pub(super) struct Sorted {
    pub(super) good: Resources,
    pub(super) misfits: Vec<Misfit>,
    pub(super) rejected: Vec<RejectedRow>,
}

impl Misfit {
    pub(super) fn id(&self) -> &str {
        self.resource.entry().id()
    }

    pub(super) fn again(&self) -> Self {
        Self { kind: self.kind, resource: self.resource.clone() }
    }

    pub(super) fn address(&self) -> String {
        format!("{}/{}", self.kind.collection(), self.id())
    }
}

/// Reads stored rows one by one; those that cannot be read are rejected.
pub(super) fn read_rows(rows: &[StoredRow]) -> Sorted {
    let mut sorted = Sorted::default();
    for row in rows {
        let Some(kind) = Kind::of_collection(&row.kind) else {
            let reason = "this version of the gateway has no such kind of resource".to_owned();
            sorted.rejected.push(rejected(&row.kind, &row.id, reason));
            continue;
        };
        let mut problems = Problems::new("");
        let body = Row { id: &row.id, revision: row.revision, body: &row.body };
        let resource = Resource::read(kind, &body, &mut problems);
        if problems.is_empty() {
            sorted.misfits.push(Misfit { kind, resource });
        } else {
            sorted.rejected.push(rejected(&row.kind, &row.id, reasons(problems.iter())));
        }
    }
    sorted
}

/// Resolves everything, and leaves out those of the doubtful resources that do not fit.
///
/// # Errors
/// What is wrong with the rest.
pub(super) fn sort(
    declaration: &Declaration,
    good: Resources,
    doubtful: Sorted,
) -> Result<(Config, Sorted), Problems> {
    let Sorted { misfits: mut candidates, rejected: mut rejects, .. } = doubtful;
    let mut misfits = Vec::new();
    loop {
        let mut all = good.clone();
        for candidate in &candidates {
            all.push(candidate.resource.clone());
        }
        let problems = match declaration.resolve(&all) {
            Ok(config) => return Ok((config, Sorted { good: all, misfits, rejected: rejects })),
            Err(problems) => problems,
        };
        let mut reasons_of: HashMap<&str, Vec<_>> = HashMap::new();
        for problem in problems.iter() {
            if let Some(address) = problem.stored.as_deref() {
                reasons_of.entry(address).or_default().push(problem);
            }
        }
        let (out, fit): (Vec<_>, Vec<_>) = std::mem::take(&mut candidates)
            .into_iter()
            .partition(|candidate| reasons_of.contains_key(candidate.address().as_str()));
        if out.is_empty() {
            return Err(problems);
        }
        for misfit in out {
            let found = reasons_of.remove(misfit.address().as_str()).unwrap_or_default();
            rejects.push(rejected(misfit.kind.collection(), misfit.id(), reasons(found.into_iter())));
            misfits.push(misfit);
        }
        candidates = fit;
    }
}

fn reasons<'p>(problems: impl Iterator<Item = &'p Problem>) -> String {
    let text = |problem: &Problem| match problem.path.as_str() {
        "" => problem.message.clone(),
        path => format!("{path}: {}", problem.message),
    };
    problems.map(text).collect::<Vec<_>>().join("; ")
}

fn rejected(kind: &str, id: &str, reason: String) -> RejectedRow {
    let now = Timestamp::now();
    RejectedRow { kind: kind.into(), id: id.into(), reason, first_seen: now, last_seen: now }
}
