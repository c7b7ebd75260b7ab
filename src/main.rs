//! The binary: everything it can do stands in [`pagecast::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    pagecast::cli::main()
}
