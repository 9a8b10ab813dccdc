//! The turn to fill a key, passing itself on.
//!
//! It is closed exactly once, by a store or by its drop, so waiters never wait for nobody.

use std::sync::Arc;
use std::time::Duration;

use super::book::{CacheBook, Entry, Key};
use crate::types::Now;

/// The right and the duty to fill one key.
///
/// Dropping it passes the turn to the next caller who waits for the key.
#[derive(Debug)]
#[must_use = "dropping a fill passes the turn on"]
pub struct Fill {
    key: Key,
    recorded: Option<(Arc<Entry>, Duration)>,
    is_open: bool,
    book: Arc<CacheBook>,
}

impl Fill {
    pub(super) fn new(key: Key, book: Arc<CacheBook>) -> Self {
        Self { key, recorded: None, is_open: true, book }
    }

    /// Closes it without passing the turn on, which is up to the caller then.
    pub(super) fn disarm(mut self) {
        self.is_open = false;
    }

    /// Returns the key to fill.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Records the entry: from here on, dropping the fill stores it.
    pub(super) fn record(&mut self, entry: Arc<Entry>, ttl: Duration) {
        self.recorded = Some((entry, ttl));
    }

    /// Closes it unless it is closed; `now` is read only when an entry is stored.
    pub(super) fn close(&mut self, now: impl FnOnce() -> Now) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        match self.recorded.take() {
            Some((entry, ttl)) => {
                self.book.keep(self.key, &entry, ttl, now());
                self.book.land(&self.key, &entry);
            }
            None => self.book.pass_on(self.key),
        }
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        self.close(Now::read);
    }
}
