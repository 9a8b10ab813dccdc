//! `aisix export` and `aisix import`: from the store into a file, and from a file into the store.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::config::Source;
use crate::registry::Book;

/// Write one configuration file of everything: the file, and what was created over the Admin API.
#[derive(Args)]
pub(super) struct ExportArgs {
    /// Where to write it; without it to the standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write secrets as they are, and not references to variables.
    #[arg(long)]
    reveal_secrets: bool,
}

/// Take the resources of a file into the store, all or none.
#[derive(Args)]
pub(super) struct ImportArgs {
    /// A configuration file; its settings are left aside.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Exit 0 with the file, or exit 1 with the reason on stderr.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what the command is for")]
pub(super) fn export(source: &Source, arguments: &ExportArgs) -> ExitCode {
    let exported = Book::load(source.clone())
        .map_err(|problems| problems.to_string())
        .and_then(|(book, _)| book.export(arguments.reveal_secrets));
    let exported = exported.and_then(|export| {
        match &arguments.output {
            Some(path) => std::fs::write(path, &export.text)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?,
            None => print!("{}", export.text),
        }
        Ok(export)
    });
    match exported {
        Ok(export) => {
            if !export.variables.is_empty() {
                eprintln!("secrets are references to: {}", export.variables.join(", "));
            }
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("aisix export: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Exit 0 with what was done, or exit 1 with every reason why nothing was.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what the command is for")]
pub(super) fn import(source: &Source, arguments: &ImportArgs) -> ExitCode {
    let imported = Book::load(source.clone())
        .map_err(|problems| problems.to_string())
        .and_then(|(mut book, _)| book.import(&source.beside(arguments.file.clone()), arguments.dry_run));
    match imported {
        Ok(report) => {
            report.skipped.iter().for_each(|skipped| println!("left out: {skipped}"));
            let verb = if arguments.dry_run { "would store" } else { "stored" };
            println!("{verb} {} resources, {} of them new", report.written, report.new);
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("aisix import: nothing is stored:\n{message}");
            ExitCode::FAILURE
        }
    }
}
