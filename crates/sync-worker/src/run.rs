use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Local, Utc};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use whoop_core::{
    Clock, DataType, SystemClock, UserId,
    plan::{ReadReason, Slot},
};
use whoop_storage::StorageError;
use whoop_sync::{
    Engine, EngineSettings, SyncContext, SyncError,
    dry_run::{DryRunReport, PlannedMember},
    member_sync::SyncRequest,
    run::{RunReport, RunRequest, RunTask},
};

use crate::{
    Console, ExitStatus,
    cli::{CommonArgs, RunArgs, WorkArgs},
    database_wait::wait_for_database,
    exit::CommandError,
    metrics,
    migrate::database_error,
    plan_table,
    progress::ProgressReporter,
    slot::SlotArg,
    summary::{self, RunSummary},
    time_arg::TimeArg,
};

#[derive(Serialize)]
struct RunResult<'a> {
    #[serde(flatten)]
    report: &'a RunReport,
    exit_code: u8,
}

#[derive(Serialize)]
struct DryRunResult<'a> {
    dry_run: bool,
    slot: &'static str,
    members: usize,
    fresh: usize,
    left: usize,
    /// Members with a backfill after the sync. Its calls are not in `calls`.
    histories: usize,
    /// Minimum number of calls; the backfill adds more.
    calls: u64,
    plan: &'a [PlannedMember],
    exit_code: u8,
}

/// `sync-worker run`.
pub(crate) async fn run(
    args: &RunArgs,
    console: &Console,
    stop: CancellationToken,
) -> Result<ExitStatus, CommandError> {
    let clock = Arc::new(SystemClock);
    let slot = args.slot.at(clock.now());
    let plan = sync_plan(args, slot, clock.as_ref(), console)?;
    let engine = open_engine(&args.work, clock, &stop).await?;
    if args.slot == SlotArg::Auto {
        report_slot(slot, &engine, console);
    }
    if args.dry_run {
        let planned = engine
            .runs
            .dry_run(&plan)
            .await
            .map_err(|error| command_error(&args.work.common, error))?;
        return Ok(print_plan(args, slot, &planned, console));
    }
    execute_plan(&engine, &plan, &args.work, console, stop).await
}

/// Executes a plan and reports the outcome.
pub(crate) async fn execute_plan(
    engine: &Engine,
    plan: &RunRequest,
    args: &WorkArgs,
    console: &Console,
    stop: CancellationToken,
) -> Result<ExitStatus, CommandError> {
    let common = &args.common;
    let started = Instant::now();
    let progress = ProgressReporter::new(console);
    let context = SyncContext::scheduled(args.max_calls, stop);
    let report = engine.runs.run(plan, &context, &progress).await;
    engine.refresher.finish_refreshes(&context.stop).await;
    progress.finish();
    let report = report.map_err(|error| command_error(common, error))?;

    let exit = exit_status(&report);
    if let Some(path) = &args.metrics_file
        && let Err(error) = metrics::write(path, engine, &report, engine.clock().now()).await
    {
        // The run itself is done; missing metrics do not make it fail.
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(%error, cause, "metrics of the run could not be written");
    }
    if common.json {
        console.print_json(&RunResult {
            report: &report,
            exit_code: exit.code(),
        });
    }
    let run_summary = RunSummary {
        report: &report,
        elapsed: started.elapsed(),
        exit,
    };
    if !console.is_terminal() {
        summary::log_summary(&run_summary);
    } else if common.json {
        console.print_to_stderr(summary::text(&run_summary));
    } else {
        console.print(summary::text(&run_summary));
    }
    Ok(exit)
}

fn command_error(common: &CommonArgs, error: SyncError) -> CommandError {
    match error {
        SyncError::Storage(error) => database_error(&common.database, &error),
        other => CommandError::could_not_run(other.error_chain()),
    }
}

fn sync_plan(
    args: &RunArgs,
    slot: Slot,
    clock: &dyn Clock,
    console: &Console,
) -> Result<RunRequest, CommandError> {
    let now = clock.now();
    let since = resolve_start("--since", args.since, now)?;
    let chosen: &[DataType] = if args.data_types.is_empty() {
        slot.data_types()
    } else {
        &args.data_types
    };
    let request = SyncRequest {
        reason: ReadReason::Asked,
        slot: Some(slot),
        // In a fixed order, and without duplicates.
        data_types: DataType::ALL
            .into_iter()
            .filter(|data_type| chosen.contains(data_type))
            .collect(),
        since,
        // The night run may use the quota that the day did not use.
        backfill: slot == Slot::Night,
    };
    Ok(new_plan(RunTask::Sync(request), &args.work, console))
}

/// Creates the plan of a task for the members that were named, or for all.
pub(crate) fn new_plan(task: RunTask, args: &WorkArgs, console: &Console) -> RunRequest {
    let mut users: Vec<UserId> = Vec::new();
    for user in &args.users {
        if !users.contains(user) {
            users.push(user.clone());
        }
    }
    RunRequest {
        trigger: if console.is_terminal() {
            "manual"
        } else {
            "scheduled"
        },
        task,
        users,
        parallel: args.parallel.into(),
    }
}

/// Returns the instant to read back to, or an error if it is in the future.
pub(crate) fn resolve_start(
    flag: &str,
    since: Option<TimeArg>,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, CommandError> {
    since
        .map(|since| since.start(now, now.with_timezone(&Local).date_naive()))
        .transpose()
        .map_err(|error| CommandError::wrong_usage(format!("{flag}: {error}")))
}

/// Opens the engine. Its database is reachable, has every migration, and has every member that was
/// named.
pub(crate) async fn open_engine(
    args: &WorkArgs,
    clock: Arc<dyn Clock>,
    stop: &CancellationToken,
) -> Result<Engine, CommandError> {
    let unusable =
        |error: whoop_sync::config::ConfigError| CommandError::could_not_run(error.to_string());
    let refused = |error: StorageError| database_error(&args.common.database, &error);
    let database = args.common.database.database().map_err(unusable)?;
    let settings = EngineSettings {
        retention: args.retention.retention(),
        audit_retention: args.audit.retention(),
        ..EngineSettings::default()
    };
    let engine = args
        .whoop
        .engine(database, clock, settings)
        .map_err(unusable)?;
    let max_wait = Duration::from_secs(args.database_wait_seconds);
    wait_for_database(
        max_wait,
        stop,
        || engine.database.check(),
        |error| database_error(&args.common.database, error),
    )
    .await?;
    let unknown = engine
        .operations
        .find_unknown_members(&args.users)
        .await
        .map_err(refused)?;
    if let Some(first) = unknown.first() {
        return Err(CommandError::wrong_usage(format!(
            "--user {first}: there is no member with this id; `sync-worker users list` lists all \
             members"
        )));
    }
    Ok(engine)
}

fn report_slot(slot: Slot, engine: &Engine, console: &Console) {
    let local_time = engine
        .clock()
        .now()
        .with_timezone(&Local)
        .format("%H:%M %:z");
    if console.is_terminal() {
        console.print_to_stderr(format_args!(
            "Local time is {local_time}, so this is the {} run.",
            slot.as_str()
        ));
    } else {
        tracing::info!(slot = slot.as_str(), %local_time, "slot chosen by the local time");
    }
}

fn print_plan(args: &RunArgs, slot: Slot, plan: &DryRunReport, console: &Console) -> ExitStatus {
    let planned = plan.members.as_slice();
    let exit = if planned.iter().any(|one| one.error.is_some()) {
        ExitStatus::SomeFailed
    } else {
        ExitStatus::Done
    };
    if args.work.common.json {
        console.print_json(&DryRunResult {
            dry_run: true,
            slot: slot.as_str(),
            members: planned.len(),
            fresh: plan.up_to_date,
            left: plan.skipped_for_quota,
            histories: plan.backfills,
            calls: plan_table::planned_calls(planned),
            plan: planned,
            exit_code: exit.code(),
        });
    } else {
        console.print(plan_table::text(slot, plan));
    }
    exit
}

const fn exit_status(report: &RunReport) -> ExitStatus {
    if report.failed > 0 || report.clean_up_error.is_some() {
        ExitStatus::SomeFailed
    } else if report.deferred > 0 || report.unfinished() > 0 {
        ExitStatus::Deferred
    } else {
        ExitStatus::Done
    }
}
