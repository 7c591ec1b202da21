//! Drains the webhook inbox, account by account.

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
        webhook_event::{self, WebhookEventRow, WebhookEventState},
        webhook_signal,
    },
};

use super::disposition::Disposition;
use crate::{SyncContext, SyncError, WebhookInbox};

/// Maximum number of accounts that are drained concurrently.
const MAX_CONCURRENT_ACCOUNTS: usize = 4;

/// Maximum number of accounts per query.
const ACCOUNTS_PER_QUERY: i64 = 64;

/// Maximum pause after the quota refused a call. The quota may allow calls earlier than it
/// announced.
const MAX_PAUSE: Duration = Duration::from_secs(15 * 60);

/// The result of a drain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct DrainReport {
    pub done: u64,
    /// Events that are still pending.
    pub put_off: u64,
    /// Events that became dead letters.
    pub dead: u64,
    /// Events of accounts without a connected member.
    pub unknown_member: u64,
    /// Calls that were sent to WHOOP.
    pub calls: u64,
    /// Time until the quota allows the next call, if it refused one.
    #[serde(skip)]
    pub paused_for: Option<Duration>,
}

/// The time until the quota allows the next call. After the first refusal no other member is
/// drained.
#[derive(Debug, Default)]
pub(super) struct QuotaPause(OnceLock<Duration>);

impl QuotaPause {
    /// Notes a refusal by the quota, and returns the error unchanged.
    ///
    /// # Errors
    ///
    /// The database can serve no member at the moment. An error about one member's rows, such as
    /// tokens sealed with a lost key, is a failure of that member's events.
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
            // The first refusal counts, and later ones are ignored.
            self.0.set(wait.min(MAX_PAUSE)).ok();
        }
        Ok(error)
    }
}

impl WebhookInbox {
    /// Reads the changes that WHOOP announced, and ends the events that a read has answered.
    /// Members who are using the app are first. With `conserve_quota`, only they are read while
    /// calls are scarce; the signals of the other members remain open until an app request or a run
    /// reads the data type.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable; unfinished events remain pending.
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
        // Each account is drained once, so that a failed event is not retried immediately.
        let mut drained: Vec<i64> = Vec::new();
        while can_continue() {
            let is_scarce = conserve_quota && self.quota.pool.is_scarce().await?;
            let accounts = {
                let mut conn = self.database.get().await?;
                let (now, seen_since) = (self.clock.now(), self.clock.now() - APP_IN_USE_WITHIN);
                webhook_event::due_accounts(
                    &mut conn,
                    now,
                    seen_since,
                    is_scarce,
                    &drained,
                    ACCOUNTS_PER_QUERY,
                )
                .await?
            };
            if accounts.is_empty() {
                break;
            }
            drained.extend(&accounts);
            // All accounts are drained to their end, so that one failure does not cancel the
            // others.
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

    /// Drains one WHOOP account. Several members may have it, and each of them is read.
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
