//! The binary `aisix`: the command line, and the allocator.

use std::process::ExitCode;

/// Requests are many small allocations on many threads, which this allocator serves without waiting.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    aisix::cli::run()
}
