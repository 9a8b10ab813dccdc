//! What the registry knows: the file in force, the store, and which of the stored resources are good.
//!
//! Every change makes a whole new configuration beside the old one; what comes out is either that or the reason why
//! not, and nothing has changed then.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::sorting::{Misfit, Sorted, read_rows, sort};
use super::status::{FailureKind, RejectedRow, Status};
use super::store::{Store, StoreError, StoredRow};
use super::watch::Watch;
use crate::config::resources::Resources;
use crate::config::{Config, Declaration, Kind, Origin, Problems, Settings, Snapshot, Source};
use crate::error::AdminError;

/// See the module.
pub struct Book {
    source: Source,
    declaration: Declaration,
    /// What those settings say that are read once.
    started_with: Arc<Settings>,
    /// Where the store is; nothing when there is to be none.
    store_path: Option<PathBuf>,
    store: Option<Store>,
    /// Stored resources in force.
    stored: Resources,
    /// Stored resources that may fit again when others change.
    misfits: Vec<Misfit>,
    /// Loads of the file that were applied.
    generation: u64,
    watch: Watch,
    status: Status,
    /// Why other processes could not be kept from writing.
    lock_failure: Option<AdminError>,
}

/// What has changed outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The file, or one that it names.
    File,
    /// The store.
    Store,
}

impl Book {
    /// Loads the file and the store. Stored resources that do not fit are left out and reported.
    ///
    /// # Errors
    /// Every problem of the file.
    pub fn load(source: Source) -> Result<(Self, Snapshot), Problems> {
        let now = Timestamp::now();
        let mut watch = Watch::default();
        watch.follow(vec![source.path.clone()]);
        let declaration = source.declare(&source.text()?)?;
        let store_path = &declaration.settings.store.path;
        let store_path = (!store_path.as_os_str().is_empty()).then(|| store_path.clone());
        let mut book = Self {
            source,
            started_with: declaration.settings.clone(),
            declaration,
            store_path,
            store: None,
            stored: Resources::default(),
            misfits: Vec::new(),
            generation: 1,
            watch,
            status: Status::at_start(now),
            lock_failure: None,
        };
        let rows = book.open_store();
        let sorted = sort(&book.declaration, Resources::default(), read_rows(&rows));
        let (config, sorted) = sorted.map_err(|mut problems| {
            // What the file refers to may be there.
            if let Some(error) = &book.status.store_error {
                problems.add(None, "store.path", format!("the store cannot be used: {error}"));
            }
            problems
        })?;
        let snapshot = book.adopt(config, sorted);
        book.status.source_hash = hex(&book.declaration.digest);
        Ok((book, snapshot))
    }

    /// How the configuration stands.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// What of the store is not served, in words.
    pub fn warnings(&self) -> Vec<String> {
        let store = self.status.store_error.iter().map(|error| format!("the store cannot be used: {error}"));
        let rows = self.status.rejected.iter();
        let rows =
            rows.map(|row| format!("stored {}/{} is left out at a start: {}", row.kind, row.id, row.reason));
        store.chain(rows).collect()
    }

    /// Reads the file again. A bad one changes nothing, and neither does one that stored resources do not fit.
    ///
    /// # Errors
    /// The report.
    pub fn reload(&mut self) -> Result<Snapshot, String> {
        let now = Timestamp::now();
        self.status.reloads = self.status.reloads.saturating_add(1);
        let loaded = self.declare_anew();
        self.status.last_reload = Some((loaded.is_ok(), now));
        match loaded {
            Ok((declaration, config, sorted)) => {
                self.status.restart_required = self.started_with.fixed_differences(&declaration.settings);
                self.status.source_hash = hex(&declaration.digest);
                (self.status.observed_at, self.status.last_success) = (now, now);
                self.declaration = declaration;
                self.generation = self.generation.saturating_add(1);
                Ok(self.adopt(config, sorted))
            }
            Err((kind, problems)) => {
                let report = problems.to_string();
                self.status.fail(now, kind, report.clone());
                Err(report)
            }
        }
    }

    fn declare_anew(&mut self) -> Result<(Declaration, Config, Sorted), (FailureKind, Problems)> {
        self.watch.refresh();
        let text = self.source.text().map_err(|problems| (FailureKind::Fetch, problems))?;
        let declaration = self.source.declare(&text).map_err(|problems| (FailureKind::Parse, problems))?;
        self.refuse_open_door(&declaration).map_err(|problems| (FailureKind::Validate, problems))?;
        let again = Sorted {
            misfits: self.misfits.iter().map(Misfit::again).collect(),
            rejected: self.unreadable(),
            ..Sorted::default()
        };
        let (config, sorted) = sort(&declaration, self.stored.clone(), again)
            .map_err(|problems| (FailureKind::Validate, problems))?;
        Ok((declaration, config, sorted))
    }

    /// The listener for administrators stays where it is until a restart, and so does its need of a key.
    fn refuse_open_door(&self, new: &Declaration) -> Result<(), Problems> {
        let bound = &self.started_with.admin;
        if !bound.enabled || bound.addr.ip().is_loopback() || !new.settings.admin.admin_keys.is_empty() {
            return Ok(());
        }
        let mut problems = Problems::new(&self.source.path.display().to_string());
        let message = format!("must not be empty: until a restart the Admin API listens on {}", bound.addr);
        problems.add(None, "admin.admin_keys", message);
        Err(problems)
    }

    /// Looks around: a changed file, a store that another process has written to, one that can be opened again.
    pub fn news(&mut self) -> Option<News> {
        let is_refused = matches!(self.status.last_reload, Some((false, _)));
        if self.watch.has_changed() && (is_refused || self.watch.has_others() || self.has_other_text()) {
            return Some(News::File);
        }
        self.has_news_in_store().then_some(News::Store)
    }

    fn has_news_in_store(&mut self) -> bool {
        // After an error it is tried again, until it is over.
        let is_in_doubt = self.status.store_error.is_some();
        match &mut self.store {
            Some(store) => store.has_changed().unwrap_or(true) || is_in_doubt || !store.is_in_place(),
            None => is_in_doubt || self.has_new_store(),
        }
    }

    /// Whether there is a store now, with something in it; the journal of budgets may have made it for itself.
    fn has_new_store(&mut self) -> bool {
        let Some(path) = self.store_path.as_ref().filter(|path| path.exists()) else { return false };
        match Store::open(path) {
            Ok(Some(store)) if store.is_untouched() => {
                self.store = Some(store);
                false
            }
            _ => true,
        }
    }

    /// Only the content counts: a file that was touched says nothing new.
    fn has_other_text(&self) -> bool {
        let text = self.source.text();
        text.map_or(true, |text| <[u8; 32]>::from(Sha256::digest(&text)) != self.declaration.digest)
    }

    /// Takes news over.
    ///
    /// # Errors
    /// The report, empty where it was given before.
    pub fn take_over(&mut self, news: News) -> Result<Snapshot, String> {
        match news {
            News::File => self.reload(),
            News::Store => self.reread_store(),
        }
    }

    /// Takes over what another process has stored.
    fn reread_store(&mut self) -> Result<Snapshot, String> {
        let had_error = self.status.store_error.clone();
        let rows = self.open_store();
        if let Some(error) = &self.status.store_error {
            // Said once, until something else is the matter.
            return Err(if had_error.as_ref() == Some(error) { String::new() } else { error.clone() });
        }
        match sort(&self.declaration, Resources::default(), read_rows(&rows)) {
            Ok((config, sorted)) => Ok(self.adopt(config, sorted)),
            Err(problems) => {
                let report = problems.to_string();
                self.status.fail(Timestamp::now(), FailureKind::Validate, report.clone());
                Err(report)
            }
        }
    }

    /// Opens the store if it is not open, and reads it. What goes wrong is noted in the status.
    fn open_store(&mut self) -> Vec<StoredRow> {
        let outcome = (|| -> Result<_, StoreError> {
            if self.store.is_none()
                && let Some(path) = &self.store_path
            {
                self.store = Store::open(path)?;
            }
            match &self.store {
                Some(store) if !store.is_in_place() => Err(StoreError::Moved),
                Some(store) => store.rows(),
                None => Ok(Vec::new()),
            }
        })();
        match outcome {
            Ok(rows) => {
                if self.status.store_error.take().is_some() {
                    // Writes failed for the same reason.
                    self.status.write_error = None;
                }
                rows
            }
            Err(error) => {
                let path = self.store_path.as_deref().unwrap_or(std::path::Path::new(""));
                let message = format!("{}: {error}", path.display());
                if self.status.store_error.as_ref() != Some(&message) {
                    self.status.fail(Timestamp::now(), FailureKind::Store, message.clone());
                }
                self.status.store_error = Some(message);
                Vec::new()
            }
        }
    }

    /// The store, made where there is none.
    ///
    /// # Errors
    /// 409 where there is to be none, 500 where it cannot be used.
    pub(super) fn writable_store(&mut self) -> Result<&mut Store, AdminError> {
        let Some(path) = &self.store_path else {
            let message =
                "this gateway has no store: set store.path in its configuration file, and restart it";
            return Err(AdminError::Conflict(message.into()));
        };
        if self.store.as_ref().is_none_or(Store::is_read_only) {
            let is_there = path.exists();
            let mut store = Store::create(path).map_err(|error| AdminError::Store(error.to_string()))?;
            if is_there {
                // What is in it may not have been read.
                store.forget();
            }
            self.store = Some(store);
        }
        self.store.as_mut().ok_or_else(|| AdminError::Store("it is closed".into()))
    }

    /// Keeps other processes from writing into the store, and takes over what they wrote before.
    pub(super) fn lock(&mut self) -> Option<Snapshot> {
        self.lock_failure = None;
        if !self.has_store() {
            return None;
        }
        let begun = self.writable_store().and_then(|store| {
            store.give_up();
            store.begin().map_err(|error| AdminError::Store(error.to_string()))
        });
        let is_in_doubt = self.status.store_error.is_some();
        let has_changed = self.store.as_mut().is_some_and(|store| store.has_changed().unwrap_or(true));
        let news = (is_in_doubt || has_changed).then(|| self.reread_store().ok()).flatten();
        // What could not be read may have the name, the id or the key of what is to be written.
        let unread = self.status.store_error.clone().map(AdminError::Store);
        self.lock_failure = begun.err().or(unread);
        news
    }

    /// Lets other processes write again.
    pub(super) fn unlock(&mut self) {
        if let Some(store) = &mut self.store {
            store.give_up();
        }
    }

    /// Why nothing can be written now.
    pub(super) fn lock_failure(&self) -> Option<AdminError> {
        self.lock_failure.clone()
    }

    /// Notes whether the last write could be made; said in the log when that changes.
    pub(super) fn note_write(&mut self, failure: Option<&AdminError>) {
        let failure = match failure {
            Some(AdminError::Store(message)) => Some(message.clone()),
            _ => None,
        };
        if failure == self.status.write_error {
            return;
        }
        match &failure {
            Some(message) => {
                log::error!("the store takes no writes: {message}");
                self.status.fail(Timestamp::now(), FailureKind::Store, message.clone());
            }
            None => log::info!("the store takes writes again"),
        }
        self.status.write_error = failure;
    }

    /// Closes the store for good.
    pub(super) fn close(&mut self) {
        (self.store, self.store_path) = (None, None);
    }

    /// Whether there is a store already.
    pub(super) fn has_store(&self) -> bool {
        self.store.is_some() || self.store_path.as_ref().is_some_and(|path| path.exists())
    }

    /// A configuration with other stored resources, on trial.
    ///
    /// # Errors
    /// Every problem of it, but those of stored resources that did not fit before either.
    pub(super) fn try_with(&self, stored: Resources, gone: &[(Kind, String)]) -> Result<Trial, Problems> {
        let is_gone = |kind: Kind, id: &str| gone.iter().any(|(known, other)| *known == kind && other == id);
        let misfits = self.misfits.iter().filter(|misfit| !is_gone(misfit.kind, misfit.id()));
        let rejected = self
            .unreadable()
            .into_iter()
            .filter(|row| !gone.iter().any(|(kind, id)| kind.collection() == row.kind && *id == row.id));
        let again = Sorted {
            misfits: misfits.map(Misfit::again).collect(),
            rejected: rejected.collect(),
            ..Sorted::default()
        };
        let (config, sorted) = sort(&self.declaration, stored, again)?;
        Ok(Trial { config, sorted })
    }

    /// The file.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// The store, where there is one.
    pub(super) fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Whether the file declares a resource of this name.
    pub(super) fn declares(&self, kind: Kind, name: &str) -> bool {
        self.declaration.resources.entries(kind).any(|entry| entry.name().is_some_and(|own| **own == *name))
    }

    /// Stored resources in force.
    pub(super) fn stored(&self) -> &Resources {
        &self.stored
    }

    /// What the file declares under an id, and where.
    pub(super) fn declared_at(&self, kind: Kind, id: &str) -> Option<String> {
        let entry = self.declaration.resources.find(kind, id)?;
        let file = self.source.path.display();
        Some(match entry.origin() {
            Origin::Line(line) => {
                format!("{} in line {line} of {file} declares it; edit that file", entry.path())
            }
            Origin::Variable(name) => format!("the environment variable {name} brings it in"),
            Origin::Stored(_) | Origin::Unknown => format!("{file} declares it; edit that file"),
        })
    }

    /// Puts a trial into force.
    pub(super) fn accept(&mut self, Trial { config, sorted }: Trial) -> Snapshot {
        self.adopt(config, sorted)
    }

    fn adopt(&mut self, mut config: Config, sorted: Sorted) -> Snapshot {
        // First let go of the second copies: what only messages need is then dropped from the first.
        config.resources = Resources::default();
        self.stored = sorted.good;
        self.declaration.compact();
        self.stored.compact();
        config.resources = self.declaration.resources.followed_by(&self.stored);
        config.generation = self.generation;
        let mut files = vec![self.source.path.clone()];
        files.append(&mut config.files);
        self.watch.follow(files);
        self.misfits = sorted.misfits;
        let now = Timestamp::now();
        let status = &mut self.status;
        status.rejected = sorted.rejected.into_iter().map(|row| seen_again(row, &status.rejected)).collect();
        status.applied = status.applied.saturating_add(1);
        status.applied_at = now;
        status.counts = Kind::ALL.iter().map(|kind| (*kind, config.resources.count(*kind))).collect();
        status.config_hash = config_hash(&self.declaration.digest, &self.stored);
        Snapshot::build(config)
    }

    /// Rejected rows that could not even be read; others are tried again as misfits.
    fn unreadable(&self) -> Vec<RejectedRow> {
        let is_misfit = |row: &RejectedRow| {
            self.misfits.iter().any(|misfit| misfit.kind.collection() == row.kind && *misfit.id() == *row.id)
        };
        self.status.rejected.iter().filter(|row| !is_misfit(row)).cloned().collect()
    }
}

/// A configuration that is good and not yet in force.
pub(super) struct Trial {
    config: Config,
    sorted: Sorted,
}

/// A rejected row with the time at which it was first rejected.
fn seen_again(row: RejectedRow, before: &[RejectedRow]) -> RejectedRow {
    let known = before.iter().find(|known| known.kind == row.kind && known.id == row.id);
    RejectedRow { first_seen: known.map_or(row.first_seen, |known| known.first_seen), ..row }
}

/// Tells one configuration from another: the text of the file, and the revision of each stored resource.
fn config_hash(file: &[u8; 32], stored: &Resources) -> String {
    let mut digest = Sha256::new();
    digest.update(file);
    for kind in Kind::ALL {
        for entry in stored.entries(*kind) {
            for part in [kind.collection(), entry.id()] {
                digest.update(part);
                digest.update([0]);
            }
            digest.update(entry.revision().to_le_bytes());
        }
    }
    hex(&digest.finalize().into())
}

fn hex(digest: &[u8; 32]) -> String {
    crate::config::secret::KeyHash(*digest).to_hex()
}
