//! Settle: what an answer costs, and giving back what was held for it.

use aisix_actors::rate_limiter::Standing;
use aisix_actors::types::MicroUsd;

use super::Exchange;
use crate::dialect::Usage;

/// What targets that did not finish an answer have delivered of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// In money.
    pub cost: MicroUsd,
    /// In tokens.
    pub tokens: u64,
}

impl Exchange {
    /// What all of the answer costs.
    #[must_use]
    pub fn cost(&self) -> MicroUsd {
        self.earlier.cost.saturating_add(self.own_cost())
    }

    /// What the target in use delivered, with its price.
    pub(super) fn own_cost(&self) -> MicroUsd {
        match (&self.price, &self.usage) {
            (Some(price), Some(usage)) => {
                let fresh = usage.prompt.saturating_sub(usage.cached).saturating_sub(usage.cache_write);
                price.cost(fresh, usage.completion, usage.cached, usage.cache_write)
            }
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
        self.earlier.cost = self.earlier.cost.saturating_add(cost);
        self.earlier.tokens = self.earlier.tokens.saturating_add(tokens);
        self.usage = None;
    }

    pub(super) fn settle_money_and_target(&mut self) {
        if let Some(hold) = self.budgets.take() {
            self.worker.actors.ledger.charge(hold, self.cost());
        }
        self.settle_target();
    }

    /// Charges the target in use, and gives back what it holds.
    fn settle_target(&mut self) {
        let (cost, tokens) = (self.own_cost(), self.own_tokens());
        let actors = &self.worker.actors;
        if let Some(engaged) = self.engaged.take() {
            if let Some(hold) = engaged.budgets {
                actors.ledger.charge(hold, cost);
            }
            if let Some(permit) = engaged.limits {
                actors.limiter.settle(permit, tokens);
            }
            actors.pool.give_back(engaged.lease);
        }
    }
}
