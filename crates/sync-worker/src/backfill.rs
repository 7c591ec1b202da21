use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use whoop_core::{Clock, SystemClock};
use whoop_sync::run::Task;

use crate::{
    Console, Exit,
    cli::BackfillArgs,
    exit::Refusal,
    run::{carry_out, engine, past, plan_of},
};

/// `sync-worker backfill`.
pub(crate) async fn backfill(
    args: &BackfillArgs,
    console: &Console,
    stop: CancellationToken,
) -> Result<Exit, Refusal> {
    let clock = Arc::new(SystemClock);
    let from = past("--from", args.from, clock.now())?;
    let engine = engine(&args.work, clock, &stop).await?;
    let plan = plan_of(Task::BackFill { from }, &args.work, console);
    carry_out(&engine, &plan, &args.work, console, stop).await
}
