//! The ring of consistent hashing: every member has points on it by its weight, and a key belongs to the next point.
//!
//! A point depends on the member's name and nothing else, so a member that joins or leaves moves its own share of
//! the keys and no others, and every process puts them at the same places.

use std::fmt;
use std::num::NonZeroU64;

use smallvec::SmallVec;

use super::group::hash_key;

/// Points on the ring for a unit of weight.
const POINTS: u64 = 160;

/// Units of weight on a ring, as far as each member can have one: it bounds the memory of a group.
const MOST_UNITS: u64 = 64;

/// The points of one tier's members.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Ring {
    /// Each point and whose it is, by the place in the tier; in the order of points.
    points: Vec<(u64, usize)>,
}

impl Ring {
    /// A ring of members by name and weight.
    pub(super) fn new(members: &[(&str, u64)]) -> Self {
        let mut points = Vec::new();
        for (place, ((name, _), units)) in members.iter().zip(units(members)).enumerate() {
            let count = units.saturating_mul(POINTS);
            points.extend((0..count).map(|index| (hash_key(&format!("{name}\0{index}")), place)));
        }
        points.sort_unstable();
        Self { points }
    }

    /// The first `most` distinct members from a key onwards that are accepted, by their places among `count`.
    pub(super) fn successors(
        &self,
        key: u64,
        count: usize,
        most: usize,
        accepts: impl Fn(usize) -> bool,
    ) -> SmallVec<[usize; 4]> {
        let wanted = (0..count).filter(|place| accepts(*place)).count().min(most);
        let mut found = SmallVec::new();
        let mut seen: SmallVec<[bool; 64]> = SmallVec::from_elem(false, count);
        let (before, after) = self.points.split_at(self.points.partition_point(|(point, _)| *point < key));
        let walk = after.iter().chain(before).map(|(_, place)| *place);
        // Whoever has no point, which no ring of this tier leaves out, comes last.
        for place in walk.chain(0..count) {
            if found.len() == wanted {
                break;
            }
            if let Some(seen) = seen.get_mut(place).filter(|seen| !**seen) {
                *seen = true;
                found.extend(Some(place).filter(|place| accepts(*place)));
            }
        }
        found
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ring({} points)", self.points.len())
    }
}

/// The units of each member: its weight divided by what all have in common, and made smaller where that is too much.
fn units(members: &[(&str, u64)]) -> Vec<u64> {
    let weights = || members.iter().map(|(_, weight)| *weight);
    let common = NonZeroU64::new(weights().fold(0, common_divisor)).unwrap_or(NonZeroU64::MIN);
    let sum = NonZeroU64::new(weights().fold(0, u64::saturating_add)).unwrap_or(NonZeroU64::MIN);
    if sum.get() / common <= MOST_UNITS {
        return weights().map(|weight| weight / common).collect();
    }
    // One at least for each: where that makes too many, the others get fewer.
    let scaled = |most: u64| weights().map(move |weight| (weight.saturating_mul(most) / sum).max(1));
    let fitting = (1..=MOST_UNITS).rev().find(|most| scaled(*most).sum::<u64>() <= MOST_UNITS);
    scaled(fitting.unwrap_or(1)).collect()
}

fn common_divisor(one: u64, other: u64) -> u64 {
    match one.checked_rem(other) {
        None => one,
        Some(rest) => common_divisor(other, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units_of(weights: &[u64]) -> Vec<u64> {
        units(&weights.iter().map(|weight| ("", *weight)).collect::<Vec<_>>())
    }

    #[test]
    fn units_are_small_and_everyone_has_one() {
        assert_eq!(units_of(&[7, 7, 7]), [1, 1, 1]);
        assert_eq!(units_of(&[100, 300]), [1, 3]);
        assert_eq!(units_of(&[31, 33]), [31, 33]);
        assert_eq!(units_of(&[1_000, 1]), [63, 1]);
        assert_eq!(units_of(&[u64::from(u32::MAX), 1, 1]), [62, 1, 1]);
        assert_eq!(units_of(&[100, 99, 98]), [21, 21, 21]);
        assert_eq!(units_of(&[5; 100]), [1; 100]);
        let many: Vec<u64> = (1..=100).collect();
        assert_eq!(units_of(&many).iter().min(), Some(&1));
        assert!(units_of(&[]).is_empty());
    }

    #[test]
    fn the_next_point_decides_and_the_last_is_followed_by_the_first() {
        let ring = Ring { points: vec![(10, 1), (20, 0), (30, 1), (40, 2)] };
        let order = |key| ring.successors(key, 3, usize::MAX, |_| true).to_vec();
        assert_eq!(order(0), [1, 0, 2]);
        assert_eq!(order(10), [1, 0, 2]);
        assert_eq!(order(11), [0, 1, 2]);
        assert_eq!(order(31), [2, 1, 0]);
        assert_eq!(order(41), [1, 0, 2]);
        assert_eq!(ring.successors(11, 3, usize::MAX, |place| place != 0).to_vec(), [1, 2]);
        assert_eq!(ring.successors(11, 3, 1, |_| true).to_vec(), [0]);
        assert!(ring.successors(11, 3, usize::MAX, |_| false).is_empty());
    }
}
