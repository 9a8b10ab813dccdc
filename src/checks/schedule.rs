//! Which model is to be asked when. Plain, so that a reload in the middle of a question can be tried without one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use aisix_actors::candidate_router::Check;

use crate::config::snapshot::{BackgroundCheck, Direct, Dispatch, Model, Snapshot};

/// The models that are checked, in the order of declaration.
#[derive(Default)]
pub(super) struct Schedule {
    rows: Vec<Row>,
    /// How many questions there were so far that differ.
    rounds: u64,
}

/// A model whose time has come.
pub(super) struct Due {
    /// The model.
    pub(super) model: Arc<Model>,
    /// Which question it is asked; after a change of the configuration it is another.
    round: u64,
}

struct Row {
    model: Arc<Model>,
    round: u64,
    /// When it is to be asked again; nothing for a time that never comes.
    due: Option<Instant>,
    /// When it was last asked.
    asked: Option<Instant>,
    is_being_asked: bool,
    verdict: Option<Check>,
}

impl Schedule {
    /// Takes over the models of a configuration: new ones, and those that are asked something else, are due at once.
    /// Gives those that are there and not checked any more although they failed.
    pub(super) fn follow(&mut self, snapshot: &Snapshot, now: Instant) -> Vec<Arc<str>> {
        let known = std::mem::take(&mut self.rows).into_iter().map(|row| (row.model.id.clone(), row));
        let mut known: HashMap<Arc<str>, Row> = known.collect();
        let mut unchecked = Vec::new();
        for model in snapshot.models() {
            let before = known.remove(&model.id);
            let failed = |row: &Row| matches!(row.verdict, Some(Check::Failed(_)));
            let Some(interval) = checked(model).map(|(_, check)| check.interval) else {
                unchecked.extend(before.filter(failed).map(|row| row.model.id.clone()));
                continue;
            };
            let row = match before {
                Some(row) if is_same_question(&row.model, model) => Row {
                    model: model.clone(),
                    due: row.asked.map_or(Some(now), |asked| asked.checked_add(interval)),
                    ..row
                },
                before => {
                    self.rounds += 1;
                    Row {
                        model: model.clone(),
                        round: self.rounds,
                        due: Some(now),
                        asked: None,
                        is_being_asked: false,
                        // The router knows no better yet.
                        verdict: before.and_then(|row| row.verdict),
                    }
                }
            };
            self.rows.push(row);
        }
        unchecked
    }

    /// The model that has waited longest, if the time of one has come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Due> {
        let waiting = self.rows.iter_mut().filter(|row| !row.is_being_asked);
        let row = waiting.filter(|row| row.due.is_some_and(|due| due <= now)).min_by_key(|row| row.due)?;
        row.is_being_asked = true;
        row.asked = Some(now);
        row.due = checked(&row.model).and_then(|(_, check)| now.checked_add(check.interval));
        Some(Due { model: row.model.clone(), round: row.round })
    }

    /// When the next one is due that is not being asked.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.rows.iter().filter(|row| !row.is_being_asked).filter_map(|row| row.due).min()
    }

    /// Notes a verdict, and gives the one before; nothing where nobody asks that question any more.
    pub(super) fn conclude(&mut self, due: &Due, verdict: Check) -> Option<Option<Check>> {
        let row = self.answered(due)?;
        Some(row.verdict.replace(verdict))
    }

    /// Notes that there was no verdict; it is asked again at its next turn.
    pub(super) fn put_back(&mut self, due: &Due) {
        self.answered(due);
    }

    fn answered(&mut self, due: &Due) -> Option<&mut Row> {
        let row = self.rows.iter_mut().find(|row| row.round == due.round)?;
        row.is_being_asked = false;
        Some(row)
    }
}

/// What is asked of a model, where it is one that can be asked: a name that a caller completes stands for no model.
fn checked(model: &Model) -> Option<(&Direct, &BackgroundCheck)> {
    match &model.dispatch {
        Dispatch::Direct(direct) if !direct.upstream_model.contains('*') => {
            Some((direct, direct.background_check.as_deref()?))
        }
        Dispatch::Direct(_) | Dispatch::Routing(_) => None,
    }
}

/// Whether an answer of one is an answer of the other. How often it is asked and how long an answer counts does not matter.
fn is_same_question(one: &Model, other: &Model) -> bool {
    let (Some((one, asked)), Some((other, now_asked))) = (checked(one), checked(other)) else { return false };
    one.upstream_model == other.upstream_model
        && one.provider.name() == other.provider.name()
        && one.key == other.key
        && one.default_headers.0 == other.default_headers.0
        && (&asked.prompt, asked.max_tokens) == (&now_asked.prompt, now_asked.max_tokens)
        && (asked.timeout, &asked.ignore_statuses) == (now_asked.timeout, &now_asked.ignore_statuses)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::parse;

    /// A configuration of models, each with further lines of its table.
    fn snapshot(models: &[(&str, &str)]) -> Snapshot {
        let key = "[[provider_keys]]\ndisplay_name = \"mock\"\nprovider = \"mock\"\n".to_owned();
        let model = |(name, more): &(&str, &str)| {
            format!(
                "[[models]]\ndisplay_name = \"{name}\"\nprovider_key = \"mock\"\nmodel_name = \"x{more}\n"
            )
        };
        let text = key + &models.iter().map(model).collect::<String>();
        let config = parse("config.toml", &text, &|_| None, &[]);
        Snapshot::build(config.unwrap_or_else(|problems| panic!("{problems}")))
    }

    fn every(seconds: u64) -> String {
        format!(
            "\"\nbackground_model_check = {{ enabled = true, interval_seconds = {seconds}, timeout_seconds = 1, \
             prompt = \"p\", max_tokens = 1, stale_after_seconds = {} }}",
            i64::MAX
        )
    }

    /// The names of all models whose time has come.
    fn take(schedule: &mut Schedule, now: Instant) -> Vec<Due> {
        std::iter::from_fn(|| schedule.take_due(now)).collect()
    }

    fn names(due: &[Due]) -> Vec<&str> {
        due.iter().map(|due| &*due.model.name).collect()
    }

    const FAILED: Check = Check::Failed(Some(500));

    #[test]
    fn each_model_is_asked_at_once_and_then_in_its_own_time() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut schedule = Schedule::default();
        let unchecked = snapshot(&[
            ("a", &every(5)),
            ("b", &every(8)),
            ("c", "\""),
            ("d*", &every(5).replacen('"', "*\"", 1)),
        ]);
        assert!(schedule.follow(&unchecked, start).is_empty());
        let due = take(&mut schedule, start);
        assert_eq!(names(&due), ["a", "b"]);
        assert_eq!(schedule.next_due(), None, "both are being asked");
        assert_eq!(schedule.conclude(&due[0], Check::Passed), Some(None));
        assert_eq!(schedule.next_due(), Some(after(5)));
        assert!(take(&mut schedule, after(4)).is_empty());
        schedule.put_back(&due[1]);
        let due = take(&mut schedule, after(9));
        assert_eq!(names(&due), ["a", "b"], "who has waited longest comes first");
        assert_eq!(schedule.conclude(&due[0], FAILED), Some(Some(Check::Passed)));
        assert_eq!(schedule.next_due(), Some(after(14)));
    }

    #[test]
    fn a_time_beyond_the_clock_never_comes() {
        let mut schedule = Schedule::default();
        schedule.follow(&snapshot(&[("a", &every(i64::MAX as u64 - 2))]), Instant::now());
        let due = take(&mut schedule, Instant::now());
        schedule.put_back(&due[0]);
        assert!(schedule.next_due().is_none_or(|due| due > Instant::now() + Duration::from_secs(1 << 30)));
    }

    #[test]
    fn a_reload_keeps_the_time_of_what_stays_and_asks_what_changes_at_once() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut schedule = Schedule::default();
        schedule.follow(&snapshot(&[("a", &every(50)), ("b", &every(50))]), start);
        let due = take(&mut schedule, start);
        let before: Vec<_> = due.iter().map(|due| schedule.conclude(due, FAILED)).collect();
        assert_eq!(before, [Some(None), Some(None)]);
        let changed = every(50).replace("\"p\"", "\"q\"");
        schedule.follow(&snapshot(&[("a", &every(20)), ("b", &changed), ("c", &every(50))]), after(1));
        let due = take(&mut schedule, after(1));
        assert_eq!(names(&due), ["b", "c"]);
        assert_eq!(schedule.next_due(), Some(after(20)));
        assert_eq!(
            schedule.conclude(&due[0], FAILED),
            Some(Some(FAILED)),
            "it counts until there is another"
        );
        assert_eq!(schedule.conclude(&due[1], FAILED), Some(None));
    }

    #[test]
    fn an_answer_to_what_nobody_asks_any_more_is_no_verdict() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        schedule.follow(&snapshot(&[("a", &every(5)), ("b", &every(5)), ("c", &every(5))]), start);
        let due = take(&mut schedule, start);
        assert_eq!(schedule.conclude(&due[2], FAILED), Some(None));
        let changed = every(5).replace("\"p\"", "\"q\"");
        let unchecked = schedule.follow(&snapshot(&[("b", &changed), ("c", "\"")]), start);
        assert_eq!(schedule.conclude(&due[0], FAILED), None, "it is gone");
        assert_eq!(schedule.conclude(&due[1], FAILED), None, "it is asked something else");
        assert_eq!(unchecked, [due[2].model.id.clone()], "it is there, and was ill when it was last seen");
    }
}
