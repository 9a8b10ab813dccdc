//! Provider keys and the slots of each: how many requests are under way with it.
//!
//! The set of keys is replaced whole, so a reader sees the old one or the new one. A key that stays
//! keeps its count, and a lease of a key that went still gives back its slot.

use foldhash::HashMap;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, RwLock};

use derive_more::{Display, Error};

use crate::register::{read, write};

/// A credential; printing it shows that there is one and nothing more.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a credential.
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self(value.into())
    }

    /// Shows the credential, to be written into an upstream request and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Which connection rules a key's requests use; the same rules have the same id in every configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TlsProfileId(pub u64);

/// The credential and base URL for a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderKey {
    /// The id of the resource.
    pub id: Arc<str>,
    /// The name for people.
    pub name: Arc<str>,
    /// Where the provider is.
    pub base_url: Arc<str>,
    /// What authenticates; none for providers that need none.
    pub credential: Option<Secret>,
    /// How to connect.
    pub tls: TlsProfileId,
    /// The most requests under way at the same time.
    pub max_in_flight: Option<u32>,
}

/// Why a key is not leased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Display, Error)]
pub enum LeaseRefused {
    /// There is no such key.
    #[display("the provider key does not exist")]
    Unknown,
    /// All of its slots are taken.
    #[display("all {in_flight} slots of the provider key are taken")]
    Saturated {
        /// Requests under way with it.
        in_flight: u32,
    },
}

/// What the pools have done so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolCounters {
    /// Keys known.
    pub keys: usize,
    /// Leases held of the keys known.
    pub in_flight: u64,
    /// Leases granted.
    pub leased: u64,
    /// Leases refused.
    pub refused: u64,
}

/// All provider keys, shared by the pools of all workers.
#[derive(Debug, Default)]
pub struct PoolBook {
    slots: RwLock<HashMap<Arc<str>, Arc<Slots>>>,
    leased: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug)]
struct Slots {
    key: ProviderKey,
    /// Shared with the slots that this key had before it was installed anew.
    in_flight: Arc<AtomicU32>,
}

impl PoolBook {
    /// Opens a book without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces all keys; those that stay keep their count of requests under way.
    pub fn install(&self, keys: Vec<ProviderKey>) {
        let mut slots = write(&self.slots);
        let next = keys.into_iter().map(|key| {
            let kept = slots.get(&key.id).map(|slots| Arc::clone(&slots.in_flight));
            (Arc::clone(&key.id), Arc::new(Slots { key, in_flight: kept.unwrap_or_default() }))
        });
        *slots = next.collect();
    }

    /// Takes a slot of a key.
    ///
    /// # Errors
    /// When there is no such key, or all of its slots are taken.
    pub fn lease(&self, id: &str) -> Result<Lease, LeaseRefused> {
        let slots = read(&self.slots).get(id).cloned();
        let outcome = slots.ok_or(LeaseRefused::Unknown).and_then(Lease::take);
        let counter = if outcome.is_ok() { &self.leased } else { &self.refused };
        counter.fetch_add(1, Relaxed);
        outcome
    }

    /// Returns the requests under way with a key.
    pub fn in_flight(&self, id: &str) -> Option<u32> {
        read(&self.slots).get(id).map(|slots| slots.in_flight.load(Relaxed))
    }

    /// Returns a copy of the counters.
    pub fn counters(&self) -> PoolCounters {
        let slots = read(&self.slots);
        PoolCounters {
            keys: slots.len(),
            in_flight: slots.values().map(|slots| u64::from(slots.in_flight.load(Relaxed))).sum(),
            leased: self.leased.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }
}

/// A provider key, and one of its slots; dropping it gives the slot back.
#[derive(Debug)]
#[must_use = "dropping a lease gives it back"]
pub struct Lease(Arc<Slots>);

impl Lease {
    fn take(slots: Arc<Slots>) -> Result<Self, LeaseRefused> {
        let most = slots.key.max_in_flight.unwrap_or(u32::MAX);
        let add = |in_flight: u32| in_flight.checked_add(1).filter(|next| *next <= most);
        match slots.in_flight.fetch_update(Relaxed, Relaxed, add) {
            Ok(_) => Ok(Self(slots)),
            Err(in_flight) => Err(LeaseRefused::Saturated { in_flight }),
        }
    }
}

impl Deref for Lease {
    type Target = ProviderKey;

    fn deref(&self) -> &ProviderKey {
        &self.0.key
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}
