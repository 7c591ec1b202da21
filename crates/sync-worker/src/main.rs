use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;
use whoop_sync::config::{self, ReadError};
use whoop_sync_worker::{Cli, Console, Exit, cli::Command, run_until, signal};

fn main() -> ExitCode {
    let cli = match config::read(Cli::command()) {
        Ok(line) => {
            let mut cli = Cli::from_arg_matches(&line.matches).unwrap_or_else(|error| error.exit());
            cli.unreadable = line.faults;
            cli
        }
        Err(ReadError::Usage(error)) => error.exit(),
        Err(ReadError::Settings(faults)) => {
            eprintln!("error: {faults}");
            return Exit::CouldNotRun.code().into();
        }
    };
    let console = Console::of_process();
    if let Some(common) = cli.common()
        && let Err(error) = common.log.init_to(console.log_writer())
    {
        eprintln!("error: {error}");
        return Exit::CouldNotRun.code().into();
    }
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the process cannot start its threads: {error}");
            return Exit::CouldNotRun.code().into();
        }
    };
    let code = runtime.block_on(work(cli, &console));
    // What was cut off is not waited for.
    runtime.shutdown_background();
    code.into()
}

async fn work(cli: Cli, console: &Console) -> u8 {
    let when_cut_off = match cli.command {
        Command::Run(_)
        | Command::Adopt(_)
        | Command::Backfill(_)
        | Command::Reconcile(_)
        | Command::Webhooks(_)
        | Command::Keys(_) => Exit::PutOff,
        Command::Migrate(_)
        | Command::Users(_)
        | Command::Changes(_)
        | Command::ServiceKeys(_)
        | Command::Audit(_)
        | Command::Capacity(_)
        | Command::Status(_)
        | Command::Doctor(_)
        | Command::Completions(_)
        | Command::Man => Exit::CouldNotRun,
    };
    let stop = CancellationToken::new();
    tokio::select! {
        code = run_until(cli, console, stop.clone()) => code,
        () = signal::until_overdue(stop, console) => {
            tracing::warn!("the work did not end in time and is cut off; its leases end within a minute");
            when_cut_off.code()
        }
    }
}
