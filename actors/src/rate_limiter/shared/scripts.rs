//! What is sent to Redis about limits, and how its answers read.
//!
//! All keys of limits carry one hash tag, so that they lie on one node of a cluster: all scopes of a request are taken
//! as one step, which no cluster does over several nodes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use redis::{Cmd, Value};

use super::super::counts::{Drained, Told};
use super::super::limit::{Dimension, LimitExceeded, RateLimit, Scope};
use super::super::permit::Ending;
use super::Addition;
use super::lane::{Asked, Entry, Lane, Limited};
use crate::redis::Script;

/// How long a fence stands: far longer than what was sent before it can be on its way.
const FENCE_SECS: u64 = 86_400;

/// The most tokens of one request that are counted: sums of these are exact numbers for Redis, which a caller's
/// `max_tokens` need not be.
pub(super) const MOST_TOKENS: u64 = 1 << 36;

/// How keys and arguments are written.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: String,
    ttl: u64,
    pub(super) acquire_script: Script,
    pub(super) close_script: Script,
    pub(super) keep_script: Script,
    pub(super) add_script: Script,
    pub(super) look_script: Script,
}

/// What Redis said to a request.
#[derive(Debug)]
pub(super) enum Reply {
    Admitted {
        unix: Duration,
        requests: u64,
        tokens: u64,
        concurrent: u32,
        told: Vec<Told>,
    },
    Refused(LimitExceeded, Vec<Told>),
    /// The money that was to be set aside is not.
    NoHold,
    /// It was too late, or it cannot be read.
    Lost,
}

impl Keys {
    pub(super) fn new(prefix: &str, ttl: Duration) -> Self {
        Self {
            prefix: format!("{{{prefix}}}:rl:"),
            ttl: ttl.as_secs().max(1),
            acquire_script: Script::new(include_str!("acquire.lua")),
            close_script: Script::new(include_str!("close.lua")),
            keep_script: Script::new(include_str!("keep.lua")),
            add_script: Script::new(include_str!("add.lua")),
            look_script: Script::new(include_str!("look.lua")),
        }
    }

    fn fence(&self, lane: &Lane) -> String {
        format!("{}lane:{}", self.prefix, lane.name)
    }

    fn scopes(&self, scopes: &[Arc<Scope>], command: &mut Cmd) {
        for Scope { id, .. } in scopes.iter().map(|scope| &**scope) {
            command.arg(format!("{}n:{id}", self.prefix)).arg(format!("{}p:{id}", self.prefix));
        }
    }

    /// Writes a request for a permit. `hold` is a hold that must exist, and the key that lists it.
    pub(super) fn acquire(
        &self,
        command: &mut Cmd,
        asked: &Asked,
        scopes: &Limited,
        tokens: u64,
        hold: Option<&(String, String)>,
    ) {
        let keys = scopes.len().saturating_mul(2).saturating_add(1).saturating_add(hold.iter().len());
        command.arg(keys).arg(self.fence(&asked.lane));
        if let Some((key, _)) = hold {
            command.arg(key);
        }
        self.scopes(scopes, command);
        let of_key = scopes.iter().position(|scope| scope.layer == super::super::Layer::ApiKey);
        command
            .arg(asked.lane.epoch.load(Relaxed))
            .arg(asked.member())
            .arg(tokens)
            .arg(self.ttl)
            .arg(of_key.map_or(0, |place| place.saturating_add(1)))
            .arg(hold.map_or("", |(_, hold)| hold));
        for scope in scopes {
            let RateLimit { rps, rpm, rph, rpd, tpm, tpd, concurrency } = scope.limit;
            for limit in [rps, rpm, rph, rpd, tpm, tpd, concurrency.map(u64::from)] {
                match limit {
                    Some(limit) => command.arg(limit),
                    None => command.arg(""),
                };
            }
        }
    }

    /// Writes that a permit is given back.
    pub(super) fn close(&self, command: &mut Cmd, lane: &Lane, id: u64, entry: &Entry) {
        command.arg(entry.scopes.len().saturating_mul(2));
        self.scopes(&entry.scopes, command);
        let spent = match entry.ending {
            Some(Ending::Used(tokens)) => tokens.min(MOST_TOKENS),
            Some(Ending::Unused | Ending::Cancelled) | None => 0,
        };
        command.arg(lane.member(id, entry.tokens)).arg(entry.tokens).arg(spent).arg(self.ttl);
        match entry.ending {
            Some(Ending::Cancelled) => command.arg(entry.counted.as_secs()),
            Some(Ending::Used(_) | Ending::Unused) | None => command.arg(""),
        };
        for scope in &entry.scopes {
            let RateLimit { rpm, rph, rpd, tpm, tpd, .. } = scope.limit;
            for limit in [rpm, rph, rpd, tpm, tpd] {
                command.arg(u8::from(limit.is_some()));
            }
        }
    }

    /// Writes that a permit is still open.
    pub(super) fn keep(&self, command: &mut Cmd, lane: &Lane, id: u64, entry: &Entry) {
        command.arg(entry.scopes.len().saturating_mul(2));
        self.scopes(&entry.scopes, command);
        command.arg(lane.member(id, entry.tokens)).arg(self.ttl);
    }

    /// Writes what was counted without Redis.
    pub(super) fn add(&self, command: &mut Cmd, gateway: &str, addition: &Addition) {
        let Addition { number, scope, counts } = addition;
        command.arg(2).arg(format!("{}n:{scope}", self.prefix)).arg(format!("{}add:{gateway}", self.prefix));
        let Drained { minute, minute_tokens, hour, day, day_tokens } = counts;
        command.arg(minute.0.max(minute_tokens.0)).arg(minute.1).arg(minute_tokens.1);
        command.arg(hour.0).arg(hour.1);
        command.arg(day.0.max(day_tokens.0)).arg(day.1).arg(day_tokens.1);
        command.arg(self.ttl.saturating_mul(2)).arg(number).arg(FENCE_SECS);
    }

    /// Writes the question how scopes stand.
    pub(super) fn look(&self, command: &mut Cmd, scopes: &Limited) {
        command.arg(scopes.len().saturating_mul(2));
        self.scopes(scopes, command);
    }

    /// Writes the fence of a lane: what was sent in earlier epochs does nothing from now on.
    pub(super) fn raise(&self, lane: &Lane) -> Cmd {
        let mut command = redis::cmd("SET");
        let epoch = lane.epoch.fetch_add(1, Relaxed).saturating_add(1);
        command.arg(self.fence(lane)).arg(epoch).arg("EX").arg(FENCE_SECS);
        command
    }
}

impl Reply {
    /// Reads an answer to a request for a permit.
    pub(super) fn read(value: &Value, scopes: &Limited) -> Self {
        let Value::Array(items) = value else { return Self::Lost };
        let numbers: Vec<i64> = items
            .iter()
            .map(|item| match item {
                Value::Int(number) => *number,
                _ => -1,
            })
            .collect();
        match *numbers.as_slice() {
            [1, secs, requests, tokens, concurrent, ref counts @ ..] => Self::Admitted {
                unix: Duration::from_secs(count(secs)),
                requests: count(requests),
                tokens: count(tokens),
                concurrent: u32::try_from(concurrent).unwrap_or_default(),
                told: told(secs, counts),
            },
            [0, scope, dimension, limit, used, wait, secs, ref counts @ ..] => {
                let scope = usize::try_from(scope).ok().and_then(|place| scopes.get(place));
                let (Some(scope), Some(dimension)) = (scope, dimension_of(dimension)) else {
                    return Self::Lost;
                };
                let exceeded = LimitExceeded {
                    layer: scope.layer.clone(),
                    scope: Arc::clone(&scope.id),
                    dimension,
                    limit: count(limit),
                    used: count(used),
                    retry_after: u64::try_from(wait).ok().map(Duration::from_secs),
                };
                Self::Refused(exceeded, told(secs, counts))
            }
            [3] => Self::NoHold,
            _ => Self::Lost,
        }
    }
}

/// Reads how scopes stand; nothing where it cannot be read.
pub(super) fn standings(value: &Value, scopes: usize) -> Option<Vec<(Told, u64, u32)>> {
    let Value::Array(items) = value else { return None };
    let number = |item: &Value| if let Value::Int(number) = item { Some(*number) } else { None };
    let numbers = items.iter().map(number).collect::<Option<Vec<i64>>>()?;
    let (secs, rest) = numbers.split_first()?;
    let standing = |[counts @ .., held, concurrent]: &[i64; 7]| {
        let concurrent = u32::try_from(*concurrent).unwrap_or_default();
        Some((*told(*secs, counts).first()?, count(*held), concurrent))
    };
    let standings = rest.as_chunks().0.iter().map(standing).collect::<Option<Vec<_>>>()?;
    (standings.len() == scopes).then_some(standings)
}

/// Reads what is counted in every scope.
fn told(secs: i64, counts: &[i64]) -> Vec<Told> {
    let unix = Duration::from_secs(count(secs));
    let each = counts.as_chunks().0.iter().map(|[minute, minute_tokens, hour, day, day_tokens]| Told {
        unix,
        minute: count(*minute),
        minute_tokens: count(*minute_tokens),
        hour: count(*hour),
        day: count(*day),
        day_tokens: count(*day_tokens),
    });
    each.collect()
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// The dimensions in the order in which the script names them.
fn dimension_of(number: i64) -> Option<Dimension> {
    let dimensions = [
        Dimension::Concurrency,
        Dimension::Tpm,
        Dimension::Tpd,
        Dimension::Rps,
        Dimension::Rpm,
        Dimension::Rph,
        Dimension::Rpd,
    ];
    usize::try_from(number).ok().and_then(|place| dimensions.get(place).copied())
}
