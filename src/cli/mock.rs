//! `aisix mock`: the mock provider as a server.

use std::io;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::mock::server::{MockOptions, serve};
use crate::mock::{CHARACTERS, FAULTS, Fault, FaultPlan, NUMBERS};

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
    /// Faults to show, whatever model is asked for: each request that fails meets one of them
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    fault: Vec<Fault>,
    /// Share of the requests that meet a fault, 0 to 1
    #[arg(long, visible_alias = "rate", value_name = "SHARE", default_value_t = 1.0, requires = "fault", value_parser = share)]
    fault_rate: f64,
    /// Only the first N requests may meet a fault
    #[arg(long, value_name = "N", requires = "fault")]
    fault_first: Option<u64>,
    /// Be faulty for N requests, then well for N, and so on
    #[arg(long, value_name = "N", requires = "fault")]
    fault_flap: Option<u64>,
    /// Seed of ids and of the choice of requests and faults
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
        let (faults, rate, seed) = (self.fault.clone(), self.fault_rate, self.seed);
        let (first, flap) = (self.fault_first, self.fault_flap);
        MockOptions {
            addr: self.addr,
            workers: self.workers.max(1),
            latency: Duration::from_millis(self.latency_ms),
            chunk_gap: Duration::from_millis(self.chunk_gap_ms),
            faults: (!faults.is_empty()).then_some(FaultPlan { faults, rate, seed, first, flap }),
            seed,
        }
    }
}

/// Reads a share.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "not a number from 0 to 1".to_owned())
}

/// The names of models and faults, for the end of the help text.
fn names() -> String {
    let row = |name: &str, meaning: &str| format!("  {name:<24} {meaning}\n");
    let models: String = CHARACTERS.iter().map(|(name, meaning)| row(name, meaning)).collect();
    let numbers: String =
        NUMBERS.iter().map(|(number, name, meaning)| row(&format!("{number} = {name}"), meaning)).collect();
    let faults: String = FAULTS
        .iter()
        .map(|(name, meaning, whole)| match *whole {
            "" => row(name, meaning),
            whole => row(name, &format!("{meaning}; not streamed: {whole}")),
        })
        .collect();
    format!(
        "Models:\n{models}\nFaults, by --fault, by the name of the model and by the header x-mock-fault. Tokens are the \
         events of a stream that carry content:\n{faults}\nNumbers of faults, each a name too:\n{numbers}"
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        mock: MockArgs,
    }

    fn plan(words: &[&str]) -> Option<FaultPlan> {
        let line = Line::try_parse_from([&["mock"], words].concat()).expect("usable arguments");
        line.mock.options().faults
    }

    #[test]
    fn faults_come_by_flags() {
        assert!(plan(&[]).is_none());
        let plan = plan(&["--fault", "s03,S08", "--rate", "0.3", "--seed", "7"]).expect("a plan");
        assert_eq!(
            plan.faults,
            ["500-once".parse(), "cut-40-60".parse()].map(|fault| fault.expect("a fault"))
        );
        assert_eq!((plan.rate, plan.seed, plan.first, plan.flap), (0.3, 7, None, None));
        for wrong in [["--fault", "s17"], ["--rate", "0.5"], ["--fault-rate", "2"]] {
            assert!(Line::try_parse_from([&["mock"], &wrong[..]].concat()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_help_names_every_number_and_fits_a_terminal() {
        let help = names();
        for (number, name, _) in NUMBERS {
            assert!(help.contains(&format!("{number} = {name}")), "{number}");
        }
        let widest = help.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(120), "{widest:?}");
    }
}
