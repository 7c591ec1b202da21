//! `sync-worker status`: the whole service on one page.

use std::collections::BTreeMap;

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;
use whoop_storage::{
    Database, StorageError,
    overview::{self, LastRun},
    table::{call_budget, users},
};

use crate::{
    Console, Exit, cli::StatusArgs, exit::Refusal, migrate::database_refusal, users::open,
};

#[derive(Serialize)]
struct Status {
    /// Members by the status of their connection.
    members: BTreeMap<String, i64>,
    quota: Quota,
    /// The last run of each slot.
    runs: Vec<LastRun>,
    /// Connected members whose last sync failed.
    failing: i64,
    rejected_records: i64,
    exit_code: u8,
}

#[derive(Serialize)]
struct Quota {
    calls_per_minute: u32,
    calls_per_day: u32,
    left_in_minute: u32,
    left_in_day: u32,
    /// Calls of the last 24 hours, by on whose behalf.
    spent: BTreeMap<&'static str, u32>,
}

pub(crate) async fn status(args: &StatusArgs, console: &Console) -> Result<Exit, Refusal> {
    let database = open(&args.common.database).await?;
    let status = read(args, &database)
        .await
        .map_err(|error| database_refusal(&args.common.database, &error))?;
    if args.common.json {
        console.json(&status);
    } else {
        console.say(text(&status));
    }
    Ok(Exit::Done)
}

async fn read(args: &StatusArgs, database: &Database) -> Result<Status, StorageError> {
    let limits = args.limits.limits();
    let (members, current) = {
        let mut conn = database.get().await?;
        (
            users::count(&mut conn).await?,
            call_budget::read(&mut conn).await?,
        )
    };
    let spent = current.ledger.spent(current.now);
    let by_class = current.ledger.spent_by_class(current.now);
    let trouble = overview::trouble(database).await?;
    Ok(Status {
        members: members
            .into_iter()
            .map(|one| (one.status, one.members))
            .collect(),
        quota: Quota {
            calls_per_minute: limits.per_minute,
            calls_per_day: limits.per_day,
            left_in_minute: limits.per_minute.saturating_sub(spent.minute),
            left_in_day: limits.per_day.saturating_sub(spent.day),
            spent: by_class
                .map(|(class, calls)| (class.as_str(), calls))
                .into(),
        },
        runs: overview::last_runs(database).await?,
        failing: trouble.failing,
        rejected_records: trouble.rejected_records,
        exit_code: Exit::Done.code(),
    })
}

fn text(status: &Status) -> String {
    let count = |name: &str| status.members.get(name).copied().unwrap_or(0);
    let quota = &status.quota;
    let spent: Vec<String> = quota
        .spent
        .iter()
        .map(|(class, calls)| format!("{class} {calls}"))
        .collect();
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header([
        "last run",
        "began (UTC)",
        "ended",
        "came to",
        "members",
        "calls",
        "records",
        "failures",
    ]);
    for run in &status.runs {
        table.add_row([
            run.slot.clone().unwrap_or_else(|| "by hand".to_owned()),
            run.started_at.format("%Y-%m-%d %H:%M").to_string(),
            run.finished_at
                .map_or_else(String::new, |at| at.format("%H:%M").to_string()),
            run.status.clone(),
            run.members.to_string(),
            run.calls.to_string(),
            run.records.to_string(),
            run.failures.to_string(),
        ]);
    }
    let runs = if status.runs.is_empty() {
        "no run yet".to_owned()
    } else {
        table.to_string()
    };
    format!(
        "members: {} connected, {} have to connect again, {} disconnected; the last sync of {} failed\n\
         quota: {} of {} calls left of 24 hours, {} of {} of this minute; spent: {}\n\
         records set aside: {}\n{runs}",
        count("connected"),
        count("reauth_required"),
        count("disconnected"),
        status.failing,
        quota.left_in_day,
        quota.calls_per_day,
        quota.left_in_minute,
        quota.calls_per_minute,
        spent.join(", "),
        status.rejected_records,
    )
}
