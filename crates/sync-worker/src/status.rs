//! `sync-worker status`: the whole service on one page.

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;
use whoop_core::{Clock, SystemClock};
use whoop_sync::overview::{self, Overview};

use crate::{
    Console, ExitStatus, cli::StatusArgs, exit::CommandError, migrate::database_error,
    users::open_database,
};

#[derive(Serialize)]
struct StatusResult {
    #[serde(flatten)]
    overview: Overview,
    exit_code: u8,
}

pub(crate) async fn status(
    args: &StatusArgs,
    console: &Console,
) -> Result<ExitStatus, CommandError> {
    let database = open_database(&args.common.database).await?;
    let overview = overview::read_overview(&database, args.limits.limits(), SystemClock.now())
        .await
        .map_err(|error| database_error(&args.common.database, &error))?;
    if args.common.json {
        console.print_json(&StatusResult {
            overview,
            exit_code: ExitStatus::Done.code(),
        });
    } else {
        console.print(text(&overview));
    }
    Ok(ExitStatus::Done)
}

fn text(status: &Overview) -> String {
    let count = |name: &str| status.members.get(name).copied().unwrap_or(0);
    let quota = &status.quota;
    let used: Vec<String> = quota
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
        "result",
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
         quota: {} of {} calls remain in the day window, {} of {} in the minute window; used: {}\n\
         records set aside: {}\n{runs}",
        count("connected"),
        count("reauth_required"),
        count("disconnected"),
        status.failing,
        quota.left_in_day,
        quota.calls_per_day,
        quota.left_in_minute,
        quota.calls_per_minute,
        used.join(", "),
        status.rejected_records,
    )
}
