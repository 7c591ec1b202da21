use std::process::ExitCode;

use clap::FromArgMatches;
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;
use whoop_sync::config::{self, CommandLineError};
use whoop_sync_worker::{
    Console, ExitStatus, WorkerCli, cli::WorkerCommand, help, run_until_stopped, signal,
};

fn main() -> ExitCode {
    let cli = match config::read_command_line(help::command()) {
        Ok(line) => {
            let mut cli =
                WorkerCli::from_arg_matches(&line.matches).unwrap_or_else(|error| error.exit());
            cli.unreadable_settings = line.faults;
            cli
        }
        Err(CommandLineError::Usage(error)) => error.exit(),
        Err(CommandLineError::Settings(faults)) => {
            eprintln!("error: {faults}");
            return ExitStatus::CouldNotRun.code().into();
        }
    };
    let console = Console::of_process();
    if let Some(common) = cli.common()
        && let Err(error) = common.log.init_to(console.log_writer())
    {
        eprintln!("error: {error}");
        return ExitStatus::CouldNotRun.code().into();
    }
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the process could not start its threads: {error}");
            return ExitStatus::CouldNotRun.code().into();
        }
    };
    let code = runtime.block_on(run_until_aborted(cli, &console));
    // Does not wait for work that was aborted.
    runtime.shutdown_background();
    code.into()
}

async fn run_until_aborted(cli: WorkerCli, console: &Console) -> u8 {
    let exit_if_aborted = match cli.command {
        WorkerCommand::Run(_)
        | WorkerCommand::Adopt(_)
        | WorkerCommand::Backfill(_)
        | WorkerCommand::Reconcile(_)
        | WorkerCommand::Webhooks(_)
        | WorkerCommand::Keys(_) => ExitStatus::Deferred,
        WorkerCommand::Migrate(_)
        | WorkerCommand::Users(_)
        | WorkerCommand::Changes(_)
        | WorkerCommand::ServiceKeys(_)
        | WorkerCommand::Audit(_)
        | WorkerCommand::Capacity(_)
        | WorkerCommand::Status(_)
        | WorkerCommand::Doctor(_)
        | WorkerCommand::Completions(_)
        | WorkerCommand::Man
        | WorkerCommand::Settings => ExitStatus::CouldNotRun,
    };
    let stop = CancellationToken::new();
    tokio::select! {
        code = run_until_stopped(cli, console, stop.clone()) => code,
        () = signal::cancel_on_signal(stop, console) => {
            tracing::warn!(
                "work did not stop in time and is aborted; its leases expire within a minute"
            );
            exit_if_aborted.code()
        }
    }
}
