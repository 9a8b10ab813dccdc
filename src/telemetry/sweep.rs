//! Which rows are about keys and models that the configuration does not know any more.
//!
//! Only when there are as many sets of labels as may be: until then an old row is worth its memory, because a series
//! that ends is harder to read than one that stands still.

use std::collections::HashSet;

use super::series::{Fate, Row, Text};
use crate::config::resources::Kind;
use crate::config::snapshot::Snapshot;
use crate::gateway::Gateway;

/// Makes room in the registry of a gateway, where there is none.
pub fn sweep(gateway: &Gateway) {
    let registry = &gateway.telemetry.registry;
    if registry.is_full() {
        let snapshot = gateway.snapshot();
        let known = Known::of(&snapshot);
        registry.sweep(|row| known.fate(row));
    }
}

struct Known<'a> {
    keys: HashSet<&'a str>,
    model_names: HashSet<&'a str>,
    model_ids: HashSet<&'a str>,
}

impl<'a> Known<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        Self {
            keys: snapshot.resources.entries(Kind::ApiKeys).map(|key| &**key.id()).collect(),
            model_names: snapshot.models().map(|model| &*model.name).collect(),
            model_ids: snapshot.models().map(|model| &*model.id).collect(),
        }
    }

    fn fate(&self, row: &Row) -> Fate {
        let is_gone = |text, known: &HashSet<&str>| {
            let text = row.text(text);
            !matches!(text, "" | "unknown" | "unresolved" | "other") && !known.contains(text)
        };
        let names = [Text::Model, Text::Target];
        if names.into_iter().any(|name| is_gone(name, &self.model_names))
            || is_gone(Text::TargetId, &self.model_ids)
        {
            Fate::LosesModel
        } else if is_gone(Text::ApiKeyId, &self.keys) {
            Fate::LosesCaller
        } else {
            Fate::Stays
        }
    }
}
