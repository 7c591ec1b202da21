//! `api`: serves the app over HTTP until it is told to stop.

use std::process::ExitCode;

use clap::Parser;
use whoop_api::{Cli, serve};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match serve(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Before or beside the log: whoever starts it reads this.
            eprintln!("api: {error:#}");
            ExitCode::FAILURE
        }
    }
}
