use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;
use whoop_core::{Clock, SystemClock};
use whoop_sync::{reconcile::Reconcile, run::Task};

use crate::{
    Console, Exit,
    cli::ReconcileArgs,
    exit::Refusal,
    migrate::database_refusal,
    operator,
    run::{carry_out, engine, past, plan_of},
};

/// The span that is compared if `--from` is not given.
const DEFAULT_SPAN: TimeDelta = TimeDelta::days(30);

/// The span that is compared: its beginning, and its end if that is not now.
///
/// # Errors
///
/// Wrong usage: the span lies in the future, or ends before it begins.
pub(crate) fn span(
    args: &ReconcileArgs,
    now: DateTime<Utc>,
) -> Result<(DateTime<Utc>, Option<DateTime<Utc>>), Refusal> {
    let until = args.to.map(|to| to.end()).filter(|until| *until < now);
    let from = past("--from", args.from, now)?.unwrap_or(until.unwrap_or(now) - DEFAULT_SPAN);
    // A date is longer than a day, from where it begins first to where it ends last.
    let is_backward = match (args.from, args.to) {
        (Some(from), Some(to)) => from.end() > to.end(),
        _ => until.is_some_and(|until| until <= from),
    };
    if is_backward {
        return Err(Refusal::wrong_usage(
            "--from lies after --to; give the earlier of the two as --from".to_owned(),
        ));
    }
    Ok((from, until))
}

/// `sync-worker reconcile`.
pub(crate) async fn reconcile(
    args: &ReconcileArgs,
    console: &Console,
    stop: CancellationToken,
) -> Result<Exit, Refusal> {
    let clock = Arc::new(SystemClock);
    let (from, until) = span(args, clock.now())?;
    let reconcile = Reconcile {
        from,
        until,
        dry_run: args.dry_run,
    };
    let engine = engine(&args.work, clock, &stop).await?;
    if !args.dry_run {
        let detail = format!("from {}", from.format("%Y-%m-%dT%H:%MZ"));
        operator::record_for(&engine.database, "reconcile", &args.work.users, &detail)
            .await
            .map_err(|error| database_refusal(&args.work.common.database, &error))?;
    }
    let plan = plan_of(Task::Reconcile(reconcile), &args.work, console);
    carry_out(&engine, &plan, &args.work, console, stop).await
}
