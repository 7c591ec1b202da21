//! Drains the webhook inbox: processes its events, grouped by WHOOP account.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use futures::{StreamExt, stream};
use whoop_core::{
    UserId,
    day::ConnectionStatus,
    plan::webhook_signals::{APP_IN_USE_WITHIN, waits_for_app_request},
};
use whoop_storage::{
    StorageError,
    table::{
        users,
        webhook_event::{self, DueAccounts, WebhookEventRow, WebhookEventState},
        webhook_signal,
    },
};

use super::disposition::Disposition;
use crate::{SyncContext, SyncError, WebhookInbox};

/// Maximum number of WHOOP accounts whose events are processed concurrently.
const MAX_CONCURRENT_ACCOUNTS: usize = 4;

/// Maximum number of WHOOP accounts that one query returns.
const ACCOUNTS_PER_QUERY: i64 = 64;

/// Maximum pause of the drain after the quota refused a call. It is limited because the quota may
/// allow calls earlier than announced.
const MAX_PAUSE: Duration = Duration::from_secs(15 * 60);

/// Result of draining the webhook inbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct DrainReport {
    pub done: u64,
    /// Number of events that are still pending after the drain.
    pub put_off: u64,
    /// Number of events that became dead letters.
    pub dead: u64,
    /// Number of events of WHOOP accounts that have no member, or only disconnected members.
    pub unknown_member: u64,
    /// Number of calls that the drain sent to WHOOP.
    pub calls: u64,
    /// Time until the quota allows the next call; `None` if the quota refused no call.
    #[serde(skip)]
    pub paused_for: Option<Duration>,
}

/// Time until the quota allows the next call, set by the first refusal of the quota. After that
/// refusal, the drain processes no further members.
#[derive(Debug, Default)]
pub(super) struct QuotaPause(OnceLock<Duration>);

impl QuotaPause {
    /// Stores the time until the next call if the quota caused the error. Returns the error
    /// unchanged.
    ///
    /// # Errors
    ///
    /// The same error, if it means that the database can serve no member at the moment. An error
    /// that concerns the rows of one member, such as tokens that are sealed with a lost key, does
    /// not end the drain: only the events of that member fail.
    pub(super) fn note_refusal(&self, error: SyncError) -> Result<SyncError, SyncError> {
        match &error {
            SyncError::Storage(
                StorageError::Unavailable(_)
                | StorageError::DiskFull(_)
                | StorageError::NotMigrated(_)
                | StorageError::NotAllowed(_)
                | StorageError::TransactionPooler(_),
            ) => return Err(error),
            SyncError::Storage(storage) if storage.is_transient() => return Err(error),
            _ => {}
        }
        if let Some(wait) = error.quota_wait() {
            // Only the first refusal is stored; later refusals are ignored.
            self.0.set(wait.min(MAX_PAUSE)).ok();
        }
        Ok(error)
    }
}

impl WebhookInbox {
    /// Reads the changes that WHOOP announced, and ends the events whose changes were read.
    ///
    /// Members who are using the app come first. If `conserve_quota` is true, only these members
    /// are read while calls are scarce. The webhook signals of the other members remain open until
    /// an app request or a run reads the data type.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable. Unfinished events remain pending.
    pub async fn drain_webhooks(
        &self,
        context: &SyncContext,
        conserve_quota: bool,
    ) -> Result<DrainReport, SyncError> {
        let mut report = DrainReport::default();
        let pause = &QuotaPause::default();
        let can_continue = || {
            pause.0.get().is_none()
                && !context.stop.is_cancelled()
                && context.check_calls_left().is_ok()
        };
        {
            let mut conn = self.database.get().await?;
            let now = self.clock.now();
            report.unknown_member = webhook_event::finish_unknown(&mut conn, now).await?;
        }
        // One drain processes each account only once, so that a failed event is not retried
        // immediately.
        let mut drained: Vec<i64> = Vec::new();
        while can_continue() {
            let is_scarce = conserve_quota && self.quota.pool.is_scarce().await?;
            let accounts = {
                let mut conn = self.database.get().await?;
                let now = self.clock.now();
                let due = DueAccounts {
                    now,
                    seen_since: now - APP_IN_USE_WITHIN,
                    only_seen: is_scarce,
                    except: &drained,
                };
                webhook_event::due_accounts(&mut conn, due, ACCOUNTS_PER_QUERY).await?
            };
            if accounts.is_empty() {
                break;
            }
            drained.extend(&accounts);
            // All accounts are processed to their end, so that the failure of one account does not
            // cancel the others.
            let reports: Vec<Result<DrainReport, SyncError>> = stream::iter(accounts)
                .map(|account| async move {
                    match can_continue() {
                        true => self.drain_account(account, context, is_scarce, pause).await,
                        false => Ok(DrainReport::default()),
                    }
                })
                .buffer_unordered(MAX_CONCURRENT_ACCOUNTS)
                .collect()
                .await;
            for one in reports {
                let one = one?;
                report.done += one.done;
                report.dead += one.dead;
            }
        }
        let mut conn = self.database.get().await?;
        report.put_off = webhook_event::count_pending(&mut conn).await?;
        report.calls = context.calls();
        report.paused_for = pause.0.get().copied();
        Ok(report)
    }

    /// Processes the due events of one WHOOP account. Several members may have the account, and
    /// each of them is read.
    async fn drain_account(
        &self,
        account: i64,
        context: &SyncContext,
        is_scarce: bool,
        pause: &QuotaPause,
    ) -> Result<DrainReport, SyncError> {
        let now = self.clock.now();
        let (members, events) = {
            let mut conn = self.database.get().await?;
            webhook_signal::open_missing(&mut conn, account).await?;
            let members = users::of_account(&mut conn, account).await?;
            (
                members,
                webhook_event::list_due(&mut conn, account, now).await?,
            )
        };
        let mut dispositions = vec![Disposition::Done; events.len()];
        for member in members {
            let user_id = member.user_id.parse::<UserId>();
            if let (ConnectionStatus::Connected, Ok(user_id)) = (member.connection(), user_id) {
                let may_call = !waits_for_app_request(is_scarce, member.last_seen_at, now);
                let member_dispositions = self
                    .evaluate_events(&user_id, context, may_call, &events, pause)
                    .await?;
                dispositions = dispositions
                    .into_iter()
                    .zip(member_dispositions)
                    .map(|(a, b)| a.max(b))
                    .collect();
            }
        }
        self.apply_dispositions(&events, dispositions).await
    }

    async fn apply_dispositions(
        &self,
        events: &[WebhookEventRow],
        dispositions: Vec<Disposition>,
    ) -> Result<DrainReport, SyncError> {
        let mut ids_by_disposition: BTreeMap<Disposition, Vec<i64>> = BTreeMap::new();
        for (event, disposition) in events.iter().zip(dispositions) {
            ids_by_disposition
                .entry(disposition)
                .or_default()
                .push(event.id);
        }
        let now = self.clock.now();
        let mut report = DrainReport::default();
        let mut conn = self.database.get().await?;
        for (disposition, ids) in ids_by_disposition {
            match disposition {
                Disposition::Waiting => {}
                Disposition::Done => {
                    report.done += ids.len() as u64;
                    webhook_event::finish(&mut conn, &ids, WebhookEventState::Done, None, now)
                        .await?;
                }
                Disposition::Dead { reason } => {
                    report.dead += ids.len() as u64;
                    webhook_event::finish(
                        &mut conn,
                        &ids,
                        WebhookEventState::Dead,
                        Some(&reason),
                        now,
                    )
                    .await?;
                    tracing::warn!(
                        events = ?ids, error = reason,
                        "webhook events became dead letters; `sync-worker webhooks replay` retries \
                         them"
                    );
                }
                Disposition::Retry { after, reason } => {
                    webhook_event::retry(&mut conn, &ids, now + after, &reason).await?;
                }
            }
        }
        Ok(report)
    }
}
