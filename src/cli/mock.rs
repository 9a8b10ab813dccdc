//! `aisix mock`: the mock provider as a server.

use std::io;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::mock::server::{MockOptions, serve};
use crate::mock::{CHARACTERS, FAULTS, Fault, FaultPlan};

/// Run a mock provider that speaks OpenAI's, Anthropic's, Gemini's and Cohere's dialects.
#[derive(Args, Clone, Debug)]
#[command(after_help = names())]
pub(super) struct MockArgs {
    /// Address to listen on
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9100")]
    addr: SocketAddr,
    /// Number of worker threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    workers: usize,
    /// Pause before each answer
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency_ms: u64,
    /// Pause between the events of a stream
    #[arg(long, value_name = "MS", default_value_t = 0)]
    chunk_gap_ms: u64,
    /// Fault to show, whatever model is asked for
    #[arg(long, value_name = "NAME")]
    fault: Option<Fault>,
    /// Share of the requests that meet the fault, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, requires = "fault")]
    fault_rate: f64,
    /// Only the first N requests may meet the fault
    #[arg(long, value_name = "N", requires = "fault")]
    fault_first: Option<u64>,
    /// Be faulty for N requests, then well for N, and so on
    #[arg(long, value_name = "N", requires = "fault")]
    fault_flap: Option<u64>,
    /// Seed of ids and of the choice of faulty requests
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// Serves until a signal arrives.
pub(super) fn run(args: MockArgs) -> ExitCode {
    let options = args.options();
    let mut stderr = io::stderr();
    // There is nobody to tell when standard error is closed.
    let _ = writeln!(stderr, "mock provider on http://{}, {} worker(s)", options.addr, options.workers);
    match actix_web::rt::System::new().block_on(serve(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr, "aisix mock: {}: {error}", args.addr);
            ExitCode::FAILURE
        }
    }
}

impl MockArgs {
    fn options(&self) -> MockOptions {
        let (rate, seed) = (self.fault_rate, self.seed);
        let (first, flap) = (self.fault_first, self.fault_flap);
        MockOptions {
            addr: self.addr,
            workers: self.workers.max(1),
            latency: Duration::from_millis(self.latency_ms),
            chunk_gap: Duration::from_millis(self.chunk_gap_ms),
            faults: self.fault.map(|fault| FaultPlan { fault, rate, seed, first, flap }),
            seed,
        }
    }
}

/// The names of models and faults, for the end of the help text.
fn names() -> String {
    let table = |rows: &[(&str, &str)]| -> String {
        rows.iter().map(|(name, meaning)| format!("  {name:<15} {meaning}\n")).collect()
    };
    format!("Models:\n{}\nFaults (also by the header x-mock-fault):\n{}", table(CHARACTERS), table(FAULTS))
}
