//! The binary: everything it can do stands in [`pagecast::cli`].

use std::process::ExitCode;

/// Many small values made on one thread and let go on another: the system's allocator keeps
/// their memory and takes a tenth of the time of a send.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    pagecast::cli::main()
}
