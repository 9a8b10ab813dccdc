//! `aisix serve`: reads the configuration, serves, and drains when told to stop.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Problems, Snapshot, Source};
use crate::gateway::Gateway;
use crate::redis;
use crate::registry::Book;
use crate::server::Application;
use crate::telemetry::log_writer;

/// Serves until a signal; exit 1 when the configuration is bad or an address is taken.
#[expect(clippy::print_stderr, reason = "there is no log before the configuration is read")]
pub(super) fn run(source: &Source) -> ExitCode {
    let started = Instant::now();
    let loaded = match load(source) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::FAILURE;
        }
    };
    match serve(loaded, started) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aisix: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Loads the configuration on a thread whose memory is given back when it ends: a large file needs much for a moment.
fn load(source: &Source) -> Result<(Book, Snapshot), Problems> {
    let own = source.clone();
    let loader = std::thread::Builder::new().name("load".into()).spawn(move || Book::load(own));
    let loaded = loader.ok().and_then(|loader| loader.join().ok());
    loaded.unwrap_or_else(|| Book::load(source.clone()))
}

fn serve((book, snapshot): (Book, Snapshot), started: Instant) -> io::Result<()> {
    let settings = snapshot.settings.clone();
    let log = log_writer::start(settings.observability.log_level.filter().as_str())?;
    let summary = snapshot.summary();
    for warning in snapshot.warnings() {
        log::warn!("{warning}");
    }
    for warning in book.warnings() {
        log::warn!("{warning}");
    }
    let application = Application::build_with(book, snapshot, Some(log.clone()))?;
    actix_rt::System::new().block_on(async move {
        let gateway = application.gateway();
        redis::reach(&gateway.books.redis, &gateway.snapshot()).await?;
        let running = application.start()?;
        let (proxy, workers) = (running.proxy_addr, settings.proxy.workers());
        log::info!(
            "serving {summary} on {}://{proxy} with {workers} workers, ready in {:?}",
            settings.proxy.tls.scheme(),
            started.elapsed()
        );
        if let Some(admin) = running.admin_addr {
            log::info!("administrators are served on {}://{admin}", settings.admin.tls.scheme());
        }
        if let Some(metrics) = running.metrics_addr {
            log::info!("metrics are served on http://{metrics}");
        }
        let min_drain = wait_for_signal(&running.gateway).await?;
        running.drain(min_drain).await;
        log::info!("everything is settled; bye");
        log.wait();
        Ok(())
    })
}

/// Waits for SIGTERM or SIGINT; tells how long to keep serving. SIGHUP reads the configuration again.
///
/// A person who presses Ctrl-C has no load balancer that must notice first.
async fn wait_for_signal(gateway: &Gateway) -> io::Result<Duration> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(gateway.snapshot().settings.shutdown.min_drain()),
            _ = interrupt.recv() => return Ok(Duration::ZERO),
            _ = hang_up.recv() => {
                if let Some(registry) = gateway.registry() {
                    // A bad file is in the log, and changes nothing.
                    let _ = registry.reload().await;
                }
            }
        }
    }
}
