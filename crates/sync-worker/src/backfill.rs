use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use whoop_core::{Clock, SystemClock};
use whoop_sync::run::RunTask;

use crate::{
    Console, ExitStatus,
    cli::BackfillArgs,
    exit::CommandError,
    run::{execute_plan, new_plan, open_engine, resolve_start},
};

/// `sync-worker backfill`.
pub(crate) async fn backfill(
    args: &BackfillArgs,
    console: &Console,
    stop: CancellationToken,
) -> Result<ExitStatus, CommandError> {
    let clock = Arc::new(SystemClock);
    let from = resolve_start("--from", args.from, clock.now())?;
    let engine = open_engine(&args.work, clock, &stop).await?;
    let plan = new_plan(RunTask::Backfill { from }, &args.work, console);
    execute_plan(&engine, &plan, &args.work, console, stop).await
}
