//! Everything out into one file, and the resources of a file into the store.

use serde_json::{Map, Value};

use super::book::Book;
use super::write::{Action, Write};
use crate::config::export::{Export, StoredBody, export};
use crate::config::{Kind, Origin, Source};

/// What an import did.
#[derive(Debug, Default)]
pub struct Imported {
    /// Resources written.
    pub written: usize,
    /// Those of them that were not there before.
    pub new: usize,
    /// Resources left out, and why.
    pub skipped: Vec<String>,
}

impl Book {
    /// One configuration file of everything.
    ///
    /// # Errors
    /// The file or the store cannot be read.
    pub fn export(&self, shows_secrets: bool) -> Result<Export, String> {
        let text = self.source().text().map_err(|problems| problems.to_string())?;
        let rows = match self.store() {
            Some(store) => store.rows().map_err(|error| error.to_string())?,
            None => Vec::new(),
        };
        let stored = rows.iter().filter_map(|row| {
            let body: Map<String, Value> = serde_json::from_str(&row.body).ok()?;
            Some((Kind::of_collection(&row.kind)?, body))
        });
        let stored: Vec<StoredBody> = stored.collect();
        export(&text, &stored, self.stored(), shows_secrets).map_err(|error| error.to_string())
    }

    /// Takes the resources of another file into the store, all or none. What the own file declares is left out; what
    /// has the name of a stored resource takes its place.
    ///
    /// # Errors
    /// Everything that is wrong with the file, or does not fit.
    pub fn import(&mut self, from: &Source, is_dry_run: bool) -> Result<Imported, String> {
        let text = from.text().map_err(|problems| problems.to_string())?;
        let declaration = from.declare(&text).map_err(|problems| problems.to_string())?;
        declaration.check().map_err(|problems| problems.to_string())?;
        let mut report = Imported::default();
        let mut writes = Vec::new();
        for kind in Kind::ALL.iter().copied() {
            for entry in declaration.resources.entries(kind) {
                let (Some(name), Origin::Line(_)) = (entry.name(), entry.origin()) else { continue };
                if self.declares(kind, name) {
                    let noun = kind.noun();
                    report.skipped.push(format!("{noun} \"{name}\": the configuration file declares it"));
                    continue;
                }
                let known = self.stored().entries(kind).find(|stored| stored.name() == Some(name));
                report.new += usize::from(known.is_none());
                let id = known.map_or_else(|| entry.id(), |known| known.id()).to_string();
                writes.push(Write {
                    kind,
                    action: Action::Put(id, entry.place().node.to_json()),
                    if_match: None,
                });
            }
        }
        report.written = writes.len();
        let written = self.write_all(writes, is_dry_run);
        self.unlock();
        written?;
        Ok(report)
    }
}
