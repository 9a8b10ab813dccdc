//! `aisix serve`: reads the configuration, serves, and drains when told to stop.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Snapshot, Source};
use crate::server::Application;
use crate::telemetry::log_writer;

/// Serves until a signal; exit 1 when the configuration is bad or an address is taken.
#[expect(clippy::print_stderr, reason = "there is no log before the configuration is read")]
pub(super) fn run(source: &Source) -> ExitCode {
    let started = Instant::now();
    let snapshot = match source.load() {
        Ok(config) => Snapshot::build(config),
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::FAILURE;
        }
    };
    match serve(snapshot, started) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aisix: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(snapshot: Snapshot, started: Instant) -> io::Result<()> {
    let settings = snapshot.settings.clone();
    let log = log_writer::start(settings.observability.log_level.filter().as_str())?;
    let summary = snapshot.summary();
    for warning in snapshot.warnings() {
        log::warn!("{warning}");
    }
    let application = Application::build_with(snapshot, Some(log.clone()))?;
    actix_rt::System::new().block_on(async move {
        let running = application.start()?;
        let (proxy, workers) = (running.proxy_addr, settings.proxy.workers());
        log::info!(
            "serving {summary} on http://{proxy} with {workers} workers, ready in {:?}",
            started.elapsed()
        );
        if let Some(admin) = running.admin_addr {
            log::info!("administrators are served on http://{admin}");
        }
        if let Some(metrics) = running.metrics_addr {
            log::info!("metrics are served on http://{metrics}");
        }
        let min_drain = wait_for_signal(settings.shutdown.min_drain()).await?;
        running.drain(min_drain).await;
        log::info!("everything is settled; bye");
        log.wait();
        Ok(())
    })
}

/// Waits for SIGTERM or SIGINT; tells how long to keep serving.
///
/// A person who presses Ctrl-C has no load balancer that must notice first.
async fn wait_for_signal(min_drain: Duration) -> io::Result<Duration> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok(min_drain),
        _ = interrupt.recv() => Ok(Duration::ZERO),
    }
}
