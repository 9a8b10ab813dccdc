//! The order in which a tier's members are tried: what each strategy makes of those that may be asked.

use std::sync::Arc;

use smallvec::SmallVec;

use super::book::Health;
use super::group::{Group, Member, RouteContext, Strategy};
use super::layout::Tier;
use super::state::TargetState;
use super::status::Condition;
use crate::register::Entries;
use crate::types::Now;

/// The members of a tier that may be asked; on the stack as far as groups are small.
pub(super) type Seats<'a> = SmallVec<[Seat<'a>; 4]>;

/// A member that may be asked, as it stands at this moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat<'a> {
    /// Its place in the group.
    pub(super) index: usize,
    /// Its place in the tier.
    place: usize,
    pub(super) member: &'a Member,
    /// `None` for one that nobody has asked for yet, which is healthy.
    pub(super) state: Option<&'a Arc<TargetState>>,
    pub(super) condition: Condition,
    /// Whether it has yet to answer for the first time, and somebody began to wait for that a short while ago. Where the targets are equals, nobody
    /// else need find out with it that it is dead.
    is_on_trial: bool,
    /// What the strategy goes by, where that changes all the time: it is read once, and compared often. Zero for a
    /// latency that nobody knows yet.
    measure: u64,
}

/// One plan's view of a group.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) book: &'a Health,
    pub(super) group: &'a Group,
    pub(super) context: &'a RouteContext,
    pub(super) known: &'a Entries<TargetState>,
    pub(super) now: Now,
}

impl<'a> View<'a> {
    /// The first `most` members of a tier, in the order to try.
    pub(super) fn order(self, tier: &Tier, most: usize) -> Seats<'a> {
        let may_be_asked =
            |place: usize| tier.places.get(place).is_some_and(|index| self.context.eligible.has(*index));
        let count = tier.places.len();
        let all = (0..count).filter(|place| may_be_asked(*place));
        let seat = |place| self.seat(tier, place);
        let mut seats = Seats::new();
        match self.group.strategy {
            Strategy::ConsistentHash => {
                let places = tier.ring.successors(self.context.key, count, most, may_be_asked);
                seats.reserve(places.len());
                seats.extend(places.into_iter().filter_map(seat));
            }
            Strategy::Failover => {
                seats.reserve(count.min(most));
                seats.extend(all.take(most).filter_map(seat));
            }
            Strategy::RoundRobin
            | Strategy::Weighted
            | Strategy::LeastCost
            | Strategy::LeastLatency
            | Strategy::LeastBusy => {
                seats.reserve(count);
                seats.extend(all.filter_map(seat));
            }
        }
        self.arrange(&mut seats, tier);
        seats.truncate(most);
        seats
    }

    fn arrange(self, seats: &mut Seats<'_>, tier: &Tier) {
        match self.group.strategy {
            Strategy::Failover | Strategy::ConsistentHash => {}
            Strategy::RoundRobin => {
                let elected = elected(seats).map(|seat| (seat.place, seat.member.share()));
                let first = self.book.turns(&self.group.id).pick(&self.group.layout, tier, elected);
                begin_with(seats, first);
            }
            Strategy::Weighted => {
                let first = self.weighted(seats);
                begin_with(seats, first);
            }
            Strategy::LeastCost => seats.sort_by_key(|seat| (seat.member.cost.is_none(), seat.member.cost)),
            Strategy::LeastLatency => seats.sort_by_key(|seat| (seat.is_on_trial, seat.measure)),
            // One fraction is less than another if it is when each is multiplied by both denominators.
            Strategy::LeastBusy => seats.sort_by(|one, other| {
                let scaled = |seat: &Seat<'_>, by: &Seat<'_>| seat.measure.saturating_mul(by.member.share());
                let by_trial = one.is_on_trial.cmp(&other.is_on_trial);
                by_trial.then_with(|| scaled(one, other).cmp(&scaled(other, one)))
            }),
        }
    }

    fn seat(self, tier: &Tier, place: usize) -> Option<Seat<'a>> {
        let index = *tier.places.get(place)?;
        let member = self.group.members.get(index)?;
        let state = self.known.get(&member.target.id);
        let stale_after = member.target.check_stale_after;
        let condition = state.map_or(Condition::Healthy, |state| state.condition(stale_after, self.now));
        let measure = match self.group.strategy {
            Strategy::LeastLatency => state.map_or(0, |state| state.latency_micros()),
            Strategy::LeastBusy => state.map_or(0, |state| u64::from(state.in_flight())).saturating_add(1),
            Strategy::Failover
            | Strategy::RoundRobin
            | Strategy::Weighted
            | Strategy::ConsistentHash
            | Strategy::LeastCost => 0,
        };
        let is_on_trial = state.is_some_and(|state| state.is_on_trial(self.now));
        Some(Seat { index, place, member, state, condition, is_on_trial, measure })
    }

    /// The place in the tier of one that is picked at random by weight.
    fn weighted(self, seats: &Seats<'_>) -> Option<usize> {
        let total = elected(seats).fold(0, |sum: u64, seat| sum.saturating_add(seat.member.share()));
        let mut rest = self.book.random_below(total);
        let picked = elected(seats).find(|seat| match rest.checked_sub(seat.member.share()) {
            Some(left) => {
                rest = left;
                false
            }
            None => true,
        });
        picked.map(|seat| seat.place)
    }
}

/// Those among whom the first one is picked: the healthy ones that are not on trial, or the healthy ones, or all of them
/// where none is. So the share of one that is out is spread by weight, and does not fall to its neighbour.
fn elected<'s, 'a>(seats: &'s Seats<'a>) -> impl Iterator<Item = &'s Seat<'a>> {
    let doubt = |seat: &Seat<'_>| match (seat.condition, seat.is_on_trial) {
        (Condition::Healthy, false) => 0,
        (Condition::Healthy, true) => 1,
        (Condition::Cooling | Condition::Unhealthy, _) => 2,
    };
    let least = seats.iter().map(doubt).min();
    seats.iter().filter(move |seat| Some(doubt(seat)) == least)
}

/// Begins with the one at that place in the tier, and goes on from there as declared.
fn begin_with(seats: &mut Seats<'_>, first: Option<usize>) {
    if let Some(at) = seats.iter().position(|seat| Some(seat.place) == first) {
        seats.rotate_left(at);
    }
}
