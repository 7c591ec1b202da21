use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use whoop_core::{Clock, DataType, SystemClock, plan::Reason};
use whoop_sync::{
    Job,
    member::Errand,
    run::{BackFill, Plan},
};

use crate::{
    Console, Exit,
    cli::BackfillArgs,
    exit::Refusal,
    run::{Work, carry_out, each_once, engine, past, trigger},
};

/// `sync-worker backfill`.
pub(crate) async fn backfill(
    args: &BackfillArgs,
    console: &Console,
    stop: CancellationToken,
) -> Result<Exit, Refusal> {
    let clock = Arc::new(SystemClock);
    let from = past("--from", args.from, clock.now())?;
    let engine = engine(&args.whoop, args.retention, &args.common, clock).await?;
    let plan = Plan {
        trigger: trigger(console),
        errand: Errand {
            reason: Reason::Asked,
            slot: None,
            data_types: DataType::ALL.to_vec(),
            since: None,
            history: true,
        },
        back_fill: Some(BackFill { from }),
        users: each_once(&args.users),
        parallel: args.parallel.into(),
    };
    let job = Job::scheduled(args.max_calls, stop);
    let work = Work {
        plan: &plan,
        job: &job,
        metrics_file: args.metrics_file.as_deref(),
    };
    carry_out(&engine, &work, &args.common, console).await
}
