//! The integration tests: a real gateway on a port of its own, a scripted provider, a real client.
//!
//! One binary, one module per behaviour. Expected values come from the specification; a test that must wait waits for
//! an event with a deadline.

mod admin;
mod allowed_cidrs;
mod auth_throttle;
mod bad_input;
mod budgets;
mod cache;
mod chaos;
mod checks;
mod client_address;
mod connections;
mod crashes;
mod dialects;
mod dollar;
mod endpoints;
mod errors;
mod faults;
mod guardrails;
mod harness;
mod health;
mod lifecycle;
mod limits;
mod listener_tls;
mod matrix;
mod metrics;
mod mock;
mod mutations;
mod openapi;
mod pairs;
mod passthrough;
mod playground;
mod prices;
mod recordings;
mod records;
mod registry;
mod reload;
mod rescue;
mod rewrites;
mod roundtrip;
mod routing;
mod secrets;
mod store;
mod strategies;
mod streams;
mod tidy;
mod tls;
mod transfer;
mod usage;
