//! One look of a chain at texts: member after member, until one blocks or all have had their say.
//!
//! Words are looked for in all texts as they came, joined by line breaks, so that no earlier mask hides them. Masks are
//! put over the texts one by one, each over what earlier members left; that is also what a judge elsewhere is sent, so a
//! chain can keep personal data from it. What was masked counts only when nobody blocks.

use std::sync::Arc;

use super::passage::Passage;
use super::pii::Counts;
use super::webhook::{Opinion, Reason};
use super::{Blocked, Chain, Failure, Guardrail, Hook, Judge};

/// What a member said, as it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Result {
    /// Nothing is wrong.
    Allowed,
    /// It must not go on.
    Blocked(Option<Reason>),
    /// Nobody knows, so it must not go on.
    BlockedUnavailable(Failure),
    /// It goes on in other words.
    Masked(Counts),
    /// Nobody knows, and it goes on.
    Bypassed(Failure),
    /// It would not go on.
    WouldBlock(Option<Reason>),
    /// It would go on in other words.
    WouldMask(Counts),
}

/// What one member said.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The member.
    pub guardrail: Arc<Guardrail>,
    /// What it said.
    pub result: Result,
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// A member has judged.
    Judged(Finding),
    /// A member that judges elsewhere is to be asked about [`Screening::texts`]; [`Screening::take`] takes its opinion.
    Ask(Arc<Guardrail>),
    /// All have judged, or one has blocked.
    Over,
}

/// See the module.
#[derive(Debug)]
pub struct Screening {
    hook: Hook,
    members: Vec<Arc<Guardrail>>,
    next: usize,
    passages: Vec<Passage>,
    /// All texts as they came, where that is one search and not many.
    whole: Option<String>,
    blocked: Option<Blocked>,
}

impl Screening {
    /// Begins to look at texts.
    #[must_use]
    pub fn begin(chain: &Chain, hook: Hook, passages: Vec<Passage>) -> Self {
        Self {
            hook,
            members: chain.at(hook).cloned().collect(),
            next: 0,
            passages,
            whole: None,
            blocked: None,
        }
    }

    /// Lets the next member judge.
    pub fn step(&mut self) -> Step {
        let Some(member) = self.members.get(self.next).filter(|_| self.blocked.is_none()).cloned() else {
            return Step::Over;
        };
        let result = match &member.judge {
            Judge::Webhook(webhook) => {
                let bytes: usize = self.parts().map(|passage| passage.current().len()).sum();
                if (1..=webhook.max_text_bytes).contains(&bytes) {
                    return Step::Ask(member);
                }
                // Without a word there is nothing to be asked.
                if bytes == 0 { Result::Allowed } else { self.failed(&member, Failure::Config) }
            }
            Judge::Keyword(keywords) => {
                match self.search(|text| keywords.is_in(text), |one| keywords.is_new_in(one)) {
                    true => refused(&member, None),
                    false => Result::Allowed,
                }
            }
            Judge::Pii(pii) => {
                let is_refused = |one: &Passage| pii.refuses(one.original(), one.seen);
                if self.search(|text| pii.refuses(text, 0), is_refused) {
                    refused(&member, None)
                } else {
                    let mut counts = Counts::new();
                    let applies = !member.is_monitor();
                    self.parts_mut().for_each(|passage| pii.mask(passage, &mut counts, applies));
                    masked(&member, counts)
                }
            }
        };
        Step::Judged(self.conclude(member, result))
    }

    /// The texts as they stand, for a judge that is elsewhere.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.parts().map(|passage| passage.current().to_owned()).collect()
    }

    fn parts(&self) -> impl Iterator<Item = &Passage> {
        self.passages.iter().filter(|passage| !passage.is_whole)
    }

    fn parts_mut(&mut self) -> impl Iterator<Item = &mut Passage> {
        self.passages.iter_mut().filter(|passage| !passage.is_whole)
    }

    /// Takes the opinion of the member that was to be asked; nothing where none was.
    pub fn take(&mut self, opinion: Opinion) -> Option<Finding> {
        let member = self.members.get(self.next).cloned()?;
        let result = match opinion {
            Opinion::Allow => Result::Allowed,
            Opinion::Block(reason) => refused(&member, reason),
            Opinion::Mask(texts, _) => self.replace(&member, &texts),
            Opinion::Failed(failure) => self.failed(&member, failure),
        };
        Some(self.conclude(member, result))
    }

    /// The texts, masked.
    ///
    /// # Errors
    /// Who has blocked them.
    pub fn end(self) -> std::result::Result<Vec<Passage>, Blocked> {
        match self.blocked {
            Some(blocked) => Err(blocked),
            None => Ok(self.passages),
        }
    }

    fn conclude(&mut self, member: Arc<Guardrail>, result: Result) -> Finding {
        self.next += 1;
        if matches!(result, Result::Blocked(_) | Result::BlockedUnavailable(_)) {
            self.blocked = Some(Blocked { hook: self.hook, guardrail: member.name.clone() });
        }
        Finding { guardrail: member, result }
    }

    /// Whether something is in the texts: in all of them at once, or in each where a part of them was judged before.
    fn search(&mut self, in_all: impl Fn(&str) -> bool, in_one: impl Fn(&Passage) -> bool) -> bool {
        if self.passages.iter().any(|passage| passage.seen > 0) {
            return self.passages.iter().any(in_one);
        }
        if let [only] = &*self.passages {
            return in_all(only.original());
        }
        let joined = || self.passages.iter().map(Passage::original).collect::<Vec<_>>().join("\n");
        in_all(self.whole.get_or_insert_with(joined))
    }

    fn failed(&self, member: &Guardrail, failure: Failure) -> Result {
        match member.tolerates_failure(self.hook) {
            true => Result::Bypassed(failure),
            false => Result::BlockedUnavailable(failure),
        }
    }

    fn replace(&mut self, member: &Guardrail, texts: &[String]) -> Result {
        let changed =
            self.parts().zip(texts).filter(|(passage, text)| passage.current() != *text).count() as u64;
        if !member.is_monitor() {
            for (passage, text) in self.parts_mut().zip(texts) {
                passage.replace_whole(text);
            }
        }
        let name: Arc<str> = "webhook".into();
        masked(member, if changed > 0 { Counts::from([(name, changed)]) } else { Counts::new() })
    }
}

fn refused(member: &Guardrail, reason: Option<Reason>) -> Result {
    if member.is_monitor() { Result::WouldBlock(reason) } else { Result::Blocked(reason) }
}

fn masked(member: &Guardrail, counts: Counts) -> Result {
    match counts.is_empty() {
        true => Result::Allowed,
        false if member.is_monitor() => Result::WouldMask(counts),
        false => Result::Masked(counts),
    }
}

#[cfg(test)]
pub(super) mod tests;
