use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Local, Utc};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use whoop_core::{
    Clock, DataType, SystemClock, UserId,
    plan::{Reason, Slot},
};
use whoop_storage::StorageError;
use whoop_sync::{
    Engine, Job, Settings, SyncError,
    dry_run::{DryRun, Planned},
    member::Errand,
    run::{Plan, RunReport, Task},
};

use crate::{
    Console, Exit,
    cli::{CommonArgs, RunArgs, WorkArgs},
    exit::Refusal,
    metrics,
    migrate::database_refusal,
    patience::until_there,
    plan_table,
    since::Since,
    slot::SlotArg,
    summary::{self, Ended},
    watch::Onlooker,
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
    /// Members whose history is gone on with, in calls that are not counted here.
    histories: usize,
    /// At the least; history comes on top.
    calls: u64,
    plan: &'a [Planned],
    exit_code: u8,
}

/// `sync-worker run`.
pub(crate) async fn run(
    args: &RunArgs,
    console: &Console,
    stop: CancellationToken,
) -> Result<Exit, Refusal> {
    let clock = Arc::new(SystemClock);
    let slot = args.slot.at(clock.now());
    let plan = plan(args, slot, clock.as_ref(), console)?;
    let engine = engine(&args.work, clock, &stop).await?;
    if args.slot == SlotArg::Auto {
        say_slot(slot, &engine, console);
    }
    if args.dry_run {
        let planned = engine
            .dry_run(&plan)
            .await
            .map_err(|error| failed(&args.work.common, error))?;
        return Ok(tell_plan(args, slot, &planned, console));
    }
    carry_out(&engine, &plan, &args.work, console, stop).await
}

/// Runs a plan, and tells how that went.
pub(crate) async fn carry_out(
    engine: &Engine,
    plan: &Plan,
    args: &WorkArgs,
    console: &Console,
    stop: CancellationToken,
) -> Result<Exit, Refusal> {
    let common = &args.common;
    let started = Instant::now();
    let onlooker = Onlooker::new(console);
    let job = Job::scheduled(args.max_calls, stop);
    let report = engine.run(plan, &job, &onlooker).await;
    engine.finish_refreshes(&job.stop).await;
    onlooker.ends();
    let report = report.map_err(|error| failed(common, error))?;

    let exit = exit_of(&report);
    if let Some(path) = &args.metrics_file
        && let Err(error) = metrics::write(path, engine, &report, engine.clock().now()).await
    {
        // The run is done, whoever hears of it.
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(%error, cause, "the run's metrics are not written");
    }
    if common.json {
        console.json(&RunResult {
            report: &report,
            exit_code: exit.code(),
        });
    }
    let ended = Ended {
        report: &report,
        took: started.elapsed(),
        exit,
    };
    if !console.is_terminal() {
        summary::log(&ended);
    } else if common.json {
        console.remark(summary::text(&ended));
    } else {
        console.say(summary::text(&ended));
    }
    Ok(exit)
}

fn failed(common: &CommonArgs, error: SyncError) -> Refusal {
    match error {
        SyncError::Storage(error) => database_refusal(&common.database, &error),
        other => Refusal::could_not_run(other.in_full()),
    }
}

fn plan(args: &RunArgs, slot: Slot, clock: &dyn Clock, console: &Console) -> Result<Plan, Refusal> {
    let now = clock.now();
    let since = past("--since", args.since, now)?;
    let chosen: &[DataType] = if args.data_types.is_empty() {
        slot.data_types()
    } else {
        &args.data_types
    };
    let errand = Errand {
        reason: Reason::Asked,
        slot: Some(slot),
        // In one order, and each once.
        data_types: DataType::ALL
            .into_iter()
            .filter(|data_type| chosen.contains(data_type))
            .collect(),
        since,
        // The night has the whole day's leftovers of the quota.
        history: slot == Slot::Night,
    };
    Ok(plan_of(Task::Sync(errand), &args.work, console))
}

/// A task for the members that were named, or for all.
pub(crate) fn plan_of(task: Task, args: &WorkArgs, console: &Console) -> Plan {
    let mut users: Vec<UserId> = Vec::new();
    for user in &args.users {
        if !users.contains(user) {
            users.push(user.clone());
        }
    }
    Plan {
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

/// An instant to read back to.
pub(crate) fn past(
    flag: &str,
    since: Option<Since>,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, Refusal> {
    since
        .map(|since| since.resolve(now, now.with_timezone(&Local).date_naive()))
        .transpose()
        .map_err(|error| Refusal::wrong_usage(format!("{flag}: {error}")))
}

/// The engine over a database that is there and has every migration, and knows
/// every member that was named.
pub(crate) async fn engine(
    args: &WorkArgs,
    clock: Arc<dyn Clock>,
    stop: &CancellationToken,
) -> Result<Engine, Refusal> {
    let unusable =
        |error: whoop_sync::config::ConfigError| Refusal::could_not_run(error.to_string());
    let refused = |error: StorageError| database_refusal(&args.common.database, &error);
    let database = args.common.database.database().map_err(unusable)?;
    let settings = Settings {
        retention: args.retention.retention(),
        audit_retention: args.audit.retention(),
        ..Settings::default()
    };
    let engine = args
        .whoop
        .engine(database, clock, settings)
        .map_err(unusable)?;
    let patience = Duration::from_secs(args.database_wait_seconds);
    until_there(
        patience,
        stop,
        || engine.database.check(),
        |error| database_refusal(&args.common.database, error),
    )
    .await?;
    let unknown = engine.unknown(&args.users).await.map_err(refused)?;
    if let Some(first) = unknown.first() {
        return Err(Refusal::wrong_usage(format!(
            "--user {first}: nobody of this id ever connected WHOOP; \
             `sync-worker users list` shows who there is"
        )));
    }
    Ok(engine)
}

fn say_slot(slot: Slot, engine: &Engine, console: &Console) {
    let local_time = engine
        .clock()
        .now()
        .with_timezone(&Local)
        .format("%H:%M %:z");
    if console.is_terminal() {
        console.remark(format_args!(
            "It is {local_time}: the {} run.",
            slot.as_str()
        ));
    } else {
        tracing::info!(slot = slot.as_str(), %local_time, "the slot was chosen by the clock");
    }
}

fn tell_plan(args: &RunArgs, slot: Slot, plan: &DryRun, console: &Console) -> Exit {
    let planned = plan.members.as_slice();
    let exit = if planned.iter().any(|one| one.error.is_some()) {
        Exit::SomeFailed
    } else {
        Exit::Done
    };
    if args.work.common.json {
        console.json(&DryRunResult {
            dry_run: true,
            slot: slot.as_str(),
            members: planned.len(),
            fresh: plan.fresh,
            left: plan.left,
            histories: plan.histories,
            calls: plan_table::calls(planned),
            plan: planned,
            exit_code: exit.code(),
        });
    } else {
        console.say(plan_table::text(slot, plan));
    }
    exit
}

const fn exit_of(report: &RunReport) -> Exit {
    if report.failed > 0 || report.clean_up_error.is_some() {
        Exit::SomeFailed
    } else if report.deferred > 0 || report.unfinished() > 0 {
        Exit::PutOff
    } else {
        Exit::Done
    }
}
