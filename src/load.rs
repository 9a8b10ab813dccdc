//! Load tests: how many requests a gateway serves, how fast, and what goes wrong.
//!
//! A closed loop keeps a number of connections busy and finds the most that the gateway can do. An open loop sends
//! at a given rate and measures each latency from the moment at which the request was *meant* to go out, so that a
//! gateway that stalls is charged for every caller that it kept waiting. Failures count as failures and never as
//! fast answers.

pub mod actors;
mod client;
mod events;
mod exchange;
mod live;
mod meter;
mod pace;
mod report;

use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{join_all, select};

use self::client::Target;
use self::exchange::{Failure, exchange};
pub use self::live::Live;
use self::meter::{Meter, SharedMeter};
use self::pace::{Due, Pace, Pacer};
pub(crate) use self::report::grouped;
pub use self::report::{Percentiles, Report};

/// The pause of a connection after it could not connect, so that a gateway that is down is not hammered.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(20);

/// What to send where.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// The full URL of the endpoint.
    pub url: String,
    /// The caller's key, sent as a bearer token.
    pub key: String,
    /// The body of every request.
    pub body: Bytes,
    /// Whether every request gets a `user` of its own, so that no cache answers it.
    pub vary: bool,
    /// Further headers, as `name: value`.
    pub headers: Vec<String>,
    /// How long one request may take.
    pub timeout: Duration,
    /// How often and for how long.
    pub timing: Timing,
}

/// How often to send and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How many requests may be under way at a time.
    pub connections: usize,
    /// The worker threads that share the connections.
    pub threads: usize,
    /// Requests per second for an open loop; `None` is a closed loop.
    pub rate: Option<f64>,
    /// When to end.
    pub until: Until,
    /// How long to send without measuring.
    pub warmup: Duration,
}

/// When a load test ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After this time, the warm-up not counted.
    Elapsed(Duration),
    /// After so many requests, the warm-up not counted.
    Requests(u64),
}

/// Loads a gateway until the end, or until `live` is stopped, and reports what was measured.
///
/// Blocks; the work is done by threads of its own, each with its own runtime and client.
///
/// # Errors
/// The URL or the key cannot be used.
pub fn run(options: &LoadOptions, live: &Live) -> Result<Report, String> {
    let target = Target::new(options)?;
    let connect = || {
        let (target, client) = (target.clone(), client::connect(&target));
        async move |due: &Due, meter: Option<&SharedMeter>| {
            exchange(&target, &client, due.intended, meter).await
        }
    };
    let pace = Pace::new(options.timing);
    let meter = spread(options.timing, &pace, live, connect);
    Ok(Report::new(&meter, &pace))
}

/// Runs the connections of a test on its threads; each thread makes its own `request` with `prepare`.
fn spread<F>(timing: Timing, pace: &Pace, live: &Live, prepare: impl Fn() -> F + Sync) -> Meter
where
    F: AsyncFn(&Due, Option<&SharedMeter>) -> Result<(), Failure>,
{
    let connections = timing.connections.max(1);
    let threads = timing.threads.clamp(1, connections);
    let meters: Vec<Meter> = thread::scope(|scope| {
        let prepare = &prepare;
        let worker = |index: usize| {
            let own = share(connections, threads, index);
            let work = async move || work(pace, live, own, prepare()).await;
            scope.spawn(move || actix_rt::System::new().block_on(work()))
        };
        let workers: Vec<_> = (0..threads).map(worker).collect();
        if let Some(pacer) = Pacer::new(pace) {
            scope.spawn(move || pacer.run(live));
        }
        let meters = workers.into_iter().filter_map(|worker| worker.join().ok()).collect();
        live.stop();
        meters
    });
    meters.iter().fold(Meter::new(), |mut total, meter| {
        total.add(meter);
        total
    })
}

/// How many of `count` things the thread of this index gets.
fn share(count: usize, threads: usize, index: usize) -> usize {
    count / threads + usize::from(index < count % threads)
}

/// One worker thread: its connections, until all are done or the test is stopped.
async fn work<F>(pace: &Pace, live: &Live, connections: usize, request: F) -> Meter
where
    F: AsyncFn(&Due, Option<&SharedMeter>) -> Result<(), Failure>,
{
    let meter = SharedMeter::default();
    {
        let all = join_all((0..connections).map(|_| drive(pace, live, &meter, &request)));
        select(Box::pin(all), Box::pin(live.stopped())).await;
    }
    meter.take()
}

/// One connection: a request after the other, each when it is due.
async fn drive<F>(pace: &Pace, live: &Live, meter: &SharedMeter, request: &F)
where
    F: AsyncFn(&Due, Option<&SharedMeter>) -> Result<(), Failure>,
{
    while let Some(due) = pace.next().await {
        let outcome = request(&due, due.measured.then_some(meter)).await;
        live.count(outcome.is_ok());
        let pause = outcome == Err(Failure::Connect);
        if due.measured {
            meter.finish(due.intended, outcome, pace.end());
        }
        if pause {
            actix_rt::time::sleep(PAUSE_AFTER_REFUSAL).await;
        }
    }
}

#[cfg(test)]
mod tests;
