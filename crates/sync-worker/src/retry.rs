//! `sync-worker users retry`: the stored tokens of members in `reauth_required`, tried once more.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use whoop_core::{SystemClock, UserId};
use whoop_storage::{Database, StorageError, overview};
use whoop_sync::{Job, Settings, SyncError, tokens::retry::Retried};

use crate::{
    Console, Exit,
    cli::{RetryArgs, Status},
    exit::Refusal,
    migrate::database_refusal,
    operator::record_for,
    users::{nobody, open},
};

/// Maximum wait for one refresh: longer than it can take.
const WAIT_FOR_WHOOP: Duration = Duration::from_secs(5 * 60);

#[derive(Serialize)]
struct RetryReport {
    members: Vec<RetriedMember>,
    connected: usize,
    exit_code: u8,
}

#[derive(Serialize)]
struct RetriedMember {
    user_id: UserId,
    /// Absent if WHOOP could not be asked.
    outcome: Option<Retried>,
    error: Option<String>,
}

impl RetriedMember {
    fn text(&self) -> String {
        let what = match self.outcome {
            Some(Retried::Connected) => "connected again; WHOOP has renewed the tokens",
            Some(Retried::Refused) => "refused by WHOOP; the member has to connect again",
            Some(Retried::NoPair) => "no refresh token is stored; the member has to connect again",
            Some(Retried::NotNeeded) => "not in reauth_required; nothing was done",
            None => self.error.as_deref().unwrap_or("failed"),
        };
        format!("{}: {what}", self.user_id)
    }
}

pub(crate) async fn retry(
    args: &RetryArgs,
    console: &Console,
    stop: CancellationToken,
) -> Result<Exit, Refusal> {
    let refusal = |error: &StorageError| database_refusal(&args.common.database, error);
    let database = open(&args.common.database).await?;
    let detail = "tries the stored tokens once more";
    record_for(&database, "users-retry", &args.users, detail)
        .await
        .map_err(|error| refusal(&error))?;
    let users = if args.users.is_empty() {
        refused_members(&database)
            .await
            .map_err(|error| refusal(&error))?
    } else {
        args.users.clone()
    };
    let engine = args
        .whoop
        .engine(database, Arc::new(SystemClock), Settings::default())
        .map_err(|error| Refusal::could_not_run(error.to_string()))?;

    let mut job = Job::scheduled(None, stop);
    job.refresh_patience = WAIT_FOR_WHOOP;
    let mut members = Vec::with_capacity(users.len());
    for user_id in users {
        let retried = match engine.retry_connection(&user_id, &job).await {
            Ok(outcome) => Ok(outcome),
            Err(SyncError::NotConnected) => return Err(nobody(&user_id)),
            Err(SyncError::Storage(error)) if error.is_everybodys() => return Err(refusal(&error)),
            Err(error) => Err(error.in_full()),
        };
        let member = RetriedMember {
            user_id,
            outcome: retried.as_ref().ok().copied(),
            error: retried.err(),
        };
        if !args.common.json {
            console.say(member.text());
        }
        members.push(member);
    }
    engine.finish_refreshes(&job.stop).await;

    let has_failed = members.iter().any(|one| one.outcome.is_none());
    let exit = if has_failed {
        Exit::SomeFailed
    } else {
        Exit::Done
    };
    let is_connected = |one: &&RetriedMember| one.outcome == Some(Retried::Connected);
    let connected = members.iter().filter(is_connected).count();
    if args.common.json {
        console.json(&RetryReport {
            members,
            connected,
            exit_code: exit.code(),
        });
    } else {
        let tried = members.len();
        console.say(format_args!(
            "{connected} of {tried} member(s) connected again"
        ));
    }
    Ok(exit)
}

async fn refused_members(database: &Database) -> Result<Vec<UserId>, StorageError> {
    let status = Status::ReauthRequired.as_str();
    let members = overview::list(database, Some(status)).await?;
    let ids = members.iter().filter_map(|one| one.user_id.parse().ok());
    Ok(ids.collect())
}
