//! `sync-worker audit`: the audit trail.

use chrono::Local;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use serde::Serialize;
use whoop_core::{Clock, SystemClock};
use whoop_storage::table::audit::{self, AuditFilter, AuditRow};

use crate::{
    Console, ExitStatus, cli::ListAuditArgs, exit::CommandError, migrate::database_error,
    users::open_database,
};

#[derive(Serialize)]
struct ListAuditResult {
    /// Newest first.
    entries: Vec<AuditRow>,
    exit_code: u8,
}

/// `sync-worker audit`.
pub(crate) async fn list(
    args: &ListAuditArgs,
    console: &Console,
) -> Result<ExitStatus, CommandError> {
    let filter = audit_filter(args)?;
    let database = open_database(&args.common.database).await?;
    let entries = async {
        let mut conn = database.get().await?;
        audit::list(&mut conn, &filter, i64::from(args.limit)).await
    };
    let entries = entries
        .await
        .map_err(|error| database_error(&args.common.database, &error))?;
    if args.common.json {
        console.print_json(&ListAuditResult {
            entries,
            exit_code: ExitStatus::Done.code(),
        });
        return Ok(ExitStatus::Done);
    }
    if entries.is_empty() {
        console.print("no matching rows");
        return Ok(ExitStatus::Done);
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header([
        "at (UTC)", "caller", "action", "member", "request", "detail",
    ]);
    for one in entries {
        table.add_row([
            one.at.format("%Y-%m-%d %H:%M:%S").to_string(),
            one.caller,
            one.action,
            one.user_id.unwrap_or_default(),
            one.request_id.unwrap_or_default(),
            one.detail.unwrap_or_default(),
        ]);
    }
    console.print(table);
    Ok(ExitStatus::Done)
}

fn audit_filter(args: &ListAuditArgs) -> Result<AuditFilter, CommandError> {
    let now = SystemClock.now();
    let since = args
        .since
        .map(|since| since.start(now, now.with_timezone(&Local).date_naive()))
        .transpose()
        .map_err(|_| {
            CommandError::wrong_usage(
                "--since is in the future; use a past date or instant, such as 2026-01-31"
                    .to_owned(),
            )
        })?;
    let mut user_ids = Vec::new();
    if let Some(user) = &args.user {
        user_ids.push(user.to_string());
        if args.keys.token_keys.is_some() {
            let keys = args
                .keys
                .keys()
                .map_err(|error| CommandError::could_not_run(error.to_string()))?;
            user_ids.extend(keys.audit_pseudonyms(user.as_str()));
        } else {
            tracing::warn!("TOKEN_KEYS is not set; rows of an erased member are not found");
        }
    }
    Ok(AuditFilter {
        user_ids,
        since,
        caller: args.caller.clone(),
    })
}
