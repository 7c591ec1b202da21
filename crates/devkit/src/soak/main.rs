//! `just soak`: runs the real programs for a long time, several processes of each.
//!
//! Two API processes and several workers use one PostgreSQL server and a simulated WHOOP. This
//! binary contains all of these programs: it starts itself with the name of the program to run.
//!
//! - [`tokens`]: several callers request a member's tokens at the same time, and a process is
//!   killed;
//! - [`live`]: measures the time until a change arrives in the app, and the memory of open event
//!   streams;
//! - [`quota`]: all processes share one quota;
//! - [`speed`]: measures the duration of the engine's work, with a WHOOP that responds at once.

mod environment;
mod live;
mod quota;
mod speed;
mod tokens;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "soak", version)]
struct SoakCli {
    #[command(subcommand)]
    command: SoakCommand,
}

#[derive(Debug, Subcommand)]
enum SoakCommand {
    /// Test members' connections under load: token refreshes and kill -9.
    Tokens(tokens::TokenSoakArgs),
    /// Test two workers and two APIs that share one quota, while members open the app.
    Quota(quota::QuotaSoakArgs),
    /// Measure webhooks and events: the time that each takes, and the memory of open streams.
    Live(live::LiveSoakArgs),
    /// Measure the engine: the time to read a member's year, and to plan a run over thousands of
    /// members.
    Speed(speed::SpeedSoakArgs),
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let ended = match arguments.first().and_then(|name| name.to_str()) {
        Some("api") => {
            whoop_api::serve(&whoop_api::ApiCli::parse_from(arguments)).map(|()| ExitCode::SUCCESS)
        }
        Some("sync-worker") => run_worker(arguments),
        _ => run_soak(&SoakCli::parse()),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("soak: {error:#}");
        ExitCode::FAILURE
    })
}

#[tokio::main]
async fn run_worker(arguments: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let cli = whoop_sync_worker::WorkerCli::try_parse_from(arguments)?;
    if let Some(common) = cli.common() {
        common.log.init()?;
    }
    Ok(whoop_sync_worker::run(cli).await.into())
}

#[tokio::main]
async fn run_soak(cli: &SoakCli) -> anyhow::Result<ExitCode> {
    match &cli.command {
        SoakCommand::Tokens(args) => tokens::soak(args).await,
        SoakCommand::Quota(args) => quota::soak(args).await,
        SoakCommand::Live(args) => live::measure(args).await,
        SoakCommand::Speed(args) => speed::measure(args).await,
    }
}
