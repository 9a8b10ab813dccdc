//! `aisix check`: is this configuration good? Says so, or says everything that is wrong with it.

use std::process::ExitCode;

use crate::config::Source;
use crate::registry::Book;

/// Exit 0 and one line of what is declared, or exit 1 and every problem on stderr.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what the command is for")]
pub(super) fn run(source: &Source) -> ExitCode {
    match Book::load(source.clone()) {
        Ok((book, snapshot)) => {
            println!("{}: ok, {}", source.path.display(), snapshot.summary());
            for warning in snapshot.warnings() {
                println!("warning: {warning}");
            }
            for warning in book.warnings() {
                println!("warning: {warning}");
            }
            ExitCode::SUCCESS
        }
        Err(problems) => {
            eprintln!("{problems}");
            ExitCode::FAILURE
        }
    }
}
