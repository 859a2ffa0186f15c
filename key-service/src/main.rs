//! The `key-service` program; see [`key_service::cli`].

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    key_service::cli::main()
}
