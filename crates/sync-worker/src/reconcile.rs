use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;
use whoop_core::{Clock, SystemClock};
use whoop_sync::{reconcile::ReconcileRequest, run::RunTask};

use crate::{
    Console, ExitStatus,
    cli::ReconcileArgs,
    exit::CommandError,
    migrate::database_error,
    operator,
    run::{execute_plan, new_plan, open_engine, resolve_start},
};

/// Length of the compared span if `--from` is not given.
const DEFAULT_SPAN: TimeDelta = TimeDelta::days(30);

/// Returns the span to compare: its start, and its end if that is not now.
///
/// # Errors
///
/// Wrong usage: the span is in the future, or ends before it begins.
pub(crate) fn compared_span(
    args: &ReconcileArgs,
    now: DateTime<Utc>,
) -> Result<(DateTime<Utc>, Option<DateTime<Utc>>), CommandError> {
    let until = args.to.map(|to| to.end()).filter(|until| *until < now);
    let from =
        resolve_start("--from", args.from, now)?.unwrap_or(until.unwrap_or(now) - DEFAULT_SPAN);
    // A date lasts longer than 24 hours: from its start in the easternmost time zone to its end in
    // the westernmost.
    let is_backward = match (args.from, args.to) {
        (Some(from), Some(to)) => from.end() > to.end(),
        _ => until.is_some_and(|until| until <= from),
    };
    if is_backward {
        return Err(CommandError::wrong_usage(
            "--from is after --to; give the earlier of the two as --from".to_owned(),
        ));
    }
    Ok((from, until))
}

/// `sync-worker reconcile`.
pub(crate) async fn reconcile(
    args: &ReconcileArgs,
    console: &Console,
    stop: CancellationToken,
) -> Result<ExitStatus, CommandError> {
    let clock = Arc::new(SystemClock);
    let (from, until) = compared_span(args, clock.now())?;
    let request = ReconcileRequest {
        from,
        until,
        dry_run: args.dry_run,
    };
    let engine = open_engine(&args.work, clock, &stop).await?;
    if !args.dry_run {
        let detail = format!("from {}", from.format("%Y-%m-%dT%H:%MZ"));
        operator::record_action_for(&engine.database, "reconcile", &args.work.users, &detail)
            .await
            .map_err(|error| database_error(&args.work.common.database, &error))?;
    }
    let plan = new_plan(RunTask::Reconcile(request), &args.work, console);
    execute_plan(&engine, &plan, &args.work, console, stop).await
}
