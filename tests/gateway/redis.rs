//! Several gateways over one Redis: exact together, and well without it.

mod builds;
mod exact;
mod far;
mod fleet;
mod kills;
mod known;
mod outage;
mod server;
mod silent;
mod start;
mod turns;
mod usage;
