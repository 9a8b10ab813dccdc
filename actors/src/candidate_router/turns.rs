//! Whose turn it is: smooth weighted round robin, exact over all workers.
//!
//! Every pick gives each member that stands for election its weight in credit; the one with the most is picked and pays
//! for all. So shares are exact and a heavy member's turns are spread, not bunched. The critical section is a few
//! additions for each member.

use std::sync::Mutex;

use smallvec::SmallVec;

use super::layout::{Layout, Tier};
use crate::register::lock;

/// The turns of one group.
#[derive(Debug, Default)]
pub(super) struct Turns {
    tiers: Mutex<SmallVec<[Credits; 1]>>,
}

/// What the members of one tier have saved up, by their places in it.
#[derive(Debug)]
struct Credits {
    priority: i32,
    mark: u64,
    credits: SmallVec<[i64; 4]>,
}

impl Turns {
    /// Picks one of those that stand for election, given by place in the tier and weight; gives its place.
    pub(super) fn pick(
        &self,
        layout: &Layout,
        tier: &Tier,
        elected: impl Iterator<Item = (usize, u64)>,
    ) -> Option<usize> {
        let mut tiers = lock(&self.tiers);
        let is_own = |own: &Credits| (own.priority, own.mark) == (tier.priority, tier.mark);
        if !tiers.iter().any(is_own) {
            let exists = |own: &Credits| layout.tiers().iter().any(|tier| tier.priority == own.priority);
            tiers.retain(|own| own.priority != tier.priority && exists(own));
            let credits = SmallVec::from_elem(0, tier.places.len());
            tiers.push(Credits { priority: tier.priority, mark: tier.mark, credits });
        }
        tiers.iter_mut().find(|own| is_own(own))?.pick(elected)
    }
}

impl Credits {
    fn pick(&mut self, elected: impl Iterator<Item = (usize, u64)>) -> Option<usize> {
        let (mut total, mut best) = (0_i64, None);
        for (place, weight) in elected {
            let weight = i64::try_from(weight).unwrap_or(i64::MAX);
            let Some(credit) = self.credits.get_mut(place) else { continue };
            *credit = credit.saturating_add(weight);
            total = total.saturating_add(weight);
            if best.is_none_or(|(_, most)| *credit > most) {
                best = Some((place, *credit));
            }
        }
        let (place, _) = best?;
        let credit = self.credits.get_mut(place)?;
        *credit = credit.saturating_sub(total);
        Some(place)
    }
}
