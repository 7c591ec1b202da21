//! `api`: serves the app over HTTP until it is told to stop.

use std::{io::Write, process::ExitCode};

use clap::{Command, CommandFactory, FromArgMatches};
use whoop_api::{Cli, document, serve};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Before or beside the log: whoever starts it reads this.
            eprintln!("api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    // Of its own, as it needs none of the settings without which nothing is served.
    let describe = Command::new("openapi").about("Prints the API's OpenAPI description");
    let matches = Cli::command()
        .subcommand(describe)
        .subcommand_negates_reqs(true)
        .get_matches();
    if matches.subcommand_matches("openapi").is_some() {
        let mut out = std::io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, &document())?;
        writeln!(out)?;
        return Ok(());
    }
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    serve(&cli)
}
