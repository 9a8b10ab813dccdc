//! The command line: serve, check, explain, export, import, load, mock.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Source;

mod check;
mod explain;
mod export;
mod load;
mod mock;
mod serve;

/// A standalone AI gateway: applications call it with the SDKs of OpenAI, Anthropic or Google.
#[derive(Parser)]
#[command(name = "aisix", version, about)]
struct Arguments {
    /// The configuration file.
    ///
    /// Without it: the file that AISIX_CONFIG names, else ./config.toml.
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve requests; also what happens without a command.
    Serve,
    /// Check the configuration without starting: exit 0, or 1 with every problem, its line and its path.
    Check,
    /// Show what would become of a request, without sending it: key, limits, guardrails, route, and what each target
    /// would be sent.
    Explain(explain::ExplainArgs),
    /// Write one configuration file of everything: the file, and what was created over the Admin API.
    Export(export::ExportArgs),
    /// Take the resources of a file into the store, all or none.
    Import(export::ImportArgs),
    /// Load-test a running gateway, or the actors alone.
    Load(load::LoadArgs),
    /// Run the mock provider as a server.
    Mock(mock::MockArgs),
}

/// Runs what the command line asks for.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let source = Source::find(arguments.config);
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(&source),
        Command::Check => check::run(&source),
        Command::Explain(arguments) => explain::run(&source, &arguments),
        Command::Export(arguments) => export::export(&source, &arguments),
        Command::Import(arguments) => export::import(&source, &arguments),
        Command::Load(load) => load::run(load),
        Command::Mock(mock) => mock::run(mock),
    }
}
