//! Several gateways over one Redis: exact together, and well without it.

mod exact;
mod fleet;
mod server;
