//! One worker's connection to a Redis: up, down, and back by itself.
//!
//! The first call waits for the first connection. After a failure nobody waits any more: calls fail at once until a
//! task of the link has connected again and everyone who needs to put something right has done so.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared};
use redis::{Cmd, Value};

use super::server::{Server, Servers, Use};
use super::wire::{Down, Script, Wire};

/// Wait after the first failed attempt to come back; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// Longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Who puts right what an outage left behind, over a new connection and before anybody else uses it.
pub trait Recovery {
    /// Puts it right. A failure is one of the connection: everything begins again.
    fn recover(&self, wire: Wire) -> LocalBoxFuture<'_, Result<(), String>>;
}

/// One worker's links to the Redis of each use; uses of the same one share the link.
#[derive(Clone, Default)]
pub struct Links {
    links: Vec<Link>,
}

impl Links {
    /// Prepares the links of one worker.
    pub fn new(servers: &Servers) -> Self {
        let mut links: Vec<Link> = Vec::new();
        for server in Use::ALL.iter().filter_map(|used_for| servers.of(*used_for)) {
            if !links.iter().any(|link| Arc::ptr_eq(link.server(), server)) {
                links.push(Link::new(Arc::clone(server)));
            }
        }
        Self { links }
    }

    /// Connects all of them.
    pub async fn warm(&self) {
        for link in &self.links {
            // A failure is in the log, and the link comes back by itself.
            let _ = link.wire().await;
        }
    }

    /// Returns the link to a server.
    pub fn to(&self, server: Option<&Arc<Server>>) -> Option<Link> {
        let server = server?;
        self.links.iter().find(|link| Arc::ptr_eq(link.server(), server)).cloned()
    }
}

/// One worker's access to a Redis; clones are the same link. It belongs to the thread that first uses it.
#[derive(Clone)]
pub struct Link(Rc<Inner>);

struct Inner {
    server: Arc<Server>,
    state: RefCell<State>,
    /// Counts connections, so that a call of an old one does not take down a new one.
    generation: Cell<u64>,
    recoveries: RefCell<Vec<Rc<dyn Recovery>>>,
}

enum State {
    /// Nothing was asked yet.
    Cold,
    /// The first connection is being made.
    Connecting(Shared<LocalBoxFuture<'static, ()>>),
    Up(Wire),
    Down,
}

impl Link {
    /// Prepares a link; it connects when first used.
    pub fn new(server: Arc<Server>) -> Self {
        Self(Rc::new(Inner {
            server,
            state: RefCell::new(State::Cold),
            generation: Cell::new(0),
            recoveries: RefCell::default(),
        }))
    }

    /// The Redis at its other end.
    pub fn server(&self) -> &Arc<Server> {
        &self.0.server
    }

    /// Whether calls are sent at all.
    pub fn is_up(&self) -> bool {
        !matches!(*self.0.state.borrow(), State::Down)
    }

    /// Whether two are the same link.
    pub fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Has somebody put things right after every outage.
    pub fn on_recovery(&self, recovery: Rc<dyn Recovery>) {
        self.0.recoveries.borrow_mut().push(recovery);
    }

    /// Sends a command and waits for its answer, for as long as the options say.
    ///
    /// # Errors
    /// That Redis cannot be asked; at once, if that is known.
    pub async fn call(&self, used_for: Use, command: &Cmd) -> Result<Value, Down> {
        let (mut wire, generation) = self.wire().await?;
        let outcome = wire.call(command, self.0.server.options.timeout).await;
        outcome.map_err(|why| self.lose(used_for, generation, &why))
    }

    /// Runs a script; `fill` writes the number of keys, the keys and the arguments.
    ///
    /// # Errors
    /// As [`Link::call`].
    pub async fn run(&self, used_for: Use, script: &Script, fill: impl Fn(&mut Cmd)) -> Result<Value, Down> {
        let (mut wire, generation) = self.wire().await?;
        let outcome = wire.run(script, fill, self.0.server.options.timeout).await;
        outcome.map_err(|why| self.lose(used_for, generation, &why))
    }

    async fn wire(&self) -> Result<(Wire, u64), Down> {
        let connecting = match &*self.0.state.borrow() {
            State::Up(wire) => return Ok((wire.clone(), self.0.generation.get())),
            State::Down => return Err(Down),
            State::Connecting(connecting) => Some(connecting.clone()),
            State::Cold => None,
        };
        connecting.unwrap_or_else(|| self.connect()).await;
        match &*self.0.state.borrow() {
            State::Up(wire) => Ok((wire.clone(), self.0.generation.get())),
            State::Cold | State::Connecting(_) | State::Down => Err(Down),
        }
    }

    /// Begins the first connection, on a task of its own: who waits for it may leave.
    fn connect(&self) -> Shared<LocalBoxFuture<'static, ()>> {
        let (done, wait) = futures::channel::oneshot::channel::<()>();
        let wait = wait.map(drop).boxed_local().shared();
        *self.0.state.borrow_mut() = State::Connecting(wait.clone());
        let inner = Rc::clone(&self.0);
        actix::spawn(async move {
            match inner.establish().await {
                Ok(wire) => inner.raise(wire),
                Err(why) => inner.sink(&why),
            }
            drop(done);
        });
        wait
    }

    fn lose(&self, used_for: Use, generation: u64, why: &str) -> Down {
        self.0.server.tally(used_for).fail();
        if self.0.generation.get() == generation && self.is_up() {
            self.0.sink(why);
        }
        Down
    }
}

impl Inner {
    /// Connects, sees whether it is answered, and has everyone put things right.
    async fn establish(&self) -> Result<Wire, String> {
        let mut wire = self.server.options.connect().await?;
        wire.call(&redis::cmd("PING"), self.server.options.timeout).await?;
        let recoveries = self.recoveries.borrow().clone();
        for recovery in recoveries {
            recovery.recover(wire.clone()).await?;
        }
        Ok(wire)
    }

    fn raise(&self, wire: Wire) {
        self.generation.set(self.generation.get().saturating_add(1));
        *self.state.borrow_mut() = State::Up(wire);
    }

    /// Goes down, and has a task come back.
    fn sink(self: &Rc<Self>, why: &str) {
        *self.state.borrow_mut() = State::Down;
        self.server.lose(why);
        actix::spawn(come_back(Rc::downgrade(self)));
    }
}

/// Tries until it has come back, or nobody needs the link any more.
async fn come_back(link: Weak<Inner>) {
    let mut wait = FIRST_WAIT;
    loop {
        tokio::time::sleep(wait).await;
        let Some(link) = link.upgrade() else { return };
        match link.establish().await {
            Ok(wire) => {
                link.raise(wire);
                link.server.regain();
                return;
            }
            Err(why) => log::debug!("redis {}: still away: {why}", link.server.options),
        }
        wait = wait.saturating_mul(2).min(LONGEST_WAIT);
    }
}
