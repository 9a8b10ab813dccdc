//! One worker's connection to a Redis: up, down, and back by itself.
//!
//! The first call waits for the first connection. Once the connection is lost nobody waits any more: calls fail at once
//! until a task of the link has connected again and everyone who needs to put something right has done so.
//!
//! An answer that is late, and one that says no, fail their own call alone. Then the link asks something itself: where
//! that is answered, what the call left behind is put right over the same connection; where it is not, the link is down.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared};
use redis::{Cmd, Value};

use super::server::{Server, Servers, Use};
use super::wire::{Fault, Script, Unanswered, Wire};

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
    /// Prepares the links of one worker: to the Redis of limits and of budgets. The cache has one of its own, and only
    /// where it is asked.
    pub fn new(servers: &Servers) -> Self {
        let mut links: Vec<Link> = Vec::new();
        for server in [&servers.limits, &servers.budgets].into_iter().flatten() {
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
    doubt: Cell<Doubt>,
}

/// Whether something is to be put right over a connection that stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubt {
    None,
    /// It is being put right.
    UnderWay,
    /// The same, and something more came up.
    Again,
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
            doubt: Cell::new(Doubt::None),
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

    /// Whether calls are sent, and the fate of all earlier ones is known.
    pub fn is_settled(&self) -> bool {
        self.is_up() && self.0.doubt.get() == Doubt::None
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
    /// That Redis cannot be asked, at once, if that is known; or that it does not do this.
    pub async fn call(&self, used_for: Use, command: &Cmd) -> Result<Value, Unanswered> {
        let (mut wire, generation) = self.wire().await?;
        let outcome = wire.send(command, self.0.server.options.timeout).await;
        outcome.map_err(|fault| self.fail(used_for, generation, &fault))
    }

    /// Runs a script; `fill` writes the number of keys, the keys and the arguments.
    ///
    /// # Errors
    /// As [`Link::call`].
    pub async fn run(
        &self,
        used_for: Use,
        script: &Script,
        fill: impl Fn(&mut Cmd),
    ) -> Result<Value, Unanswered> {
        let (mut wire, generation) = self.wire().await?;
        let outcome = wire.send_script(script, fill, self.0.server.options.timeout).await;
        outcome.map_err(|fault| self.fail(used_for, generation, &fault))
    }

    async fn wire(&self) -> Result<(Wire, u64), Unanswered> {
        let connecting = match &*self.0.state.borrow() {
            State::Up(wire) => return Ok((wire.clone(), self.0.generation.get())),
            State::Down => return Err(Unanswered::Down),
            State::Connecting(connecting) => Some(connecting.clone()),
            State::Cold => None,
        };
        connecting.unwrap_or_else(|| self.connect()).await;
        match &*self.0.state.borrow() {
            State::Up(wire) => Ok((wire.clone(), self.0.generation.get())),
            State::Cold | State::Connecting(_) | State::Down => Err(Unanswered::Down),
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

    fn fail(&self, used_for: Use, generation: u64, fault: &Fault) -> Unanswered {
        self.0.server.tally(used_for).fail();
        if let Fault::Refused(why) = fault {
            self.0.server.refuse(why);
        }
        if self.0.is_at(generation) {
            match fault {
                Fault::Away(why) => self.0.sink(why),
                Fault::Late | Fault::Refused(_) => self.0.doubt(),
            }
        }
        match fault {
            Fault::Refused(_) => Unanswered::Refused,
            Fault::Late | Fault::Away(_) => Unanswered::Down,
        }
    }
}

impl Inner {
    /// Connects, sees whether it is answered, and has everyone put things right.
    async fn establish(&self) -> Result<Wire, String> {
        let mut wire = self.server.options.connect().await?;
        self.put_right(&mut wire).await?;
        Ok(wire)
    }

    async fn put_right(&self, wire: &mut Wire) -> Result<(), String> {
        let options = &self.server.options;
        wire.probe(&options.key_prefix, options.timeout).await?;
        let recoveries = self.recoveries.borrow().clone();
        for recovery in recoveries {
            recovery.recover(wire.clone()).await?;
        }
        Ok(())
    }

    /// Whether the connection of this number is in use.
    fn is_at(&self, generation: u64) -> bool {
        self.generation.get() == generation && matches!(*self.state.borrow(), State::Up(_))
    }

    /// Has a task see whether the connection is good, and put right what a call left behind.
    fn doubt(self: &Rc<Self>) {
        if self.doubt.get() != Doubt::None {
            self.doubt.set(Doubt::Again);
            return;
        }
        self.doubt.set(Doubt::UnderWay);
        let inner = Rc::clone(self);
        actix::spawn(async move {
            while inner.settle().await {}
            inner.doubt.set(Doubt::None);
        });
    }

    /// Puts right what came up; whether there is more.
    async fn settle(self: &Rc<Self>) -> bool {
        self.doubt.set(Doubt::UnderWay);
        let wire = match &*self.state.borrow() {
            State::Up(wire) => Some(wire.clone()),
            State::Cold | State::Connecting(_) | State::Down => None,
        };
        // A new connection begins by putting everything right.
        let Some(mut wire) = wire else { return false };
        let generation = self.generation.get();
        if let Err(why) = self.put_right(&mut wire).await {
            if self.is_at(generation) {
                self.sink(&why);
            }
            return false;
        }
        // So that calls that fail one after the other make no load of their own.
        tokio::time::sleep(FIRST_WAIT).await;
        self.doubt.get() == Doubt::Again
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
            Err(why) => link.server.miss(&why),
        }
        wait = wait.saturating_mul(2).min(LONGEST_WAIT);
    }
}
