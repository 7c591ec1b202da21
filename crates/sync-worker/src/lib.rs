//! The command line: scheduled runs, and administration.
//!
//! - [`cli`]: what can be typed;
//! - [`exit`]: what the exit codes mean;
//! - [`adopt`], [`migrate`], [`run`], [`backfill`], [`reconcile`], [`capacity`], [`status`], [`doctor`], [`rotate`], [`users`], [`webhooks`], [`changes`],
//!   [`service_keys`], [`audit`],
//!   [`print`]: one file a command;
//! - [`console`]: a terminal, or a log;
//! - [`signal`]: SIGTERM and SIGINT.
//!
//! Nothing here waits for tomorrow: cron, a systemd timer or Kubernetes does.
//! Runs may overlap; a member is synced by one of them at a time.

mod adopt;
mod audit;
mod backfill;
mod capacity;
mod changes;
pub mod cli;
pub mod console;
mod differences;
mod doctor;
pub mod exit;
mod expiry;
mod metrics;
mod migrate;
mod operator;
mod patience;
mod plan_table;
mod print;
mod reconcile;
mod retry;
mod rotate;
mod run;
mod service_keys;
pub mod signal;
mod since;
mod slot;
mod status;
mod summary;
mod users;
mod watch;
mod webhooks;

use tokio_util::sync::CancellationToken;
use whoop_core::{Clock, SystemClock};
use whoop_sync::config::warn_if_unverified;

pub use cli::Cli;
use cli::{
    ChangesCommand, Command, KeysCommand, ServiceKeysCommand, UsersCommand, WebhooksCommand,
};
pub use console::Console;
pub use exit::Exit;
use exit::Refusal;

/// Does what the command line asks for, within this process.
pub async fn run(cli: Cli) -> u8 {
    run_until(cli, &Console::of_process(), CancellationToken::new()).await
}

/// The same, until told to stop: the page in hand is finished first.
pub async fn run_until(cli: Cli, console: &Console, stop: CancellationToken) -> u8 {
    let exit = match done(&cli, console, stop).await {
        Ok(exit) => exit,
        Err(refusal) => {
            console.refuse(&refusal, cli.common().is_some_and(|common| common.json));
            refusal.exit
        }
    };
    if exit == Exit::Done && console.has_lost() {
        if cli.common().is_none() {
            // There is no log to say it.
            console.remark("error: standard output could not be written; is the disk full?");
        }
        return Exit::CouldNotRun.code();
    }
    exit.code()
}

async fn done(cli: &Cli, console: &Console, stop: CancellationToken) -> Result<Exit, Refusal> {
    let faults = cli.faults();
    // The doctor reports them as what it found.
    if !faults.is_empty() && !matches!(cli.command, Command::Doctor(_)) {
        check_usage(&cli.command)?;
        return Err(Refusal::could_not_run(faults.to_string()));
    }
    if let Some(database) = cli.database() {
        warn_if_unverified("DATABASE_URL", &database);
    }
    match &cli.command {
        Command::Capacity(args) => capacity::capacity(args, console).await,
        Command::Adopt(args) => Box::pin(adopt::adopt(args, console, stop)).await,
        Command::Status(args) => status::status(args, console).await,
        Command::Doctor(args) => Box::pin(doctor::doctor(args, &faults, console)).await,
        Command::Completions(args) => print::completions(args.shell, console),
        Command::Man => print::man(console),
        Command::Migrate(args) => migrate::migrate(args, console).await,
        Command::Keys(KeysCommand::Rotate(args)) => rotate::rotate(args, console, &stop).await,
        Command::Changes(ChangesCommand::Restart(args)) => changes::restart(args, console).await,
        Command::ServiceKeys(command) => match command {
            ServiceKeysCommand::Create(args) => service_keys::create(args, console).await,
            ServiceKeysCommand::List(args) => service_keys::list(args, console).await,
            ServiceKeysCommand::Revoke(args) => service_keys::revoke(args, console).await,
        },
        Command::Audit(args) => audit::list(args, console).await,
        Command::Webhooks(command) => match command {
            WebhooksCommand::List(args) => webhooks::list(args, console).await,
            WebhooksCommand::Drain(args) => Box::pin(webhooks::drain(args, console, stop)).await,
            WebhooksCommand::Replay(args) => webhooks::replay(args, console).await,
        },
        Command::Users(command) => match command {
            UsersCommand::List(args) => users::list(args, console).await,
            UsersCommand::Show(args) => users::show(args, console).await,
            UsersCommand::Retry(args) => retry::retry(args, console, stop).await,
            UsersCommand::Disconnect(args) => users::leave(args, false, console).await,
            UsersCommand::Erase(args) => users::erase(args, console).await,
        },
        Command::Run(args) => Box::pin(run::run(args, console, stop)).await,
        Command::Backfill(args) => Box::pin(backfill::backfill(args, console, stop)).await,
        Command::Reconcile(args) => Box::pin(reconcile::reconcile(args, console, stop)).await,
    }
}

/// Refuses flags that contradict each other or the clock, which no setting is needed for.
fn check_usage(command: &Command) -> Result<(), Refusal> {
    let now = SystemClock.now();
    match command {
        Command::Run(args) => {
            run::past("--since", args.since, now)?;
        }
        Command::Backfill(args) => {
            run::past("--from", args.from, now)?;
        }
        Command::Reconcile(args) => {
            reconcile::span(args, now)?;
        }
        _ => {}
    }
    Ok(())
}
