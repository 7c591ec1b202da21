//! The simulator as a program.

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
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// The same seed, now and days make the same people
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// How many members there are, up to 16384
    #[arg(long, default_value_t = 3)]
    people: usize,
    /// How many days of history they have, up to 3653
    #[arg(long, default_value_t = 400)]
    days: u32,
    /// Where the clock starts (RFC 3339); without it, at the machine's time
    #[arg(long)]
    now: Option<DateTime<Utc>>,
    /// Simulated seconds for each real one; 0 freezes the clock
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Records stay as they are at the start while the clock moves; without it,
    /// nights end, scores settle, cycles grow
    #[arg(long)]
    still: bool,
    /// The app's quota a minute
    #[arg(long, default_value_t = 100)]
    calls_per_minute: u32,
    /// The app's quota a day
    #[arg(long, default_value_t = 10_000)]
    calls_per_day: u32,
    /// Where to send webhooks
    #[arg(long)]
    webhook_url: Option<String>,
    /// How likely a webhook is never sent, from 0 to 1
    #[arg(long, default_value_t = 0.0)]
    webhook_lose: f64,
    /// How likely a webhook is sent twice, from 0 to 1
    #[arg(long, default_value_t = 0.0)]
    webhook_duplicate: f64,
    /// How late a webhook is at most
    #[arg(long, default_value_t = 0)]
    webhook_delay_seconds: u64,
    /// Send webhooks that are due together in a random order
    #[arg(long)]
    webhook_reorder: bool,
    /// Sign each retry of a webhook with its own time
    #[arg(long)]
    webhook_fresh_timestamps: bool,
    /// The app's client id
    #[arg(long, default_value = "whoop-sim-client")]
    client_id: String,
    /// The app's client secret
    #[arg(long, default_value = "whoop-sim-secret")]
    client_secret: String,
    /// A registered redirect URL, as often as needed; without any, every
    /// loopback address is registered
    #[arg(long = "redirect-url")]
    redirect_urls: Vec<String>,
    /// Answer every consent with yes, without a page
    #[arg(long)]
    auto_consent: bool,
    /// How many seconds an access token lives, by the simulated clock
    #[arg(long, default_value_t = 3_600)]
    token_ttl_seconds: u32,
    /// A limit over 25 gives 25 records instead of 400
    #[arg(long)]
    clamp_limit: bool,
    /// How the last page says that it is the last
    #[arg(long, value_enum, default_value = "null")]
    last_page: LastPageArg,
    /// A collection without a record answers 404 instead of an empty page
    #[arg(long)]
    empty_is_not_found: bool,
    /// A spent refresh token that comes back ends the whole grant
    #[arg(long)]
    reuse_revokes_family: bool,
    /// The status of a call that lacks its scope; 401, 403 and 404 were reported
    #[arg(long, default_value_t = 401)]
    missing_scope_status: u16,
}

/// `next_token` on a last page.
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
    let sim = SimServer::start(config).await.context("cannot start")?;
    let greeting = format!(
        "whoop-sim is at {}\n\
         WHOOP_API_URL={}\nWHOOP_OAUTH_URL={}\n\
         WHOOP_CLIENT_ID={client_id}\nWHOOP_CLIENT_SECRET={client_secret}\n\
         Ctrl-C stops it.\n",
        sim.base_url(),
        sim.api_url(),
        sim.oauth_url(),
    );
    // A reader that went away is no reason to stop.
    let _ = std::io::stdout().write_all(greeting.as_bytes());

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
async fn until_told_to_stop() -> anyhow::Result<()> {
    tokio::signal::ctrl_c()
        .await
        .context("cannot listen for Ctrl-C")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn verify_cli() {
        SimCli::command().debug_assert();
    }
}
