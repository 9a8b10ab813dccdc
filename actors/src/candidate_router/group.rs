//! What there is to choose from, and what a request adds to the choice.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::layout::Layout;
use super::outcome::CooldownRule;

/// How the targets of a group are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// As declared.
    #[default]
    Failover,
    /// In turn, each by its weight (smooth weighted round robin), then on from there.
    RoundRobin,
    /// First one at random by weight, then on from there.
    Weighted,
    /// By a key of the request: the same key meets the same target while it is there.
    ConsistentHash,
    /// The cheapest first.
    LeastCost,
    /// The fastest first, by a moving mean.
    LeastLatency,
    /// The one with the fewest attempts under way by its weight first.
    LeastBusy,
}

/// What to do when every target is unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenAllUnavailable {
    /// Refuse.
    #[default]
    Fail,
    /// Try them all the same, in order.
    TryAnyway,
}

/// A direct model that can be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The model's id; targets with the same id share their state.
    pub id: Arc<str>,
    /// When it cools.
    pub cooldown: CooldownRule,
    /// How long a failed background check counts; for ever when absent.
    pub check_stale_after: Option<Duration>,
}

/// A target's place in one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The target.
    pub target: Arc<Target>,
    /// Its name, which decides where it stands on the ring of [`Strategy::ConsistentHash`].
    pub name: Arc<str>,
    /// Its share among the others; at least 1.
    pub weight: u32,
    /// Higher ones are tried first.
    pub priority: i32,
    /// What requests may ask for it by.
    pub tags: Vec<Box<str>>,
    /// What its tokens cost, in any unit that all members share; unknown ones come last.
    pub cost: Option<u64>,
}

impl Member {
    /// A member of weight 1 and priority 0, without tags or a cost.
    pub fn new(target: Arc<Target>, name: Arc<str>) -> Self {
        Self { target, name, weight: 1, priority: 0, tags: Vec::new(), cost: None }
    }

    /// Its weight, where none is like 1.
    pub(super) fn share(&self) -> u64 {
        u64::from(self.weight).max(1)
    }
}

/// The targets of one model; a direct model is a group of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The model's id.
    pub id: Arc<str>,
    /// How the targets are ordered.
    pub strategy: Strategy,
    /// The targets as declared.
    pub members: Vec<Member>,
    /// How many targets after the first may be tried; all of them when absent.
    pub max_fallbacks: Option<u32>,
    /// What to do when every target is unhealthy.
    pub when_all_unavailable: WhenAllUnavailable,
    /// What follows from strategy and members, as [`Group::new`] worked it out; where these are others, so is it.
    pub layout: Layout,
}

/// Which members of a group a request may go to, by their places.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Eligible {
    /// All of them.
    #[default]
    All,
    /// Those whose bit is set; bit `n % 64` of word `n / 64` is member `n`.
    Some(SmallVec<[u64; 2]>),
}

/// What a request adds to the choice among a group's targets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteContext {
    /// Where it may go.
    pub eligible: Eligible,
    /// What [`Strategy::ConsistentHash`] goes by; see [`hash_key`].
    pub key: u64,
}

impl Eligible {
    /// Those members for which `keep` holds, of those that were eligible.
    #[must_use]
    pub fn only(self, count: usize, mut keep: impl FnMut(usize) -> bool) -> Self {
        let mut words: SmallVec<[u64; 2]> = SmallVec::from_elem(0, count.div_ceil(64));
        for index in (0..count).filter(|index| self.has(*index) && keep(*index)) {
            if let Some(word) = words.get_mut(index / 64) {
                *word |= 1 << (index % 64);
            }
        }
        Self::Some(words)
    }

    /// Whether a member may be asked.
    pub fn has(&self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::Some(words) => words.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1),
        }
    }

    /// Whether there is no member that may be asked.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Some(words) if words.iter().all(|word| *word == 0))
    }
}

impl Group {
    /// A group; its members are in the order of declaration.
    pub fn new(id: Arc<str>, strategy: Strategy, members: Vec<Member>) -> Self {
        let layout = Layout::new(strategy, &members);
        let when_all_unavailable = WhenAllUnavailable::Fail;
        Self { id, strategy, members, max_fallbacks: None, when_all_unavailable, layout }
    }

    /// Returns how many targets may be tried.
    pub(super) fn reach(&self) -> usize {
        let later = self.max_fallbacks.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        later.saturating_add(1)
    }
}

/// The key of a request on the ring of [`Strategy::ConsistentHash`], the same in every process and version.
pub fn hash_key(text: &str) -> u64 {
    // 64-bit FNV-1a, finalised with splitmix64.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mut mixed = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
