//! `just soak`: the real programs, several of each, for a long time.
//!
//! Two API processes and workers over one PostgreSQL and a simulated WHOOP. This
//! binary is all of them: it starts itself by the name of the program that it
//! should be.
//!
//! - [`tokens`]: everybody wants a member's tokens at once and somebody is killed;
//! - [`live`]: how fast a change arrives, and what open streams cost;
//! - [`quota`]: everybody spends the same quota;
//! - [`speed`]: how long the engine takes, with a WHOOP that answers at once.

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
    /// Members' connections under fire: refreshes, latency and kill -9.
    Tokens(tokens::TokenSoakArgs),
    /// Two workers and two APIs that share one quota, and members who open the app.
    Quota(quota::QuotaSoakArgs),
    /// Webhooks in, events out: how long each takes, and what open streams cost.
    Live(live::LiveSoakArgs),
    /// How long the engine takes for a member's year, and for a plan of thousands.
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
