//! What follows from the members of a group and costs too much to work out for every request.

use foldhash::fast::FixedState;
use smallvec::SmallVec;
use std::hash::BuildHasher;

use super::group::{Member, Strategy};
use super::ring::Ring;

/// How the members of a group stand to each other; it follows from its strategy and members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The highest priority first.
    tiers: SmallVec<[Tier; 1]>,
}

/// The members of one priority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tier {
    /// The priority.
    pub(super) priority: i32,
    /// The places of its members in the group, as declared.
    pub(super) places: Vec<usize>,
    /// Another one where the list of members and weights is another.
    pub(super) mark: u64,
    /// Empty but for [`Strategy::ConsistentHash`].
    pub(super) ring: Ring,
}

impl Layout {
    pub(super) fn new(strategy: Strategy, members: &[Member]) -> Self {
        let mut priorities: SmallVec<[i32; 4]> = members.iter().map(|member| member.priority).collect();
        priorities.sort_unstable_by(|one, other| other.cmp(one));
        priorities.dedup();
        let tiers = priorities.into_iter().map(|priority| {
            let own = || members.iter().enumerate().filter(move |(_, member)| member.priority == priority);
            let shares: Vec<_> = own().map(|(_, member)| (&*member.name, member.share())).collect();
            let ids: Vec<_> = own().map(|(_, member)| (&*member.target.id, member.share())).collect();
            let ring = match strategy {
                Strategy::ConsistentHash => Ring::new(&shares),
                _ => Ring::default(),
            };
            let places = own().map(|(place, _)| place).collect();
            Tier { priority, places, mark: FixedState::default().hash_one(ids), ring }
        });
        Self { tiers: tiers.collect() }
    }

    /// The tiers, the highest priority first.
    pub(super) fn tiers(&self) -> &[Tier] {
        &self.tiers
    }
}
