//! AISIX Gateway: one place for every model call of a company.
//!
//! The tour, in reading order:
//!
//! * [`operation`] and [`endpoints`]: what can be asked for, and the table of where
//! * [`pipeline`]: the stages that every request goes through
//! * [`dialect`]: wire formats, as pure code
//! * [`providers`]: who is asked, where, with which credential
//! * [`upstream`]: the only place that connects out
//! * [`error`] and [`envelope`]: what can go wrong, and how a caller reads it
//! * [`config`]: `config.toml`, checked and resolved into a snapshot
//! * [`guardrails`]: what may be asked and answered, as pure code
//! * [`policies`]: which limits hold for which requests, as pure code
//! * [`registry`]: what changes the configuration while the gateway runs; the store
//! * [`openapi`]: what the listeners answer, in words for machines
//! * [`journal`]: what was spent outlives the process
//! * [`gateway`] and [`server`]: what a process and a thread hold; listeners and draining
//! * [`redis`]: what several gateways share, as the configuration says
//! * [`checks`]: models are asked from time to time whether they are well
//! * [`telemetry`]: the log
//! * [`mock`]: a provider in this process
//! * [`load`]: the load test
//! * [`cli`]: the command line
//!
//! The five actors live in the crate `aisix_actors`.

pub mod checks;
pub mod cli;
pub mod config;
pub mod dialect;
pub mod endpoints;
pub mod envelope;
pub mod error;
pub mod gateway;
pub mod guardrails;
pub mod journal;
pub mod load;
pub mod mock;
pub mod openapi;
pub mod operation;
pub mod pipeline;
pub mod policies;
pub mod providers;
pub mod redis;
pub mod registry;
pub mod server;
pub mod telemetry;
pub mod tokens;
pub mod upstream;
