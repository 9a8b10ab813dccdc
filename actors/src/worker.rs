//! The worker's end of an actor: starts it at first use and again after a panic.
//!
//! A panic ends an actix actor for good, and callers would get a closed mailbox for ever. What an
//! actor knows is in its book, so a new one over the same book loses nothing: [`Local`] starts it
//! on the current arbiter and asks again, once.

use std::cell::RefCell;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Context, Handler, Message};

/// Messages that may wait for one actor.
///
/// A worker serves at most 25,000 connections (the server's bound), each with one ask to an actor at a time, so no ask ever finds the mailbox full; what is told is bounded by the values that are
/// told about.
pub(crate) const MAILBOX: usize = 32_768;

/// The actor panicked twice on one question, or its thread is ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

/// An actor on the current arbiter, started at first use.
pub(crate) struct Local<A: Actor<Context = Context<A>>> {
    begin: Box<dyn Fn() -> A>,
    addr: RefCell<Option<Addr<A>>>,
}

impl<A: Actor<Context = Context<A>>> Local<A> {
    /// Prepares an actor; nothing runs yet.
    pub(crate) fn new(begin: impl Fn() -> A + 'static) -> Self {
        Self { begin: Box::new(begin), addr: RefCell::new(None) }
    }

    /// Asks, and asks a new actor once more when this one dies of the question or before it.
    pub(crate) async fn ask<M>(&self, message: M) -> Result<M::Result, Gone>
    where
        A: Handler<M>,
        M: Message + Clone + Send + 'static,
        M::Result: Send,
        Context<A>: ToEnvelope<A, M>,
    {
        match self.ask_once(message.clone()).await {
            Ok(outcome) => Ok(outcome),
            Err(Gone) => self.ask_once(message).await,
        }
    }

    /// Asks with a message that cannot be repeated because it carries a guard; the guard settles
    /// itself when lost.
    pub(crate) async fn ask_once<M>(&self, message: M) -> Result<M::Result, Gone>
    where
        A: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
        Context<A>: ToEnvelope<A, M>,
    {
        let request = self.addr().send(message);
        request.await.map_err(|_| Gone)
    }

    /// Tells without waiting.
    ///
    /// What is told carries a guard that settles itself when dropped: with no actor alive it does
    /// so here and now, so that nothing is started, and nothing lost, on a thread that is ending.
    pub(crate) fn tell<M>(&self, message: M)
    where
        A: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
        Context<A>: ToEnvelope<A, M>,
    {
        match self.addr.borrow().as_ref() {
            Some(addr) => addr.do_send(message),
            None => drop(message),
        }
    }

    /// Returns the living actor's address, starting an actor if none lives.
    fn addr(&self) -> Addr<A> {
        let mut slot = self.addr.borrow_mut();
        match slot.as_ref() {
            Some(addr) if addr.connected() => addr.clone(),
            _ => slot.insert((self.begin)().start()).clone(),
        }
    }

    /// Panics inside the actor.
    #[cfg(any(test, feature = "chaos"))]
    pub(crate) fn crash(&self)
    where
        A: Handler<Crash>,
        Context<A>: ToEnvelope<A, Crash>,
    {
        self.tell(Crash);
    }
}

/// Makes the actor that handles it panic, to prove that nothing is lost.
#[cfg(any(test, feature = "chaos"))]
pub(crate) struct Crash;

#[cfg(any(test, feature = "chaos"))]
impl Message for Crash {
    type Result = ();
}

/// Runs a test on an arbiter of its own.
#[cfg(test)]
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    actix::System::new().block_on(test)
}

/// Lets an actor be crashed by tests.
macro_rules! crashable {
    ($actor:ty) => {
        #[cfg(any(test, feature = "chaos"))]
        impl ::actix::Handler<$crate::worker::Crash> for $actor {
            type Result = ();

            fn handle(&mut self, _: $crate::worker::Crash, _: &mut Self::Context) {
                panic!("crashed on request");
            }
        }
    };
}

pub(crate) use crashable;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use super::*;

    /// Counts how often it is asked.
    struct Counter(Arc<AtomicU32>);

    impl Actor for Counter {
        type Context = Context<Self>;
    }

    crashable!(Counter);

    /// Adds one; a doomed one panics after it.
    #[derive(Clone)]
    struct Add {
        is_doomed: bool,
    }

    impl Message for Add {
        type Result = u32;
    }

    impl Handler<Add> for Counter {
        type Result = u32;

        fn handle(&mut self, add: Add, _: &mut Self::Context) -> u32 {
            let count = self.0.fetch_add(1, SeqCst);
            assert!(!add.is_doomed, "doomed");
            count
        }
    }

    fn counter() -> (Local<Counter>, Rc<Cell<u32>>) {
        let (count, starts) = (Arc::new(AtomicU32::new(0)), Rc::new(Cell::new(0)));
        let seen = Rc::clone(&starts);
        let begin = move || {
            seen.set(seen.get() + 1);
            Counter(Arc::clone(&count))
        };
        (Local::new(begin), starts)
    }

    #[test]
    fn an_actor_starts_at_the_first_question_and_again_after_a_panic() {
        run(async {
            let (local, starts) = counter();
            local.crash();
            assert_eq!(starts.get(), 0, "telling starts nothing");
            assert_eq!(local.ask(Add { is_doomed: false }).await, Ok(0));
            local.crash();
            assert_eq!(local.ask(Add { is_doomed: false }).await, Ok(1));
            assert_eq!(starts.get(), 2);
        });
    }

    #[test]
    fn a_question_that_kills_is_asked_twice_and_no_more() {
        run(async {
            let (local, starts) = counter();
            assert_eq!(local.ask(Add { is_doomed: true }).await, Err(Gone));
            assert_eq!(starts.get(), 2);
            assert_eq!(local.ask(Add { is_doomed: false }).await, Ok(2));
        });
    }
}
