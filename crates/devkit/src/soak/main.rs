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

mod house;
mod live;
mod quota;
mod speed;
mod tokens;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "soak", version)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Members' connections under fire: refreshes, latency and kill -9.
    Tokens(tokens::Args),
    /// Two workers and two APIs that share one quota, and members who open the app.
    Quota(quota::Args),
    /// Webhooks in, events out: how long each takes, and what open streams cost.
    Live(live::Args),
    /// How long the engine takes for a member's year, and for a plan of thousands.
    Speed(speed::Args),
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let ended = match arguments.first().and_then(|name| name.to_str()) {
        Some("api") => {
            whoop_api::serve(&whoop_api::Cli::parse_from(arguments)).map(|()| ExitCode::SUCCESS)
        }
        Some("sync-worker") => worker(arguments),
        _ => soak(&Cli::parse()),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("soak: {error:#}");
        ExitCode::FAILURE
    })
}

#[tokio::main]
async fn worker(arguments: Vec<OsString>) -> anyhow::Result<ExitCode> {
    let cli = whoop_sync_worker::Cli::try_parse_from(arguments)?;
    if let Some(common) = cli.common() {
        common.log.init()?;
    }
    Ok(whoop_sync_worker::run(cli).await.into())
}

#[tokio::main]
async fn soak(cli: &Cli) -> anyhow::Result<ExitCode> {
    match &cli.what {
        What::Tokens(args) => tokens::soak(args).await,
        What::Quota(args) => quota::soak(args).await,
        What::Live(args) => live::measure(args).await,
        What::Speed(args) => speed::measure(args).await,
    }
}
