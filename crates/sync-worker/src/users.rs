//! `sync-worker users`: lists, shows, disconnects and erases members.

use std::{
    io::{self, BufRead, IsTerminal},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;
use whoop_core::{SystemClock, UserId};
use whoop_storage::{
    Database,
    overview::{self, MemberSummary},
    table::{
        rejected_record,
        sync_log::{self, SyncLogRow},
        users::{self, UserRow},
    },
};
use whoop_sync::{EngineSettings, SyncError, config::DatabaseArgs};

use crate::{
    Console, ExitStatus,
    cli::{DisconnectMemberArgs, EraseMemberArgs, ListMembersArgs, ShowMemberArgs},
    exit::CommandError,
    migrate::database_error,
    operator::current_operator,
};

#[derive(Serialize)]
struct ListMembersResult {
    members: Vec<MemberSummary>,
    exit_code: u8,
}

#[derive(Serialize)]
struct ShowMemberResult<'a> {
    user_id: &'a str,
    whoop_user_id: i64,
    status: &'a str,
    detail: Option<&'a str>,
    connected_at: DateTime<Utc>,
    disconnected_at: Option<DateTime<Utc>>,
    last_seen_at: Option<DateTime<Utc>>,
    consent: Option<&'a str>,
    consented_at: Option<DateTime<Utc>>,
    timezone_offset: Option<&'a str>,
    rejected_records: i64,
    data_types: Vec<DataTypeEntry<'a>>,
    exit_code: u8,
}

#[derive(Serialize)]
struct DataTypeEntry<'a> {
    data_type: &'a str,
    sync_status: &'a str,
    last_sync_at: Option<DateTime<Utc>>,
    records_synced: i64,
    covered_from: Option<DateTime<Utc>>,
    covered_until: Option<DateTime<Utc>>,
    /// Older span behind a gap that the backfill has not read yet.
    earlier_from: Option<DateTime<Utc>>,
    earlier_until: Option<DateTime<Utc>>,
    whole_history: bool,
    last_error: Option<&'a str>,
}

#[derive(Serialize)]
struct DisconnectMemberResult<'a> {
    user_id: &'a str,
    revocation: whoop_sync::RevocationOutcome,
    erased: bool,
    receipt: Option<String>,
    deleted_rows: Option<i64>,
    exit_code: u8,
}

pub(crate) async fn open_database(args: &DatabaseArgs) -> Result<Database, CommandError> {
    let database = args
        .database()
        .map_err(|error| CommandError::could_not_run(error.to_string()))?;
    database
        .check()
        .await
        .map_err(|error| database_error(args, &error))?;
    Ok(database)
}

pub(crate) fn unknown_member(user_id: &UserId) -> CommandError {
    CommandError::could_not_run(format!(
        "there is no member {user_id}; `sync-worker users list` lists all members"
    ))
}

pub(crate) async fn list(
    args: &ListMembersArgs,
    console: &Console,
) -> Result<ExitStatus, CommandError> {
    let database = open_database(&args.common.database).await?;
    let status = args.status.map(crate::cli::MemberStatusArg::as_str);
    let members = overview::list(&database, status)
        .await
        .map_err(|error| database_error(&args.common.database, &error))?;
    if args.common.json {
        let exit_code = ExitStatus::Done.code();
        console.print_json(&ListMembersResult { members, exit_code });
        return Ok(ExitStatus::Done);
    }
    if members.is_empty() {
        console.print("no members");
        return Ok(ExitStatus::Done);
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header([
        "member",
        "status",
        "connected",
        "last seen",
        "synced",
        "written",
        "last error",
    ]);
    for one in &members {
        table.add_row([
            one.user_id.clone(),
            one.status.clone(),
            format_minute(Some(one.connected_at)),
            format_minute(one.last_seen_at),
            format_minute(one.last_sync_at),
            one.records_synced.to_string(),
            one.last_error.clone().unwrap_or_default(),
        ]);
    }
    console.print(format_args!("{table}\n{} member(s)", members.len()));
    Ok(ExitStatus::Done)
}

pub(crate) async fn show(
    args: &ShowMemberArgs,
    console: &Console,
) -> Result<ExitStatus, CommandError> {
    let database = open_database(&args.common.database).await?;
    let read = async {
        let mut conn = database.get().await?;
        let Some(member) = users::find(&mut conn, &args.user).await? else {
            return Ok(None);
        };
        let log = sync_log::list(&mut conn, &args.user).await?;
        let rejected = rejected_record::count(&mut conn, &args.user).await?;
        Ok(Some((member, log, rejected)))
    };
    let (member, log, rejected) = read
        .await
        .map_err(|error| database_error(&args.common.database, &error))?
        .ok_or_else(|| unknown_member(&args.user))?;
    let shown = member_result(&member, &log, rejected);
    if args.common.json {
        console.print_json(&shown);
    } else {
        console.print(text(&shown));
    }
    Ok(ExitStatus::Done)
}

fn member_result<'a>(
    member: &'a UserRow,
    log: &'a [SyncLogRow],
    rejected_records: i64,
) -> ShowMemberResult<'a> {
    ShowMemberResult {
        user_id: &member.user_id,
        whoop_user_id: member.whoop_user_id,
        status: &member.status,
        detail: member.status_detail.as_deref(),
        connected_at: member.connected_at,
        disconnected_at: member.disconnected_at,
        last_seen_at: member.last_seen_at,
        consent: member.consent.as_deref(),
        consented_at: member.consented_at,
        timezone_offset: member.timezone_offset.as_deref(),
        rejected_records,
        data_types: log
            .iter()
            .map(|row| DataTypeEntry {
                data_type: &row.data_type,
                sync_status: &row.sync_status,
                last_sync_at: row.last_sync_at,
                records_synced: row.records_synced,
                covered_from: row.covered_from,
                covered_until: row.covered_until,
                earlier_from: row.earlier_from,
                earlier_until: row.earlier_until,
                whole_history: row.whole_history,
                last_error: row.last_error.as_deref(),
            })
            .collect(),
        exit_code: ExitStatus::Done.code(),
    }
}

fn text(shown: &ShowMemberResult<'_>) -> String {
    let mut lines = vec![
        format!(
            "member      {} (WHOOP {})",
            shown.user_id, shown.whoop_user_id
        ),
        format!(
            "connection  {}, since {}",
            shown.status,
            format_minute(Some(shown.connected_at))
        ),
    ];
    lines.extend(shown.detail.map(|detail| format!("            {detail}")));
    lines.push(format!(
        "consent     {}",
        shown.consent.map_or_else(
            || "none recorded".to_owned(),
            |consent| format!("{consent:?}, {}", format_minute(shown.consented_at))
        )
    ));
    lines.push(format!("last seen   {}", format_minute(shown.last_seen_at)));
    lines.push(format!("set aside   {} record(s)", shown.rejected_records));
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header([
        "type",
        "status",
        "synced",
        "written",
        "covered from",
        "until",
        "last error",
    ]);
    for one in &shown.data_types {
        let from = format_minute(one.covered_from);
        table.add_row([
            one.data_type.to_owned(),
            one.sync_status.to_owned(),
            format_minute(one.last_sync_at),
            one.records_synced.to_string(),
            match one.earlier_until {
                _ if one.whole_history => format!("{from} (all)"),
                Some(_) => format!("{from} (gap since {})", format_minute(one.earlier_until)),
                None => from,
            },
            format_minute(one.covered_until),
            one.last_error.unwrap_or_default().to_owned(),
        ]);
    }
    format!("{}\n{table}", lines.join("\n"))
}

/// `sync-worker users erase`: disconnects the member and deletes all their data, after a
/// confirmation.
pub(crate) async fn erase(
    args: &EraseMemberArgs,
    console: &Console,
) -> Result<ExitStatus, CommandError> {
    if !args.yes {
        confirm_erase(&args.disconnect.user, console)?;
    }
    disconnect(&args.disconnect, true, console).await
}

pub(crate) async fn disconnect(
    args: &DisconnectMemberArgs,
    erase: bool,
    console: &Console,
) -> Result<ExitStatus, CommandError> {
    let database = open_database(&args.common.database).await?;
    let engine = args
        .whoop
        .engine(database, Arc::new(SystemClock), EngineSettings::default())
        .map_err(|error| CommandError::could_not_run(error.to_string()))?;
    let disconnected = engine
        .connections
        .disconnect(&args.user, erase, &current_operator())
        .await
        .map_err(|error| match error {
            SyncError::NotConnected => unknown_member(&args.user),
            SyncError::Storage(error) => database_error(&args.common.database, &error),
            other => CommandError::could_not_run(other.error_chain()),
        })?;
    let result = DisconnectMemberResult {
        user_id: args.user.as_str(),
        revocation: disconnected.revocation,
        erased: disconnected.is_erased(),
        receipt: disconnected.receipt.map(|receipt| receipt.id.to_string()),
        deleted_rows: disconnected.receipt.map(|receipt| receipt.deleted_rows),
        exit_code: ExitStatus::Done.code(),
    };
    if args.common.json {
        console.print_json(&result);
        return Ok(ExitStatus::Done);
    }
    use whoop_sync::RevocationOutcome;
    console.print(format_args!(
        "{} is disconnected; {}",
        result.user_id,
        match disconnected.revocation {
            RevocationOutcome::Done => "WHOOP has revoked the permission",
            RevocationOutcome::Pending =>
                "WHOOP did not answer; the API and the runs repeat the revocation",
            RevocationOutcome::NotNeeded => "there was no permission to revoke",
            RevocationOutcome::InUse =>
                "another member uses the same WHOOP account, so its permission is kept",
            RevocationOutcome::NotPossible =>
                "the stored tokens no longer work, so only the member can end the permission, in \
                 WHOOP's app",
        }
    ));
    if let (Some(receipt), Some(rows)) = (&result.receipt, result.deleted_rows) {
        console.print(format_args!("{rows} row(s) deleted, receipt {receipt}"));
    }
    Ok(ExitStatus::Done)
}

/// Asks the operator to type the member's id, because an erasure cannot be undone.
fn confirm_erase(user_id: &UserId, console: &Console) -> Result<(), CommandError> {
    if !console.is_terminal() || !io::stdin().is_terminal() {
        return Err(CommandError::wrong_usage(format!(
            "this command cannot ask for confirmation without a terminal; add --yes to erase \
             {user_id}"
        )));
    }
    console.print_to_stderr(format_args!(
        "All stored data of {user_id} will be deleted. Type the id to continue:"
    ));
    let mut typed = String::new();
    // Input that cannot be read does not confirm.
    let read = io::stdin().lock().read_line(&mut typed).is_ok();
    if read && typed.trim() == user_id.as_str() {
        Ok(())
    } else {
        Err(CommandError::could_not_run(
            "not confirmed; nothing was deleted".to_owned(),
        ))
    }
}

fn format_minute(instant: Option<DateTime<Utc>>) -> String {
    instant.map_or_else(
        || "never".to_owned(),
        |instant| instant.format("%Y-%m-%d %H:%MZ").to_string(),
    )
}
