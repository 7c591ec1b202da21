//! Soak test of tokens: in many rounds, several callers request a member's tokens at the same time,
//! and a process is killed.

mod round;
mod tally;

use std::process::ExitCode;

use anyhow::Context;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use round::run_round;
use tally::TokenTally;

use crate::environment::SoakEnv;

#[derive(Debug, clap::Args)]
pub(crate) struct TokenSoakArgs {
    /// Number of rounds. In each round all access tokens expire.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    rounds: u32,

    /// Number of members in each round.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=20))]
    members: u16,

    /// Seed that decides which process is killed, and when. Default: a random one.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

pub(crate) async fn soak(args: &TokenSoakArgs) -> anyhow::Result<ExitCode> {
    let seed = args.seed.unwrap_or_else(|| rand::rng().random());
    println!(
        "{} rounds, {} members, seed {seed}; whoop-sim replaces WHOOP",
        args.rounds, args.members
    );
    let mut rng = StdRng::seed_from_u64(seed);
    let mut env = SoakEnv::build(args.members.into(), 40).await?;
    let mut tally = TokenTally::default();
    for number in 1..=args.rounds {
        run_round(&mut env, &mut rng, &mut tally)
            .await
            .with_context(|| format!("round {number} with seed {seed}"))?;
        if number % 50 == 0 || number == args.rounds {
            println!("{number:>6}  {tally}");
        }
    }
    env.stop().await;
    Ok(tally.print_result())
}
