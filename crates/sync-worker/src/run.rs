use std::{sync::Arc, time::Instant};

use chrono::Local;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use whoop_core::{Clock, DataType, SystemClock, plan::Slot};
use whoop_sync::{
    Engine, Job, Settings, SyncError,
    member::Errand,
    run::{DryRun, Plan, Planned, RunReport},
};

use crate::{
    Console, Exit,
    cli::RunArgs,
    exit::Refusal,
    migrate::database_refusal,
    plan_table,
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
    let engine = engine(args, clock).await?;
    if args.slot == SlotArg::Auto {
        say_slot(slot, &engine, console);
    }
    let failed = |error: SyncError| match error {
        SyncError::Storage(error) => database_refusal(&args.common.database, &error),
        other => Refusal::could_not_run(other.in_full()),
    };
    if args.dry_run {
        let planned = engine.dry_run(&plan).await.map_err(failed)?;
        return Ok(tell_plan(args, slot, &planned, console));
    }

    let started = Instant::now();
    let job = Job::scheduled(args.max_calls, stop);
    let onlooker = Onlooker::new(console);
    let report = engine.run(&plan, &job, &onlooker).await;
    onlooker.ends();
    let report = report.map_err(failed)?;

    let exit = exit_of(&report);
    if args.common.json {
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
    } else if args.common.json {
        console.remark(summary::text(&ended));
    } else {
        console.say(summary::text(&ended));
    }
    Ok(exit)
}

fn plan(args: &RunArgs, slot: Slot, clock: &dyn Clock, console: &Console) -> Result<Plan, Refusal> {
    let now = clock.now();
    let since = args
        .since
        .map(|since| since.resolve(now, now.with_timezone(&Local).date_naive()))
        .transpose()
        .map_err(|error| Refusal::wrong_usage(error.to_string()))?;
    let chosen: &[DataType] = if args.data_types.is_empty() {
        slot.data_types()
    } else {
        &args.data_types
    };
    let mut users = Vec::new();
    for user in &args.users {
        if !users.contains(user) {
            users.push(user.clone());
        }
    }
    Ok(Plan {
        trigger: if console.is_terminal() {
            "manual"
        } else {
            "scheduled"
        },
        errand: Errand {
            slot: Some(slot),
            // In one order, and each once.
            data_types: DataType::ALL
                .into_iter()
                .filter(|data_type| chosen.contains(data_type))
                .collect(),
            since,
            // The night has the whole day's leftovers of the quota.
            history: slot == Slot::Night,
        },
        users,
        parallel: args.parallel.into(),
    })
}

/// The engine over a database that is there and has every migration.
async fn engine(args: &RunArgs, clock: Arc<dyn Clock>) -> Result<Engine, Refusal> {
    let unusable =
        |error: whoop_sync::config::ConfigError| Refusal::could_not_run(error.to_string());
    let database = args.common.database.database().map_err(unusable)?;
    let settings = Settings {
        retention: args.retention.retention(),
        ..Settings::default()
    };
    let engine = args
        .whoop
        .engine(database, clock, settings)
        .map_err(unusable)?;
    engine
        .database
        .check()
        .await
        .map_err(|error| database_refusal(&args.common.database, &error))?;
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
    if args.common.json {
        console.json(&DryRunResult {
            dry_run: true,
            slot: slot.as_str(),
            members: planned.len(),
            fresh: plan.fresh,
            left: plan.left,
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
    if report.failed > 0 {
        Exit::SomeFailed
    } else if report.deferred > 0 || report.unfinished() > 0 {
        Exit::PutOff
    } else {
        Exit::Done
    }
}
