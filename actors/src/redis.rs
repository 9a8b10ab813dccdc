//! The way to a Redis that several gateways share: how it is reached, what is asked, and what happens while it cannot
//! be asked.
//!
//! A [`Server`] is one Redis, whatever it is built of, and what the whole process knows of it. Every worker has a
//! [`Link`] of its own: one connection on its own thread, over which any number of calls are under way at once. A
//! lost connection takes the link down; from then on calls fail at once, so that no request waits for a Redis that is
//! away, while the link tries to come back by itself. One late answer does not.

mod link;
mod options;
mod server;
mod wire;

pub use ::redis::{Cmd, Value, cmd};
pub use link::{Link, Links, Recovery};
pub use options::{Mode, Options, Tls};
pub use server::{Server, Servers, Tally, Use};
pub use wire::{Fault, Script, Unanswered, Wire};
