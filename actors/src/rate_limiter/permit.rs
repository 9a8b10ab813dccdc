//! A permit: what one admitted request took from the book, giving itself back.
//!
//! It is closed exactly once, by a settlement or by its drop, so no slot and no token hold outlives
//! its request.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::book::{LimitBook, Share};
use super::counts::{Counts, Taken, minute_of, rest_of_minute};
use super::limit::{Layer, Scope, Standing};
use super::shared::Lane;
use crate::register::lock;
use crate::types::Now;

/// One admitted request: its slot and its token hold in every scope.
///
/// Dropping it gives back the slot and the hold with nothing used; the request stays counted.
#[derive(Debug)]
#[must_use = "dropping a permit gives it back"]
pub struct Permit {
    claim: Claim,
    ending: Ending,
    is_open: bool,
    book: Arc<LimitBook>,
}

/// Where it was taken.
#[derive(Debug)]
enum Claim {
    /// From the book of this process.
    Own(SmallVec<[(Share, Taken); 2]>),
    /// From Redis.
    Shared(Noted),
}

/// A permit that Redis gave, and how the caller's key stood then, with it.
#[derive(Debug)]
pub(super) struct Noted {
    pub(super) lane: Arc<Lane>,
    pub(super) id: u64,
    /// When it was given, by the clock of Redis.
    pub(super) unix: Duration,
    pub(super) requests: u64,
    pub(super) tokens: u64,
    pub(super) concurrent: u32,
    pub(super) scopes: SmallVec<[Arc<Scope>; 2]>,
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
        Self { claim: Claim::Own(shares), ending: Ending::Unused, is_open: true, book }
    }

    pub(super) fn shared(noted: Noted, book: Arc<LimitBook>) -> Self {
        Self { claim: Claim::Shared(noted), ending: Ending::Unused, is_open: true, book }
    }

    /// Returns where the caller's key stands, as far as it is known without asking: only for limits that are shared.
    pub fn standing(&self) -> Option<Standing> {
        self.standing_at(Now::read())
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
        match &self.claim {
            Claim::Own(shares) => {
                let of_key = shares.iter().filter(|(share, _)| share.scope.layer == Layer::ApiKey);
                of_key.min_by_key(|(share, _)| share.rank).map(|(share, _)| Arc::clone(&share.scope))
            }
            Claim::Shared(noted) => noted.key_scope().cloned(),
        }
    }

    pub(super) fn is_shared(&self) -> bool {
        matches!(self.claim, Claim::Shared(_))
    }

    /// Returns where the caller's key stands once the permit is closed as recorded.
    pub(super) fn standing_after(&self) -> Option<Standing> {
        let mut standing = self.standing_at(Now::read())?;
        standing.concurrent = standing.concurrent.saturating_sub(1);
        if let (Ending::Used(tokens), Some(_)) = (self.ending, standing.limit.tpm) {
            standing.used_tokens_minute = standing.used_tokens_minute.saturating_add(tokens);
        }
        Some(standing)
    }

    fn standing_at(&self, now: Now) -> Option<Standing> {
        let Claim::Shared(noted) = &self.claim else { return None };
        let scope = noted.key_scope()?;
        let is_same_minute = minute_of(now.unix) <= minute_of(noted.unix);
        let in_minute = |count: u64| if is_same_minute { count } else { 0 };
        Some(Standing {
            limit: scope.limit.clone(),
            used_requests_minute: in_minute(noted.requests),
            used_tokens_minute: in_minute(noted.tokens),
            concurrent: noted.concurrent,
            minute_resets_in: rest_of_minute(now),
        })
    }

    /// Closes it unless it is closed; `now` is read only when tokens were used.
    pub(super) fn close(&mut self, now: impl FnOnce() -> Now) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        match &self.claim {
            Claim::Shared(noted) => noted.lane.close(noted.id, self.ending),
            Claim::Own(shares) => close_own(shares, self.ending, now),
        }
        self.book.count(self.ending);
    }
}

impl Noted {
    fn key_scope(&self) -> Option<&Arc<Scope>> {
        self.scopes.iter().find(|scope| scope.layer == Layer::ApiKey)
    }
}

fn close_own(shares: &[(Share, Taken)], ending: Ending, now: impl FnOnce() -> Now) {
    let each = |change: &dyn Fn(&mut Counts, &Scope, &Taken)| {
        for (share, taken) in shares {
            change(&mut lock(&share.state.counts), &share.scope, taken);
        }
    };
    match ending {
        Ending::Unused => each(&|counts, _, taken| counts.release(taken)),
        Ending::Cancelled => each(&|counts, _, taken| counts.cancel(taken)),
        Ending::Used(tokens) => {
            let now = now();
            each(&|counts, scope, taken| counts.settle(&scope.limit, taken, tokens, now));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.close(Now::read);
    }
}
