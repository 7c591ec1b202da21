//! `sync-worker users retry`: tries the stored tokens of members in `reauth_required` once more.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use whoop_core::{SystemClock, UserId};
use whoop_storage::{Database, StorageError, overview};
use whoop_sync::{EngineSettings, SyncContext, SyncError, tokens::retry::RetryOutcome};

use crate::{
    Console, ExitStatus,
    cli::{MemberStatusArg, RetryMembersArgs},
    exit::CommandError,
    migrate::database_error,
    operator::record_action_for,
    users::{open_database, unknown_member},
};

/// Maximum wait for one refresh; a refresh always takes less.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(5 * 60);

#[derive(Serialize)]
struct RetryMembersResult {
    members: Vec<RetriedMember>,
    connected: usize,
    exit_code: u8,
}

#[derive(Serialize)]
struct RetriedMember {
    user_id: UserId,
    /// Absent if WHOOP could not be reached.
    outcome: Option<RetryOutcome>,
    error: Option<String>,
}

impl RetriedMember {
    fn text(&self) -> String {
        let result = match self.outcome {
            Some(RetryOutcome::Connected) => "connected again; WHOOP refreshed the tokens",
            Some(RetryOutcome::Refused) => "refused by WHOOP; the member has to connect again",
            Some(RetryOutcome::NoPair) => {
                "no refresh token is stored; the member has to connect again"
            }
            Some(RetryOutcome::NotNeeded) => "not in reauth_required; nothing was done",
            None => self.error.as_deref().unwrap_or("the retry failed"),
        };
        format!("{}: {result}", self.user_id)
    }
}

pub(crate) async fn retry(
    args: &RetryMembersArgs,
    console: &Console,
    stop: CancellationToken,
) -> Result<ExitStatus, CommandError> {
    let refusal = |error: &StorageError| database_error(&args.common.database, error);
    let database = open_database(&args.common.database).await?;
    let detail = "retry of the stored tokens";
    record_action_for(&database, "users-retry", &args.users, detail)
        .await
        .map_err(|error| refusal(&error))?;
    let users = if args.users.is_empty() {
        reauth_required_members(&database)
            .await
            .map_err(|error| refusal(&error))?
    } else {
        args.users.clone()
    };
    let engine = args
        .whoop
        .engine(database, Arc::new(SystemClock), EngineSettings::default())
        .map_err(|error| CommandError::could_not_run(error.to_string()))?;

    let mut context = SyncContext::scheduled(None, stop);
    context.refresh_timeout = REFRESH_TIMEOUT;
    let mut members = Vec::with_capacity(users.len());
    for user_id in users {
        let retried = match engine.refresher.retry_connection(&user_id, &context).await {
            Ok(outcome) => Ok(outcome),
            Err(SyncError::NotConnected) => return Err(unknown_member(&user_id)),
            Err(SyncError::Storage(error)) if error.is_database_wide() => {
                return Err(refusal(&error));
            }
            Err(error) => Err(error.error_chain()),
        };
        let member = RetriedMember {
            user_id,
            outcome: retried.as_ref().ok().copied(),
            error: retried.err(),
        };
        if !args.common.json {
            console.print(member.text());
        }
        members.push(member);
    }
    engine.refresher.finish_refreshes(&context.stop).await;

    let has_failed = members.iter().any(|one| one.outcome.is_none());
    let exit = if has_failed {
        ExitStatus::SomeFailed
    } else {
        ExitStatus::Done
    };
    let is_connected = |one: &&RetriedMember| one.outcome == Some(RetryOutcome::Connected);
    let connected = members.iter().filter(is_connected).count();
    if args.common.json {
        console.print_json(&RetryMembersResult {
            members,
            connected,
            exit_code: exit.code(),
        });
    } else {
        let tried = members.len();
        console.print(format_args!(
            "{connected} of {tried} member(s) connected again"
        ));
    }
    Ok(exit)
}

async fn reauth_required_members(database: &Database) -> Result<Vec<UserId>, StorageError> {
    let status = MemberStatusArg::ReauthRequired.as_str();
    let members = overview::list(database, Some(status)).await?;
    let ids = members.iter().filter_map(|one| one.user_id.parse().ok());
    Ok(ids.collect())
}
