//! Answers in Redis, shared by all gateways that use it.
//!
//! A read is one round trip with the deadline of the connection; a write is told after the answer and nobody waits for
//! it. Whatever goes wrong is a miss or a write that is left out. The cache has a link of its own, so that a large answer
//! on its way does not hold up the limits beside it.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::book::{Entry, Key};
use crate::redis::{Link, Server, Use, Value, cmd};

mod frame;
mod purge;

pub use purge::purge;

/// Largest entry that is kept there: a value travels whole over the one connection of a worker, and a larger one would
/// keep the look-ups behind it waiting beyond their deadline.
pub(super) const MAX_VALUE_BYTES: usize = 1 << 20;

/// Bytes of entries that one worker may have on their way: what a Redis that is slow may hold up here.
const MAX_BYTES_UNDER_WAY: usize = 8 << 20;

/// One worker's access to the answers in Redis.
#[derive(Clone)]
pub(super) struct Shared {
    link: Link,
    under_way: Rc<Cell<usize>>,
}

impl Shared {
    /// Prepares the access; it connects when first used.
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { link: Link::new(server), under_way: Rc::default() }
    }

    /// Returns an answer, if Redis has it and says so in time.
    pub(super) async fn fetch(&self, policy: &Arc<str>, key: &Key) -> Option<Entry> {
        let mut get = cmd("GET");
        get.arg(self.name(policy, key));
        match self.link.call(Use::Cache, &get).await {
            Ok(Value::BulkString(value)) => frame::read(value.into(), policy),
            Ok(_) => None,
            Err(_) => {
                self.link.server().tally(Use::Cache).fall_back();
                None
            }
        }
    }

    /// Keeps an answer, without waiting.
    pub(super) fn put(&self, policy: &Arc<str>, key: &Key, entry: &Entry, ttl: Duration) {
        let value = frame::write(entry);
        let size = value.len();
        let before = self.under_way.get();
        if size > MAX_VALUE_BYTES || before.saturating_add(size) > MAX_BYTES_UNDER_WAY {
            return;
        }
        self.under_way.set(before.saturating_add(size));
        let mut set = cmd("SET");
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        set.arg(self.name(policy, key)).arg(value).arg("PX").arg(ttl);
        let (link, under_way) = (self.link.clone(), Rc::clone(&self.under_way));
        actix::spawn(async move {
            // A write that failed is counted by the link, and is a miss later.
            let _ = link.call(Use::Cache, &set).await;
            under_way.set(under_way.get().saturating_sub(size));
        });
    }

    fn name(&self, policy: &str, key: &Key) -> String {
        let mut name = beginning(self.link.server(), policy);
        for byte in key {
            for half in [byte >> 4, byte & 15] {
                name.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
            }
        }
        name
    }
}

/// What the names of all entries of a policy begin with.
fn beginning(server: &Server, policy: &str) -> String {
    format!("{}:cache:{policy}:", server.options.key_prefix)
}
