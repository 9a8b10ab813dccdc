//! Writes of the Admin API: checked against everything else, made durable, and only then put into force.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::book::{Book, Trial};
use super::write::{Action, Before, Draft, Write, Written, draft, invalid};
use crate::config::resources::Resources;
use crate::config::{Kind, Problem, Problems, Snapshot};
use crate::error::AdminError;

/// Most resources that a refusal lists.
const MAX_LISTED: usize = 10;

/// What came of each write, and the configuration with those that were done.
pub(super) type Outcomes = (Vec<Result<Written, AdminError>>, Option<Snapshot>);

/// What earlier writes of the same batch have made of a resource.
type Overlay = HashMap<(Kind, String), Option<Before>>;

impl Book {
    /// Makes writes durable, with one transaction where that is possible; each has an outcome of its own.
    ///
    /// Other processes cannot write meanwhile, and what they wrote before is taken over first.
    pub fn write(&mut self, writes: Vec<Write>) -> Outcomes {
        let mut latest = None;
        if writes.len() > 1 {
            latest = self.lock();
            if let Ok((outcomes, snapshot)) = self.write_together(writes.clone()) {
                self.unlock();
                return (outcomes, snapshot.or(latest));
            }
        }
        let mut outcomes = Vec::with_capacity(writes.len());
        for write in writes {
            latest = self.lock().or(latest);
            match self.write_together(vec![write]) {
                Ok((outcome, snapshot)) => {
                    outcomes.extend(outcome);
                    latest = snapshot.or(latest);
                }
                Err(refusal) => outcomes.push(Err(refusal)),
            }
        }
        self.unlock();
        (outcomes, latest)
    }

    /// Makes all writes that are good in themselves, or none.
    ///
    /// # Errors
    /// They do not fit the others, or one another.
    fn write_together(&mut self, writes: Vec<Write>) -> Result<Outcomes, AdminError> {
        let (drafts, trial) = self.try_all(writes);
        if drafts.iter().all(Result::is_err) {
            return Ok((drafts.into_iter().map(|draft| draft.map(|draft| draft.written)).collect(), None));
        }
        let trial = trial.map_err(|problems| refusal(&drafts, &problems))?;
        if let Err(error) = self.save(&drafts) {
            let refused =
                |draft: Result<Draft, AdminError>| Err(draft.err().unwrap_or_else(|| error.clone()));
            return Ok((drafts.into_iter().map(refused).collect(), None));
        }
        let snapshot = self.accept(trial);
        Ok((drafts.into_iter().map(|draft| draft.map(|draft| draft.written)).collect(), Some(snapshot)))
    }

    /// Makes all writes or none; a dry run stops before the store.
    ///
    /// # Errors
    /// Every reason why not.
    pub(super) fn write_all(&mut self, writes: Vec<Write>, is_dry_run: bool) -> Result<(), String> {
        if writes.is_empty() {
            return Ok(());
        }
        let labels: Vec<String> = writes.iter().map(label).collect();
        drop(self.lock());
        let (drafts, trial) = self.try_all(writes);
        let named = drafts.iter().zip(&labels);
        let refusals: Vec<String> = named
            .filter_map(|(draft, label)| draft.as_ref().err().map(|error| format!("{label}: {error}")))
            .collect();
        if !refusals.is_empty() {
            return Err(refusals.join("\n"));
        }
        let trial = trial.map_err(|problems| problems.to_string())?;
        if !is_dry_run {
            self.save(&drafts).map_err(|error| error.to_string())?;
            drop(self.accept(trial));
        }
        Ok(())
    }

    /// Checks each write by itself, and then all that are good together with everything else.
    fn try_all(&mut self, writes: Vec<Write>) -> (Vec<Result<Draft, AdminError>>, Result<Trial, Problems>) {
        let (drafts, stored) = self.drafts(writes);
        let touched: Vec<_> = drafts.iter().flatten().map(|draft| (draft.kind, draft.id.clone())).collect();
        let trial = self.try_with(stored, &touched);
        (drafts, trial)
    }

    /// Puts the good ones into the store.
    fn save(&mut self, drafts: &[Result<Draft, AdminError>]) -> Result<(), AdminError> {
        let changes: Vec<_> = drafts.iter().flatten().map(|draft| &draft.change).collect();
        let saved = match self.lock_failure() {
            Some(failure) => Err(failure),
            None => self.writable_store().and_then(|store| {
                store.apply(&changes).map_err(|error| AdminError::Store(error.to_string()))
            }),
        };
        self.note_write(saved.as_ref().err());
        saved
    }

    /// Checks each write by itself, in order, and gives the stored resources with all that are good.
    fn drafts(&mut self, writes: Vec<Write>) -> (Vec<Result<Draft, AdminError>>, Resources) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut stored = self.stored().clone();
        let mut overlay = Overlay::new();
        let mut drafts = Vec::with_capacity(writes.len());
        for write in writes {
            let drafted = self.before(&write, &overlay).and_then(|before| draft(write, before.as_ref(), now));
            if let Ok(draft) = &drafted {
                match &draft.resource {
                    Some(resource) => stored.put(resource.clone()),
                    None => stored.remove(draft.kind, &draft.id),
                }
                overlay.insert((draft.kind, draft.id.clone()), draft.after());
            }
            drafts.push(drafted);
        }
        (drafts, stored)
    }

    /// What a write finds.
    ///
    /// # Errors
    /// 409 for what the file declares, 500 where the store cannot be read.
    fn before(&mut self, write: &Write, overlay: &Overlay) -> Result<Option<Before>, AdminError> {
        let Some(id) = write.action.id() else { return Ok(None) };
        if let Some(place) = self.declared_at(write.kind, id) {
            let noun = write.kind.noun();
            return Err(AdminError::Conflict(format!("this {noun} is read-only here: {place}")));
        }
        if let Some(before) = overlay.get(&(write.kind, id.to_owned())) {
            return Ok(before.clone());
        }
        if !self.has_store() {
            return if matches!(write.action, Action::Put(..)) {
                Ok(None)
            } else {
                Err(AdminError::NotFound)
            };
        }
        let row = self.writable_store()?.row(write.kind, id);
        let row = row.map_err(|error| AdminError::Store(error.to_string()))?;
        Ok(row.map(|row| Before { revision: row.revision, body: row.body }))
    }
}

/// What a write is about, by name where it has one.
fn label(write: &Write) -> String {
    let body = match &write.action {
        Action::Create(body) | Action::Put(_, body) | Action::Patch(_, body) => body.as_object(),
        Action::Delete(_) | Action::Rotate(..) => None,
    };
    let name = body.and_then(|body| body.get(write.kind.identity())).and_then(|name| name.as_str());
    format!("{} \"{}\"", write.kind.noun(), name.or(write.action.id()).unwrap_or_default())
}

/// Why drafts do not fit: their own fault, or that others need what they change.
fn refusal(drafts: &[Result<Draft, AdminError>], problems: &Problems) -> AdminError {
    let [Ok(draft)] = drafts else {
        return AdminError::Conflict("the writes do not fit one another".into());
    };
    let address = draft.address();
    let own: Vec<&Problem> =
        problems.iter().filter(|problem| problem.stored.as_deref() == Some(&*address)).collect();
    let is_own = !own.is_empty();
    // Where two have the same name, the report is about the later one, whichever of them is new.
    let conflicts: Vec<&Problem> = match is_own {
        true => own.clone(),
        false => problems.iter().filter(|problem| problem.is_conflict).collect(),
    };
    if !conflicts.is_empty() && conflicts.iter().all(|problem| problem.is_conflict) {
        let texts = conflicts.iter().map(|problem| taken(draft, problem));
        return AdminError::Conflict(texts.collect::<Vec<_>>().join("; "));
    }
    if !is_own {
        return AdminError::Conflict(needed_by(draft, problems));
    }
    invalid(draft.kind, own.into_iter())
}

/// What another resource has already: a name, a key, or an id.
fn taken(draft: &Draft, problem: &Problem) -> String {
    let whole = problem.path.as_str();
    let (path, other) = match &problem.stored {
        // The other one's member is called as the own one, wherever it stands.
        Some(address) if **address != *draft.address() => {
            (whole.rsplit('.').next().unwrap_or(whole), format!("{address} in the store"))
        }
        _ => (whole, problem.message.clone()),
    };
    match draft.text_at(path) {
        Some(value) => format!("name \"{value}\" already in use by another resource: {other}"),
        None => problem.message.clone(),
    }
}

fn needed_by(draft: &Draft, problems: &Problems) -> String {
    let what = match draft.resource {
        None => "is still referred to by",
        Some(_) => "cannot be changed so, because of",
    };
    let mut others: Vec<String> = problems
        .iter()
        .map(|problem| match &problem.stored {
            Some(address) => format!("{address} ({})", problem.path),
            None => format!("{} ({}{})", problem.path, problem.file, line(problem.line)),
        })
        .collect();
    others.sort();
    others.dedup();
    let count = others.len();
    others.truncate(MAX_LISTED);
    let more = if count > MAX_LISTED { format!(" and {} more", count - MAX_LISTED) } else { String::new() };
    format!("the {} {what} {}{more}", draft.kind.noun(), others.join(", "))
}

fn line(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(":{line}"))
}
