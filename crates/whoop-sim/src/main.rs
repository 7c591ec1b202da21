//! The `whoop-sim` program.

use std::{io::Write, net::SocketAddr, process::ExitCode};

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::Parser;
use tracing_subscriber::EnvFilter;
use whoop_sim::{
    EmptyCollection, LastPage, LimitOverMax, ProtocolOptions, ReuseMode, SimConfig, SimServer,
    WebhookFaults,
};

/// A simulator of the WHOOP developer API v2
#[derive(Debug, Parser)]
#[command(name = "whoop-sim", version)]
struct SimCli {
    /// Address to listen on; port 0 picks a free port
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Seed of the random data; the same seed, now and days give the same people
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Number of simulated people, up to 16384
    #[arg(long, default_value_t = 3)]
    people: usize,
    /// Days of history of each person, up to 3653
    #[arg(long, default_value_t = 400)]
    days: u32,
    /// Time at which the clock starts (RFC 3339); the machine's time by default
    #[arg(long)]
    now: Option<DateTime<Utc>>,
    /// Simulated seconds per real second; 0 freezes the clock
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Keep the records unchanged while the clock moves; otherwise nights end, scores
    /// are finished and the running cycle grows
    #[arg(long)]
    still: bool,
    /// Quota of calls per minute
    #[arg(long, default_value_t = 100)]
    calls_per_minute: u32,
    /// Quota of calls per day
    #[arg(long, default_value_t = 10_000)]
    calls_per_day: u32,
    /// URL to which webhooks are sent
    #[arg(long)]
    webhook_url: Option<String>,
    /// Probability that a webhook is never sent, from 0 to 1
    #[arg(long, default_value_t = 0.0)]
    webhook_lose: f64,
    /// Probability that a webhook is sent twice, from 0 to 1
    #[arg(long, default_value_t = 0.0)]
    webhook_duplicate: f64,
    /// Maximum random delay of a webhook in seconds
    #[arg(long, default_value_t = 0)]
    webhook_delay_seconds: u64,
    /// Send webhooks that are due together in a random order
    #[arg(long)]
    webhook_reorder: bool,
    /// Sign each retry of a webhook with a new timestamp
    #[arg(long)]
    webhook_fresh_timestamps: bool,
    /// The app's client id
    #[arg(long, default_value = "whoop-sim-client")]
    client_id: String,
    /// The app's client secret
    #[arg(long, default_value = "whoop-sim-secret")]
    client_secret: String,
    /// Registered redirect URL, can be repeated; without any, every loopback address
    /// is registered
    #[arg(long = "redirect-url")]
    redirect_urls: Vec<String>,
    /// Grant every consent without showing the consent page
    #[arg(long)]
    auto_consent: bool,
    /// Lifetime of an access token in seconds, by the simulated clock
    #[arg(long, default_value_t = 3_600)]
    token_ttl_seconds: u32,
    /// Treat a limit over 25 as 25 instead of answering with status 400
    #[arg(long)]
    clamp_limit: bool,
    /// Value of the next-page token on the last page
    #[arg(long, value_enum, default_value = "null")]
    last_page: LastPageArg,
    /// Answer 404 instead of an empty page for a collection without records
    #[arg(long)]
    empty_is_not_found: bool,
    /// Revoke the whole grant if a spent refresh token is used again
    #[arg(long)]
    reuse_revokes_family: bool,
    /// Status of a call without the required scope; 401, 403 and 404 were reported
    #[arg(long, default_value_t = 401)]
    missing_scope_status: u16,
}

/// Form of `next_token` on the last page.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LastPageArg {
    Absent,
    Null,
    Empty,
}

fn main() -> ExitCode {
    let cli = SimCli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("whoop-sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(cli: SimCli) -> anyhow::Result<()> {
    let config = SimConfig {
        listen: cli.listen,
        seed: cli.seed,
        people: cli.people,
        days: cli.days,
        now: cli.now,
        speed: cli.speed,
        freeze_records: cli.still,
        calls_per_minute: cli.calls_per_minute,
        calls_per_day: cli.calls_per_day,
        client_id: cli.client_id,
        client_secret: cli.client_secret,
        redirect_urls: cli.redirect_urls,
        auto_consent: cli.auto_consent,
        token_ttl_seconds: cli.token_ttl_seconds,
        protocol: ProtocolOptions {
            limit_over_max: if cli.clamp_limit {
                LimitOverMax::Clamp
            } else {
                LimitOverMax::Reject
            },
            last_page: match cli.last_page {
                LastPageArg::Absent => LastPage::Absent,
                LastPageArg::Null => LastPage::Null,
                LastPageArg::Empty => LastPage::Empty,
            },
            empty_collection: if cli.empty_is_not_found {
                EmptyCollection::NotFound
            } else {
                EmptyCollection::Empty
            },
            missing_scope_status: cli.missing_scope_status,
            reuse_mode: if cli.reuse_revokes_family {
                ReuseMode::FamilyRevoked
            } else {
                ReuseMode::LoserRejected
            },
        },
        webhook_url: cli.webhook_url,
        webhook_faults: WebhookFaults {
            lose: cli.webhook_lose,
            duplicate: cli.webhook_duplicate,
            delay_seconds: cli.webhook_delay_seconds,
            reorder: cli.webhook_reorder,
            fresh_timestamp_on_retry: cli.webhook_fresh_timestamps,
        },
    };
    let (client_id, client_secret) = (config.client_id.clone(), config.client_secret.clone());
    let sim = SimServer::start(config)
        .await
        .context("cannot start the simulator")?;
    let start_message = format!(
        "whoop-sim is running at {}\n\
         WHOOP_API_URL={}\nWHOOP_OAUTH_URL={}\n\
         WHOOP_CLIENT_ID={client_id}\nWHOOP_CLIENT_SECRET={client_secret}\n\
         Press Ctrl-C to stop it.\n",
        sim.base_url(),
        sim.api_url(),
        sim.oauth_url(),
    );
    // An error is ignored: the simulator keeps running if stdout is closed.
    let _ = std::io::stdout().write_all(start_message.as_bytes());

    wait_for_shutdown().await?;
    sim.stop();
    Ok(())
}

#[cfg(unix)]
async fn wait_for_shutdown() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen for Ctrl-C"),
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn wait_for_shutdown() -> anyhow::Result<()> {
    tokio::signal::ctrl_c()
        .await
        .context("cannot listen for Ctrl-C")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_valid() {
        SimCli::command().debug_assert();
    }
}
