//! `sync-worker webhooks`: the inbox and its dead letters.

use std::{collections::BTreeMap, sync::Arc};

use chrono::Local;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use whoop_core::{Clock, SystemClock};
use whoop_storage::{
    Database, StorageError,
    table::{
        audit,
        webhook_event::{self, WebhookEventFilter, WebhookEventRow, WebhookEventState},
    },
};
use whoop_sync::{EngineSettings, SyncContext, SyncError, inbox::DrainReport};

use crate::{
    Console, ExitStatus,
    cli::{DrainWebhooksArgs, EventFilterArgs, EventStateArg, ListEventsArgs, ReplayWebhooksArgs},
    exit::CommandError,
    migrate::database_error,
    operator::current_operator,
    time_arg::TimeArg,
    users::open_database,
};

#[derive(Serialize)]
struct ListEventsResult {
    /// Number of all events, per state.
    counts: BTreeMap<String, i64>,
    /// Latest first.
    events: Vec<WebhookEventRow>,
    exit_code: u8,
}

#[derive(Serialize)]
struct DrainResult {
    #[serde(flatten)]
    report: DrainReport,
    exit_code: u8,
}

#[derive(Serialize)]
struct ReplayResult {
    replayed: u64,
    exit_code: u8,
}

impl EventStateArg {
    const fn to_state(self) -> WebhookEventState {
        match self {
            Self::Pending => WebhookEventState::Pending,
            Self::Done => WebhookEventState::Done,
            Self::Dead => WebhookEventState::Dead,
            Self::UnknownType => WebhookEventState::UnknownType,
            Self::UnknownMember => WebhookEventState::UnknownMember,
        }
    }
}

/// Converts the command line's filter.
fn event_filter(
    args: &EventFilterArgs,
    states: &[EventStateArg],
) -> Result<WebhookEventFilter, CommandError> {
    let now = SystemClock.now();
    let today = now.with_timezone(&Local).date_naive();
    let since = args
        .since
        .map(|since| since.start(now, today))
        .transpose()
        .map_err(|error| CommandError::wrong_usage(format!("--since: {error}")))?;
    let until = args.until.map(TimeArg::end);
    if since.zip(until).is_some_and(|(since, until)| since > until) {
        return Err(CommandError::wrong_usage(
            "--since is later than --until; give the earlier of the two as --since".to_owned(),
        ));
    }
    Ok(WebhookEventFilter {
        ids: args.ids.clone(),
        states: states.iter().map(|one| one.to_state()).collect(),
        user_id: args.user.clone(),
        since,
        until,
    })
}

pub(crate) async fn list(
    args: &ListEventsArgs,
    console: &Console,
) -> Result<ExitStatus, CommandError> {
    let filter = event_filter(&args.filter, &args.states)?;
    let database = open_database(&args.common.database).await?;
    let (counts, events) = read_events(&database, &filter, args.limit)
        .await
        .map_err(|error| database_error(&args.common.database, &error))?;
    let exit_code = ExitStatus::Done.code();
    let listed = ListEventsResult {
        counts,
        events,
        exit_code,
    };
    if args.common.json {
        console.print_json(&listed);
    } else {
        console.print(text(&listed));
    }
    Ok(ExitStatus::Done)
}

async fn read_events(
    database: &Database,
    filter: &WebhookEventFilter,
    limit: u32,
) -> Result<(BTreeMap<String, i64>, Vec<WebhookEventRow>), StorageError> {
    let mut conn = database.get().await?;
    let counts = webhook_event::count_by_state(&mut conn).await?;
    let events = webhook_event::list(&mut conn, filter, limit.into()).await?;
    let counts = counts.into_iter().map(|one| (one.state, one.events));
    Ok((counts.collect(), events))
}

fn text(listed: &ListEventsResult) -> String {
    if listed.counts.is_empty() {
        return "no webhook received yet; the README describes how to register one at WHOOP"
            .to_owned();
    }
    let counts: Vec<String> = listed
        .counts
        .iter()
        .map(|(state, events)| format!("{events} {state}"))
        .collect();
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header([
        "id",
        "received (UTC)",
        "type",
        "record",
        "WHOOP user",
        "state",
        "attempts",
        "last error",
    ]);
    for one in &listed.events {
        let times = match one.times_received {
            1 => String::new(),
            times => format!(" ×{times}"),
        };
        table.add_row([
            one.id.to_string(),
            format!("{}{times}", one.received_at.format("%Y-%m-%d %H:%M:%S")),
            one.event_type.clone(),
            one.record_id.clone(),
            one.whoop_user_id.to_string(),
            one.state.clone(),
            one.attempts.to_string(),
            one.last_error.clone().unwrap_or_default(),
        ]);
    }
    let counts = counts.join(", ");
    match listed.events.is_empty() {
        true => format!("no event matches the filters (in total: {counts})"),
        false => format!("{counts}\n{table}"),
    }
}

pub(crate) async fn drain(
    args: &DrainWebhooksArgs,
    console: &Console,
    stop: CancellationToken,
) -> Result<ExitStatus, CommandError> {
    let database = open_database(&args.common.database).await?;
    let engine = args
        .whoop
        .engine(database, Arc::new(SystemClock), EngineSettings::default())
        .map_err(|error| CommandError::could_not_run(error.to_string()))?;
    let context = SyncContext::webhook(stop.clone());
    let report = engine.inbox.drain_webhooks(&context, false).await;
    engine.refresher.finish_refreshes(&context.stop).await;
    let report = report.map_err(|error| match &error {
        SyncError::Storage(storage) => database_error(&args.common.database, storage),
        other => CommandError::could_not_run(other.error_chain()),
    })?;
    let exit = if report.dead > 0 {
        ExitStatus::SomeFailed
    } else if report.put_off > 0 || stop.is_cancelled() {
        ExitStatus::Deferred
    } else {
        ExitStatus::Done
    };
    if args.common.json {
        console.print_json(&DrainResult {
            report,
            exit_code: exit.code(),
        });
    } else {
        let DrainReport {
            done,
            put_off,
            dead,
            unknown_member,
            calls,
            ..
        } = report;
        console.print(format!(
            "{done} event(s) processed with {calls} call(s) to WHOOP; {put_off} deferred, {dead} \
             dead, {unknown_member} of WHOOP users who are not connected"
        ));
        if put_off + dead > 0 {
            console.print("`sync-worker webhooks list --state pending,dead` shows the reasons");
        }
    }
    Ok(exit)
}

pub(crate) async fn replay(
    args: &ReplayWebhooksArgs,
    console: &Console,
) -> Result<ExitStatus, CommandError> {
    let filter_args = &args.filter;
    let is_unfiltered = filter_args.ids.is_empty()
        && filter_args.user.is_none()
        && filter_args.since.is_none()
        && filter_args.until.is_none()
        && args.states.is_empty();
    if is_unfiltered {
        return Err(CommandError::wrong_usage(
            "name the events to replay with --id, --user, --since, --until or --state; for all \
             dead events: --state dead"
                .to_owned(),
        ));
    }
    let filter = event_filter(filter_args, &args.states)?;
    let database = open_database(&args.common.database).await?;
    let refused = |error: StorageError| database_error(&args.common.database, &error);
    let replayed = async {
        let mut transaction = database.begin().await?;
        let now = SystemClock.now();
        let replayed = webhook_event::replay(&mut transaction, &filter, now).await?;
        let entry = current_operator().entry("webhooks-replay", now);
        let entry = match &filter_args.user {
            Some(user_id) => entry.about(user_id.as_str()),
            None => entry,
        };
        let entry = entry.with_detail(&format!("{replayed} events"));
        audit::insert(&mut transaction, &[entry]).await?;
        transaction.commit().await?;
        Ok(replayed)
    };
    let replayed = replayed.await.map_err(refused)?;
    if args.common.json {
        console.print_json(&ReplayResult {
            replayed,
            exit_code: ExitStatus::Done.code(),
        });
    } else {
        console.print(format!(
            "{replayed} event(s) will be processed again: by the API within seconds, or by \
             `sync-worker webhooks drain`"
        ));
    }
    Ok(ExitStatus::Done)
}
