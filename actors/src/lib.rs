//! The five long-lived actors of the gateway and the books they keep.
//!
//! Every worker thread runs its own set of [`Actors`], so that asking one never crosses a thread.
//! The actors of one kind share one book ([`Books`]), which is exact across workers: the book holds
//! the truth, the actor is its desk. Whatever is taken from a book (a permit, a hold, a fill, a
//! lease, an in-flight count) is a value that gives itself back when dropped, so a caller that
//! leaves and an actor that dies leak nothing.
//!
//! This crate knows no HTTP, no JSON and no provider.
//!
//! * [`rate_limiter`]: requests, tokens and concurrency by scope
//! * [`budget_ledger`]: money spent and held by budget and period
//! * [`cache`]: finished answers, and who is filling a miss
//! * [`candidate_router`]: which targets to try, in which order
//! * [`provider_pool`]: credentials and slots of provider keys
//! * [`redis`]: the way to a Redis that several gateways share

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod actors;
pub mod budget_ledger;
pub mod cache;
pub mod candidate_router;
pub mod provider_pool;
pub mod rate_limiter;
pub mod redis;
mod register;
pub mod types;
mod worker;

pub use actors::{Actors, Books, Inspection, Untaken};
pub use budget_ledger::{BudgetLedgerHandle, Ledger};
pub use cache::{CacheBook, CacheHandle};
pub use candidate_router::{CandidateRouterHandle, Health};
pub use provider_pool::{PoolBook, ProviderPoolHandle};
pub use rate_limiter::{LimitBook, RateLimiterHandle};
pub use types::{MicroUsd, Now};
