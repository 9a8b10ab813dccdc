//! What records say of guardrails: names and counts, never a word of what was judged.

use std::sync::Arc;
use std::time::Duration;

use super::pii::{self, Counts};
use super::screening::{Finding, Result};
use super::webhook::Reason;
use super::{Chain, Failure, Guardrail, Hook};

/// What guardrails did to one exchange.
#[derive(Debug, Default)]
pub struct Audit {
    /// Whether one blocked.
    pub is_blocked: bool,
    /// Why the first one that was passed over gave no opinion.
    pub bypassed: Option<Failure>,
    /// The kinds that judged, each once for a hook.
    pub applied: Vec<(&'static str, Hook)>,
    /// What each said, in order.
    pub verdicts: Vec<Verdict>,
}

/// What one guardrail said, and how long it took.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Who.
    pub guardrail: Arc<Guardrail>,
    /// Where.
    pub hook: Hook,
    /// What became of it.
    pub outcome: Outcome,
    /// Why nobody knows, where that is so.
    pub failure: Option<Failure>,
    /// A judge's reason, in one word.
    pub reason: Option<Reason>,
    /// What was found, and how often.
    pub counts: Counts,
    /// How long it took, over all looks.
    pub took: Duration,
}

/// What became of an opinion, as records and metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Nothing was wrong.
    Allowed,
    /// It stopped here.
    Blocked,
    /// It stopped here because nobody knew.
    BlockedUnavailable,
    /// It went on in other words.
    Masked,
    /// Nobody knew, and it went on.
    Bypassed,
    /// It would have stopped here.
    WouldBlock,
    /// It would have gone on in other words.
    WouldMask,
}

impl Outcome {
    /// The name in records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Blocked => "blocked",
            Self::BlockedUnavailable => "blocked_unavailable",
            Self::Masked => "masked",
            Self::Bypassed => "bypassed",
            Self::WouldBlock => "would_block",
            Self::WouldMask => "would_mask",
        }
    }

    /// Whether it belongs to what was enforced.
    #[must_use]
    pub const fn is_enforced(self) -> bool {
        matches!(self, Self::Blocked | Self::BlockedUnavailable | Self::Masked)
    }

    /// Whether it belongs to what was only watched.
    #[must_use]
    pub const fn is_watched(self) -> bool {
        matches!(self, Self::WouldBlock | Self::WouldMask)
    }
}

impl Audit {
    /// Takes note of who judges at a hook.
    pub fn apply(&mut self, chain: &Chain, hook: Hook) {
        for member in chain.at(hook) {
            let applied = (member.kind(), hook);
            if !self.applied.contains(&applied) {
                self.applied.push(applied);
            }
        }
    }

    /// Takes note of what one said; looks of the same outcome are added up.
    pub fn note(&mut self, finding: &Finding, hook: Hook, took: Duration) {
        let none = Counts::new;
        let (outcome, failure, reason, counts) = match finding.result.clone() {
            Result::Allowed => (Outcome::Allowed, None, None, none()),
            Result::Blocked(reason) => (Outcome::Blocked, None, reason, none()),
            Result::BlockedUnavailable(failure) => (Outcome::BlockedUnavailable, Some(failure), None, none()),
            Result::Masked(counts) => (Outcome::Masked, None, None, counts),
            Result::Bypassed(failure) => (Outcome::Bypassed, Some(failure), None, none()),
            Result::WouldBlock(reason) => (Outcome::WouldBlock, None, reason, none()),
            Result::WouldMask(counts) => (Outcome::WouldMask, None, None, counts),
        };
        self.is_blocked |= matches!(outcome, Outcome::Blocked | Outcome::BlockedUnavailable);
        if outcome == Outcome::Bypassed && !finding.guardrail.is_monitor() {
            self.bypassed = self.bypassed.or(failure);
        }
        let guardrail = finding.guardrail.clone();
        let is_same = |known: &&mut Verdict| {
            known.guardrail.id == guardrail.id
                && (known.hook, known.outcome, known.failure) == (hook, outcome, failure)
        };
        match self.verdicts.iter_mut().find(is_same) {
            Some(known) => {
                pii::add(&mut known.counts, &counts);
                known.took += took;
            }
            None => self.verdicts.push(Verdict { guardrail, hook, outcome, failure, reason, counts, took }),
        }
    }

    /// Takes note that a hook is over: what was masked in vain, because somebody blocked, does not count, and neither
    /// does a part of a stream in which there was nothing where there was something in another.
    pub fn close(&mut self, hook: Hook) {
        let found: Vec<_> =
            self.verdicts.iter().filter(|one| one.outcome != Outcome::Allowed).cloned().collect();
        self.verdicts.retain(|verdict| {
            let is_same =
                |other: &Verdict| other.guardrail.id == verdict.guardrail.id && other.hook == verdict.hook;
            verdict.hook != hook || verdict.outcome != Outcome::Allowed || !found.iter().any(is_same)
        });
        if self.is_blocked {
            self.verdicts.retain(|verdict| verdict.hook != hook || verdict.outcome != Outcome::Masked);
        }
    }

    /// What was masked, by what found it.
    #[must_use]
    pub fn redacted(&self) -> Counts {
        let mut all = Counts::new();
        let masked = self.verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Masked);
        masked.for_each(|verdict| pii::add(&mut all, &verdict.counts));
        all
    }
}
