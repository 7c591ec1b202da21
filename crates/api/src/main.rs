//! `api`: the program that serves the HTTP API until it receives SIGTERM or SIGINT.

use std::{io::Write, net::SocketAddr, process::ExitCode};

use anyhow::Context;
use clap::{Arg, Command, CommandFactory, FromArgMatches, value_parser};
use whoop_api::{ApiCli, healthcheck, openapi_document, serve};
use whoop_sync::config::{self, CommandLine, CommandLineError};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The error is printed in addition to the log, for the operator who starts the program.
            eprintln!("api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    // `openapi` and `healthcheck` are added here and not in `ApiCli`, because they do not need the
    // settings that the server requires.
    let openapi = Command::new("openapi").about("Prints the API's OpenAPI description");
    let health = Command::new("healthcheck")
        .about("Checks whether the API on this machine is alive: exit code 0 if it is, otherwise 1")
        .arg(
            Arg::new("listen")
                .long("api-listen")
                .env("API_LISTEN")
                .default_value("127.0.0.1:8080")
                .value_name("ADDRESS")
                .help("Address that the API listens on")
                .value_parser(value_parser!(SocketAddr)),
        );
    let command = ApiCli::command()
        .subcommand(openapi)
        .subcommand(health)
        .subcommand_negates_reqs(true);
    let CommandLine { matches, faults } = match config::read_command_line(command) {
        Ok(line) => line,
        Err(CommandLineError::Usage(error)) => error.exit(),
        Err(CommandLineError::Settings(faults)) => return Err(faults.into()),
    };
    if matches.subcommand_matches("openapi").is_some() {
        let mut out = std::io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, &openapi_document())?;
        writeln!(out)?;
        return Ok(());
    }
    if let Some(matches) = matches.subcommand_matches("healthcheck") {
        if !faults.is_empty() {
            return Err(faults.into());
        }
        let listen: Option<&SocketAddr> = matches.get_one("listen");
        return healthcheck(*listen.context("--api-listen has no value")?);
    }
    let mut cli = ApiCli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.unreadable = faults;
    serve(&cli)
}
