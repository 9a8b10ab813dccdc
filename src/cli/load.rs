//! `aisix load`: a load test from the command line.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use bytes::Bytes;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::load::{self, Live, LoadOptions, Report, Timing, Until, grouped};

/// The time between two looks at the counters.
const TICK: Duration = Duration::from_millis(100);
/// The environment variable that holds the key.
const KEY_VARIABLE: &str = "AISIX_LOAD_KEY";

/// Load a running gateway, or its actors alone, and report rates, latencies and errors.
#[derive(Args, Clone, Debug)]
pub(super) struct LoadArgs {
    /// Endpoint to send to
    #[arg(long, default_value = "http://127.0.0.1:3000/v1/chat/completions")]
    url: String,
    /// Key of the caller [default: $AISIX_LOAD_KEY, else sk-demo]
    #[arg(long)]
    key: Option<String>,
    /// Model to ask for
    #[arg(long, default_value = "demo")]
    model: String,
    /// Ask for streams
    #[arg(long)]
    stream: bool,
    /// File with the request body, sent as it is
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "stream"])]
    body: Option<PathBuf>,
    /// Make every request different, so that no cache answers it
    #[arg(long, conflicts_with = "body")]
    vary: bool,
    /// Send this header too, such as "cache-control: no-store"; may stand several times
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Requests under way at a time
    #[arg(long, value_name = "N", default_value = "64")]
    connections: NonZeroUsize,
    /// Send this many requests a second, however slow the answers [default: as fast as they come]
    #[arg(long, value_name = "R", value_parser = rate)]
    rate: Option<f64>,
    /// How long to measure, such as 500ms, 10s or 2m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    duration: Duration,
    /// Measure this many requests instead
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    requests: Option<u64>,
    /// How long to send before measuring
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    warmup: Duration,
    /// How long one request may take
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// Threads that send [default: half of the cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Ask the actors in this process instead of a gateway
    #[arg(long, conflicts_with_all = ["url", "key", "model", "stream", "body", "vary", "headers", "timeout", "threads"])]
    actors: bool,
    /// Worker threads, each with its own set of actors
    #[arg(long, value_name = "N", default_value = "1", requires = "actors")]
    workers: NonZeroUsize,
    /// Write the report as JSON
    #[arg(long)]
    json: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the test; fails when no request succeeded.
pub(super) fn run(args: LoadArgs) -> ExitCode {
    let live = Arc::new(Live::default());
    let test = match args.test() {
        Ok(test) => test,
        Err(problem) => return refuse(&problem),
    };
    let worker = {
        let live = Arc::clone(&live);
        thread::spawn(move || {
            let report = test.run(&live);
            live.stop();
            report
        })
    };
    actix_rt::System::new().block_on(watch(&live, args.bar(), &args));
    match worker.join() {
        Ok(Ok(report)) => args.show(&report),
        Ok(Err(problem)) => refuse(&problem),
        Err(_) => refuse("a worker thread panicked"),
    }
}

/// What is to be done.
enum Test {
    Gateway(LoadOptions),
    Actors(Timing),
}

impl Test {
    fn run(&self, live: &Live) -> Result<Report, String> {
        match self {
            Self::Gateway(options) => load::run(options, live),
            Self::Actors(timing) => Ok(load::actors::run(*timing, live)),
        }
    }
}

impl LoadArgs {
    fn test(&self) -> Result<Test, String> {
        if self.actors {
            return Ok(Test::Actors(self.timing(self.workers.get())));
        }
        let key = self.key.clone().or_else(|| std::env::var(KEY_VARIABLE).ok());
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Ok(Test::Gateway(LoadOptions {
            url: self.url.clone(),
            key: key.unwrap_or_else(|| "sk-demo".into()),
            body: self.request_body()?,
            vary: self.vary,
            headers: self.headers.clone(),
            timeout: self.timeout,
            timing: self.timing(self.threads.map_or((cores / 2).max(1), NonZeroUsize::get)),
        }))
    }

    fn timing(&self, threads: usize) -> Timing {
        let (until, warmup) = (self.until(), self.warmup);
        Timing { connections: self.connections.get(), threads, rate: self.rate, until, warmup }
    }

    fn until(&self) -> Until {
        self.requests.map_or(Until::Elapsed(self.duration), Until::Requests)
    }

    fn request_body(&self) -> Result<Bytes, String> {
        if let Some(file) = &self.body {
            return fs::read(file).map(Bytes::from).map_err(|error| format!("{}: {error}", file.display()));
        }
        let messages = json!([{"role": "user", "content": "Tell me in one sentence what a gateway does."}]);
        let mut body = json!({"model": self.model, "messages": messages});
        if self.stream {
            body["stream"] = json!(true);
            body["stream_options"] = json!({"include_usage": true});
        }
        Ok(body.to_string().into())
    }

    /// A bar on standard error, which hides itself when that is not a terminal.
    fn bar(&self) -> ProgressBar {
        let target = if self.quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let length = match self.until() {
            Until::Elapsed(time) => (self.warmup + time).as_millis() as u64,
            Until::Requests(count) => count,
        };
        let style = ProgressStyle::with_template("[{bar:32}] {percent:>3} %  {msg}");
        let bar = ProgressBar::with_draw_target(Some(length), target);
        bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "))
    }

    /// Writes the report to standard output.
    fn show(&self, report: &Report) -> ExitCode {
        let text = match serde_json::to_string_pretty(report) {
            Ok(json) if self.json => json + "\n",
            _ => report.to_string(),
        };
        let written = io::stdout().lock().write_all(text.as_bytes());
        if written.is_err() || report.succeeded == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}

/// Shows progress until the test is over or interrupted.
async fn watch(live: &Live, bar: ProgressBar, args: &LoadArgs) {
    let mut interrupt = Box::pin(tokio::signal::ctrl_c());
    let start = Instant::now();
    let mut before = (start, 0);
    while !live.is_stopped() {
        if actix_rt::time::timeout(TICK, &mut interrupt).await.is_ok() {
            live.stop();
        }
        let (now, done) = (Instant::now(), live.succeeded());
        let rps = (done - before.1) as f64 / (now - before.0).as_secs_f64().max(0.001);
        before = (now, done);
        bar.set_position(match args.until() {
            Until::Elapsed(_) => start.elapsed().as_millis() as u64,
            Until::Requests(_) => done + live.failed(),
        });
        let phase = if start.elapsed() < args.warmup { " (warming up)" } else { "" };
        bar.set_message(format!(
            "{} a second, {} failed{phase}",
            grouped(rps as u64),
            grouped(live.failed())
        ));
    }
    bar.finish_and_clear();
}

fn refuse(problem: &str) -> ExitCode {
    // There is nobody to tell when standard error is closed.
    let _ = writeln!(io::stderr(), "aisix load: {problem}");
    ExitCode::FAILURE
}

/// Reads a time with a unit; a bare number is in seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("give a number with us, ms, s, m or h".into()),
    };
    let number: f64 = number.parse().map_err(|_| "give a number with us, ms, s, m or h".to_owned())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

/// Reads a rate that a timetable can be made of.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.001..=10_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("give a number of requests per second from 0.001 to 10000000".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        let read = |text: &str| duration(text).ok();
        assert_eq!(read("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(read("10s"), read("10"));
        assert_eq!(read("1.5m"), Some(Duration::from_secs(90)));
        for wrong in ["", "s", "-1s", "5 s", "5d", "1.2.3s"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_rate_is_positive_and_finite() {
        assert_eq!(rate("500"), Ok(500.0));
        for wrong in ["0", "-1", "nan", "inf", "x"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
