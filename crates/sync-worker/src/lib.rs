//! The command line: scheduled runs and administration.
//!
//! - [`cli`]: the arguments;
//! - [`help`]: the help pages;
//! - [`exit`]: the exit codes;
//! - [`adopt`], [`migrate`], [`run`], [`backfill`], [`reconcile`], [`capacity`], [`status`], [`doctor`], [`rotate`], [`users`], [`webhooks`], [`changes`],
//!   [`service_keys`], [`audit`],
//!   [`cli_docs`]: one file per command;
//! - [`console`]: output to a terminal or a log;
//! - [`signal`]: SIGTERM and SIGINT.
//!
//! No command schedules itself: cron, a systemd timer or Kubernetes does. Runs may overlap; only
//! one of them syncs a member at a time.

mod adopt;
mod audit;
mod backfill;
mod capacity;
mod changes;
pub mod cli;
mod cli_docs;
pub mod console;
mod database_wait;
mod differences;
mod doctor;
mod examples;
pub mod exit;
mod expiry;
pub mod help;
mod metrics;
mod migrate;
mod operator;
mod plan_table;
mod progress;
mod reconcile;
mod retry;
mod rotate;
mod run;
mod service_keys;
pub mod signal;
mod slot;
mod status;
mod summary;
mod time_arg;
mod users;
mod webhooks;

use tokio_util::sync::CancellationToken;
use whoop_core::{Clock, SystemClock};
use whoop_sync::config::warn_if_unverified;

pub use cli::WorkerCli;
use cli::{
    ChangesCommand, ServiceKeysCommand, TokenKeysCommand, UsersCommand, WebhooksCommand,
    WorkerCommand,
};
pub use console::Console;
use exit::CommandError;
pub use exit::ExitStatus;

/// Runs the command in this process and returns its exit code.
pub async fn run(cli: WorkerCli) -> u8 {
    run_until_stopped(cli, &Console::of_process(), CancellationToken::new()).await
}

/// Runs the command and returns its exit code. If `stop` is cancelled, the command finishes the
/// current page and then ends.
pub async fn run_until_stopped(cli: WorkerCli, console: &Console, stop: CancellationToken) -> u8 {
    let exit = match execute(&cli, console, stop).await {
        Ok(exit) => exit,
        Err(refusal) => {
            console.print_error(&refusal, cli.common().is_some_and(|common| common.json));
            refusal.exit
        }
    };
    if exit == ExitStatus::Done && console.write_failed() {
        if cli.common().is_none() {
            // This command has no log in which the error could be written.
            console.print_to_stderr(
                "error: standard output could not be written; check that its disk is not full",
            );
        }
        return ExitStatus::CouldNotRun.code();
    }
    exit.code()
}

async fn execute(
    cli: &WorkerCli,
    console: &Console,
    stop: CancellationToken,
) -> Result<ExitStatus, CommandError> {
    let faults = cli.setting_faults();
    // The doctor reports them as its findings.
    if !faults.is_empty() && !matches!(cli.command, WorkerCommand::Doctor(_)) {
        check_usage(&cli.command)?;
        return Err(CommandError::could_not_run(faults.to_string()));
    }
    if let Some(database) = cli.database() {
        warn_if_unverified("DATABASE_URL", &database);
    }
    match &cli.command {
        WorkerCommand::Capacity(args) => capacity::capacity(args, console).await,
        WorkerCommand::Adopt(args) => Box::pin(adopt::adopt(args, console, stop)).await,
        WorkerCommand::Status(args) => status::status(args, console).await,
        WorkerCommand::Doctor(args) => Box::pin(doctor::doctor(args, &faults, console)).await,
        WorkerCommand::Completions(args) => cli_docs::print_completions(args.shell, console),
        WorkerCommand::Man => cli_docs::print_man_pages(console),
        WorkerCommand::Settings => {
            console.print(help::settings_page());
            Ok(ExitStatus::Done)
        }
        WorkerCommand::Migrate(args) => migrate::migrate(args, console).await,
        WorkerCommand::Keys(TokenKeysCommand::Rotate(args)) => {
            rotate::rotate(args, console, &stop).await
        }
        WorkerCommand::Changes(ChangesCommand::Restart(args)) => {
            changes::restart(args, console).await
        }
        WorkerCommand::ServiceKeys(command) => match command {
            ServiceKeysCommand::Create(args) => service_keys::create(args, console).await,
            ServiceKeysCommand::List(args) => service_keys::list(args, console).await,
            ServiceKeysCommand::Revoke(args) => service_keys::revoke(args, console).await,
        },
        WorkerCommand::Audit(args) => audit::list(args, console).await,
        WorkerCommand::Webhooks(command) => match command {
            WebhooksCommand::List(args) => webhooks::list(args, console).await,
            WebhooksCommand::Drain(args) => Box::pin(webhooks::drain(args, console, stop)).await,
            WebhooksCommand::Replay(args) => webhooks::replay(args, console).await,
        },
        WorkerCommand::Users(command) => match command {
            UsersCommand::List(args) => users::list(args, console).await,
            UsersCommand::Show(args) => users::show(args, console).await,
            UsersCommand::Retry(args) => retry::retry(args, console, stop).await,
            UsersCommand::Disconnect(args) => users::disconnect(args, false, console).await,
            UsersCommand::Erase(args) => users::erase(args, console).await,
        },
        WorkerCommand::Run(args) => Box::pin(run::run(args, console, stop)).await,
        WorkerCommand::Backfill(args) => Box::pin(backfill::backfill(args, console, stop)).await,
        WorkerCommand::Reconcile(args) => Box::pin(reconcile::reconcile(args, console, stop)).await,
    }
}

/// Refuses flags that contradict each other or name a future time. This check needs no settings.
fn check_usage(command: &WorkerCommand) -> Result<(), CommandError> {
    let now = SystemClock.now();
    match command {
        WorkerCommand::Run(args) => {
            run::resolve_start("--since", args.since, now)?;
        }
        WorkerCommand::Backfill(args) => {
            run::resolve_start("--from", args.from, now)?;
        }
        WorkerCommand::Reconcile(args) => {
            reconcile::compared_span(args, now)?;
        }
        _ => {}
    }
    Ok(())
}
