//! Callers who ask at once: of one gateway or of several, with the statuses of their answers counted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::{Connection, Gate, Upstream, until};

/// Lets this process have as many connections as the machine allows: a thousand callers have both ends of theirs here.
pub fn room_for_connections() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("up to the maximum");
}

/// How many answers had each status.
pub type Statuses = BTreeMap<u16, usize>;

/// So many callers, each with a connection of its own, in turn to these gateways.
pub struct Crowd<'a> {
    pub addrs: &'a [SocketAddr],
    pub callers: usize,
}

impl Crowd<'_> {
    /// Makes so many requests in all. Everybody begins at the same time, and asks again as soon as it is answered.
    pub fn ask(&self, requests: usize, request: &[u8]) -> Statuses {
        let left = AtomicUsize::new(requests);
        let take = || left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        self.each(|connection| {
            let mut statuses = Vec::new();
            while take() {
                connection.send(request);
                statuses.push(connection.response().status);
            }
            statuses
        })
    }

    /// Makes one request of each caller, and keeps those that reach the upstream there until each has reached it or is
    /// refused. The upstream answers when the gate is open.
    pub fn ask_held(&self, upstream: &Upstream, gate: &Gate, request: &[u8]) -> Statuses {
        let answered = AtomicUsize::new(0);
        let before = upstream.count();
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                self.each(|connection| {
                    connection.send(request);
                    let status = connection.response().status;
                    answered.fetch_add(1, SeqCst);
                    vec![status]
                })
            });
            until("each request is refused or held", || {
                upstream.count() - before + answered.load(SeqCst) >= self.callers
            });
            gate.open();
            asking.join().expect("all are answered")
        })
    }

    /// Has every caller do something at the same time.
    fn each(&self, work: impl Fn(&mut Connection) -> Vec<u16> + Sync) -> Statuses {
        let (start, work) = (Barrier::new(self.callers), &work);
        let statuses = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..self.callers)
                .map(|number| {
                    let (start, addr) = (&start, self.addrs[number % self.addrs.len()]);
                    scope.spawn(move || {
                        let mut connection = Connection::open(addr);
                        start.wait();
                        work(&mut connection)
                    })
                })
                .collect();
            let done = callers.into_iter().map(|caller| caller.join().expect("a caller is answered"));
            done.collect::<Vec<_>>().concat()
        });
        let mut counts = Statuses::new();
        statuses.into_iter().for_each(|status| *counts.entry(status).or_default() += 1);
        counts
    }
}
