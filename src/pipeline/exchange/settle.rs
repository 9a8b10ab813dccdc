//! Settle: what an answer costs, and giving back what was held for it.

use aisix_actors::rate_limiter::Standing;
use aisix_actors::types::MicroUsd;

use super::{Engaged, Exchange};
use crate::config::price::{Measures, Price};
use crate::dialect::Usage;

/// What targets that did not finish an answer have delivered of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// In money, as far as the caller's budgets have not been charged with it.
    pub cost: MicroUsd,
    /// In tokens.
    pub tokens: u64,
}

impl Exchange {
    /// What the caller's budgets have not been charged with yet.
    fn cost(&self) -> MicroUsd {
        self.earlier.cost.saturating_add(self.own_cost())
    }

    /// What the target in use delivered, with its price.
    pub(super) fn own_cost(&self) -> MicroUsd {
        match (&self.price, &self.usage) {
            (Some(price), Some(usage)) => price.cost(usage, &self.measures),
            _ => MicroUsd(0),
        }
    }

    /// Settles everything that is held, and tells how the key's limits stand afterwards.
    pub async fn settle(&mut self) -> Option<Standing> {
        let tokens = self.tokens();
        self.settle_money_and_target();
        let permit = self.limits.take()?;
        self.worker.actors.limiter.settle_now(permit, tokens).await
    }

    pub(super) fn tokens(&self) -> u64 {
        self.earlier.tokens.saturating_add(self.own_tokens())
    }

    fn own_tokens(&self) -> u64 {
        self.usage.map_or(0, |usage| usage.total)
    }

    /// Settles what the target in use holds, and keeps what it delivered in mind: another one takes the answer up.
    pub fn part(&mut self, usage: Usage) {
        self.usage = Some(usage);
        let (cost, tokens) = (self.own_cost(), self.own_tokens());
        self.last_attempt(|attempt| attempt.delivered = Some((usage, cost)));
        self.settle_target();
        self.usage = None;
        self.spend(cost, tokens);
        self.charge(self.earlier.cost);
    }

    /// Charges the caller's budgets with what earlier attempts have cost, and gives back their hold; whether there was both.
    pub fn charge_earlier(&mut self) -> bool {
        let is_due = !self.earlier.cost.is_zero() && self.budgets.is_some();
        if is_due {
            self.charge(self.earlier.cost);
        }
        is_due
    }

    fn charge(&mut self, cost: MicroUsd) {
        if let Some(hold) = self.budgets.take() {
            self.worker.actors.ledger.charge(hold, cost);
            self.earlier.cost = MicroUsd(0);
        }
    }

    /// Gives back what a target held that has failed; what it had counted by then is paid for.
    pub fn forfeit(&mut self, engaged: Engaged, price: Option<&Price>, counted: Option<Usage>) {
        let Some(usage) = counted else { return self.worker.actors.pool.give_back(engaged.lease) };
        let (cost, tokens) =
            (price.map_or(MicroUsd(0), |price| price.cost(&usage, &Measures::default())), usage.total);
        self.last_attempt(|attempt| attempt.delivered = Some((usage, cost)));
        self.give_back(engaged, cost, tokens);
        self.spend(cost, tokens);
    }

    fn spend(&mut self, cost: MicroUsd, tokens: u64) {
        self.earlier.cost = self.earlier.cost.saturating_add(cost);
        self.earlier.tokens = self.earlier.tokens.saturating_add(tokens);
    }

    pub(super) fn settle_money_and_target(&mut self) {
        if let Some(hold) = self.budgets.take() {
            self.worker.actors.ledger.charge(hold, self.cost());
        }
        self.settle_target();
    }

    /// Charges the target in use, and gives back what it holds.
    fn settle_target(&mut self) {
        if let Some(engaged) = self.engaged.take() {
            // Answers that were broken off say nothing of how long they are.
            if self.attempts.last().is_some_and(|attempt| attempt.finish_reason.is_some()) {
                self.usage.iter().for_each(|usage| engaged.candidate.note_output(usage.completion));
            }
            self.give_back(engaged, self.own_cost(), self.own_tokens());
        }
    }

    fn give_back(&self, engaged: Engaged, cost: MicroUsd, tokens: u64) {
        let actors = &self.worker.actors;
        if let Some(hold) = engaged.budgets {
            actors.ledger.charge(hold, cost);
        }
        if let Some(permit) = engaged.limits {
            actors.limiter.settle(permit, tokens);
        }
        actors.pool.give_back(engaged.lease);
    }
}
