//! `just soak`: many rounds in which everybody wants a member's tokens at once
//! and somebody is killed.
//!
//! Two API processes and a worker, the real programs, over one PostgreSQL and a
//! simulated WHOOP. This binary is all of them: it starts itself by the name of
//! the program that it should be.

mod house;
mod round;
mod tally;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use house::House;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use round::round;
use tally::Tally;

/// Members' connections under fire: refreshes, latency and kill -9.
#[derive(Debug, Parser)]
#[command(name = "soak", version)]
struct Cli {
    /// How often everybody's access token ends.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    rounds: u32,

    /// Members that are asked for in each round.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=20))]
    members: u16,

    /// Decides who is killed, and when; a random one if not given.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
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
    Ok(whoop_sync_worker::run(cli).await.into())
}

#[tokio::main]
async fn soak(cli: &Cli) -> anyhow::Result<ExitCode> {
    let seed = cli.seed.unwrap_or_else(|| rand::rng().random());
    println!(
        "{} rounds, {} members, seed {seed}; whoop-sim stands in for WHOOP",
        cli.rounds, cli.members
    );
    let mut random = StdRng::seed_from_u64(seed);
    let mut house = House::build(cli.members.into()).await?;
    let mut tally = Tally::default();
    for number in 1..=cli.rounds {
        round(&mut house, &mut random, &mut tally)
            .await
            .with_context(|| format!("round {number} of seed {seed}"))?;
        if number % 50 == 0 || number == cli.rounds {
            println!("{number:>6}  {tally}");
        }
    }
    house.end().await;
    Ok(tally.verdict())
}
