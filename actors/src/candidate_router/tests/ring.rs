//! Consistent hashing: the same everywhere and for ever, balanced, and moved as little as can be.

use super::*;

const KEYS: usize = 100_000;

fn by(key: &str) -> RouteContext {
    RouteContext { key: hash_key(key), ..RouteContext::default() }
}

fn order(group: &Group, key: &str) -> String {
    ids(Health::new().plan(group, &by(key), START)).join(" ")
}

/// A group of that many equal targets and these, which is asked for the first one only.
fn equals(count: usize, more: &[&str]) -> Group {
    let names: Vec<String> = (0..count).map(|number| format!("target-{number}")).collect();
    let members = names.iter().map(String::as_str).chain(more.iter().copied()).map(|name| (name, 3));
    Group { max_fallbacks: Some(0), ..weighed(Strategy::ConsistentHash, &members.collect::<Vec<_>>()) }
}

/// Where each key goes.
fn homes(group: &Group) -> Vec<usize> {
    let health = Health::new();
    (0..KEYS).map(|key| health.plan(group, &by(&format!("key-{key}")), START).unwrap()[0].index).collect()
}

/// The values are those of a program of its own, written from the definition: 64-bit FNV-1a, finalised with splitmix64.
#[test]
fn points_are_the_same_in_every_process_and_version() {
    let pinned = [
        ("", 0xc381_7c01_6ba4_ff30),
        ("a", 0x5f29_c2aa_dd9b_8527),
        ("foobar", 0x5df2_9541_3403_de4f),
        ("gpt-4o\x000", 0xccc8_2ba1_8f83_f2c5),
        ("gpt-4o\x00159", 0x30b1_bf27_5208_413f),
    ];
    for (text, point) in pinned {
        assert_eq!(hash_key(text), point, "{text:?}");
    }
    let members = [("alpha", 10), ("beta", 10), ("gamma", 10), ("delta", 20)];
    let group = weighed(Strategy::ConsistentHash, &members);
    let pinned = [
        ("", "delta gamma beta alpha"),
        ("caller-1", "beta gamma delta alpha"),
        ("caller-2", "beta alpha gamma delta"),
        ("caller-3", "delta gamma beta alpha"),
        ("session/42", "delta beta alpha gamma"),
        ("ü", "alpha delta beta gamma"),
    ];
    for (key, expected) in pinned {
        assert_eq!(order(&group, key), expected, "{key:?}");
    }
    let mut turned = members;
    turned.reverse();
    let turned = weighed(Strategy::ConsistentHash, &turned);
    for (key, expected) in pinned {
        assert_eq!(order(&turned, key), expected, "{key:?}, whatever the order of declaration");
    }
}

#[test]
fn every_member_has_its_share_of_the_keys() {
    let members = [("alpha", 1), ("beta", 1), ("gamma", 1), ("delta", 2)];
    let group = Group { max_fallbacks: Some(0), ..weighed(Strategy::ConsistentHash, &members) };
    let homes = homes(&group);
    for (index, (name, weight)) in members.into_iter().enumerate() {
        let share = homes.iter().filter(|home| **home == index).count();
        let ideal = KEYS / 5 * weight as usize;
        // 160 points each put a share within some 8 % of the ideal, twice of which is rare.
        assert!(share.abs_diff(ideal) * 100 <= ideal * 16, "{name}: {share} of {ideal}");
    }
}

#[test]
fn a_target_that_joins_takes_its_share_and_moves_no_other_key() {
    for count in [2, 4] {
        let before = homes(&equals(count, &[]));
        let joiners = ["joiner-0", "joiner-1", "joiner-2", "joiner-3", "joiner-4", "joiner-5"];
        let moved = joiners.map(|joiner| {
            let after = homes(&equals(count, &[joiner]));
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
            moved.inspect(|(_, after)| assert_eq!(**after, count, "to the one that joined")).count()
        });
        let mean = moved.iter().sum::<usize>() / joiners.len();
        let ideal = KEYS / (count + 1);
        assert!(mean.abs_diff(ideal) * 10 <= ideal, "{moved:?} of {ideal}");
    }
}

#[test]
fn a_target_that_is_out_leaves_its_keys_to_their_successors_and_gets_them_back() {
    let health = Health::new();
    let group = weighed(Strategy::ConsistentHash, &[("a", 1), ("b", 1), ("c", 1), ("d", 1)]);
    let plans = |now| -> Vec<Vec<String>> {
        (0..500).map(|key| ids(health.plan(&group, &by(&key.to_string()), now))).collect()
    };
    let before = plans(START);
    report(&health, "b", failed(AttemptFailure::Timeout), START);
    let without = |mut plan: Vec<String>| {
        plan.retain(|id| id != "b");
        plan
    };
    assert_eq!(plans(START), before.clone().into_iter().map(without).collect::<Vec<_>>());
    assert_eq!(plans(later(30)), before);
    for (key, plan) in before.iter().enumerate() {
        let context = RouteContext { key: hash_key(&key.to_string()), ..only(4, &[0, 2, 3]) };
        assert_eq!(ids(health.plan(&group, &context, later(30))), without(plan.clone()));
    }
}
