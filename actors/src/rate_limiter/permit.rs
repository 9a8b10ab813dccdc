//! A permit: what one admitted request took from the book, giving itself back.
//!
//! It is closed exactly once, by a settlement or by its drop, so no slot and no token hold outlives
//! its request.

use std::sync::Arc;

use smallvec::SmallVec;

use super::book::{LimitBook, Share};
use super::counts::{Counts, Taken};
use super::limit::{Layer, Scope};
use crate::register::lock;
use crate::types::Now;

/// One admitted request: its slot and its token hold in every scope.
///
/// Dropping it gives back the slot and the hold with nothing used; the request stays counted.
#[derive(Debug)]
#[must_use = "dropping a permit gives it back"]
pub struct Permit {
    shares: SmallVec<[(Share, Taken); 2]>,
    ending: Ending,
    is_open: bool,
    book: Arc<LimitBook>,
}

/// What becomes of a permit when it closes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    /// Nothing was used; the request stays counted.
    Unused,
    /// So many tokens were used.
    Used(u64),
    /// The request never was.
    Cancelled,
}

impl Permit {
    pub(super) fn new(shares: SmallVec<[(Share, Taken); 2]>, book: Arc<LimitBook>) -> Self {
        Self { shares, ending: Ending::Unused, is_open: true, book }
    }

    /// Gives back everything, because a later check refused the request.
    ///
    /// A window that is over stays as it is, and so does the steady rate once another request came
    /// since.
    pub fn cancel(mut self) {
        self.ending = Ending::Cancelled;
    }

    /// Records the tokens truly used: from here on, dropping the permit settles it.
    pub(super) fn record(&mut self, tokens: u64) {
        self.ending = Ending::Used(tokens);
    }

    /// Returns the first limited scope of the caller's key.
    pub(super) fn key_scope(&self) -> Option<Arc<Scope>> {
        let of_key = self.shares.iter().filter(|(share, _)| share.scope.layer == Layer::ApiKey);
        of_key.min_by_key(|(share, _)| share.rank).map(|(share, _)| Arc::clone(&share.scope))
    }

    /// Closes it unless it is closed; `now` is read only when tokens were used.
    pub(super) fn close(&mut self, now: impl FnOnce() -> Now) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        match self.ending {
            Ending::Unused => self.each(|counts, _, taken| counts.release(taken)),
            Ending::Cancelled => self.each(|counts, _, taken| counts.cancel(taken)),
            Ending::Used(tokens) => {
                let now = now();
                self.each(|counts, scope, taken| counts.settle(&scope.limit, taken, tokens, now));
            }
        }
        self.book.count(self.ending);
    }

    fn each(&self, change: impl Fn(&mut Counts, &Scope, &Taken)) {
        for (share, taken) in &self.shares {
            change(&mut lock(&share.state.counts), &share.scope, taken);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.close(Now::read);
    }
}
