//! Processes the webhook events of one member. The announced data types are read as lists. Single
//! records are requested only if no list can answer the event.

use std::collections::HashMap;

use whoop_core::{DataType, UserId, coverage::last_reads, plan::ReadReason};
use whoop_storage::{
    event_record,
    table::{
        rejected_record,
        sync_log::{self, SyncLogRow},
        webhook_event::WebhookEventRow,
    },
};

use super::{
    disposition::{Disposition, blocks_all_events},
    drain::QuotaPause,
    event_fetcher::EventFetcher,
};
use crate::{
    SyncContext, SyncError, WebhookInbox, member_sync::SyncRequest, record_by_id::RecordAnswer,
};

/// An event that the list did not answer, so that its record has to be requested by id, with its
/// data type and the place for its disposition.
type UnansweredEvent<'a> = (DataType, &'a WebhookEventRow, &'a mut Disposition);

impl WebhookInbox {
    /// Evaluates webhook events for one member. Returns one disposition per event, in the same
    /// order.
    ///
    /// If `may_call` is false, WHOOP is not called. The member's webhook signals then stay open
    /// until the next app request, and only events whose changes were read in the meantime are
    /// done.
    pub(super) async fn evaluate_events(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        may_call: bool,
        events: &[WebhookEventRow],
        pause: &QuotaPause,
    ) -> Result<Vec<Disposition>, SyncError> {
        let mut dispositions = vec![Disposition::Waiting; events.len()];
        let mut log = self.load_sync_log(user_id).await?;
        let mut failures = HashMap::new();
        let is_announced = |data_type: &DataType| {
            events.iter().any(|one| one.data_type() == Some(*data_type))
                && granted_row(&log, *data_type).is_some_and(|row| row.signal_open)
        };
        let announced: Vec<_> = DataType::ALL.into_iter().filter(is_announced).collect();
        if may_call && !announced.is_empty() {
            failures = self
                .read_announced(user_id, context, &log, announced, pause)
                .await?;
            log = self.load_sync_log(user_id).await?;
        }
        let mut unanswered: Vec<UnansweredEvent<'_>> = Vec::new();
        for (event, disposition) in events.iter().zip(&mut dispositions) {
            let data_type = event.data_type();
            let Some((data_type, row)) =
                data_type.and_then(|one| Some((one, granted_row(&log, one)?)))
            else {
                // The member did not grant the data type. It cannot be read, and no record is
                // missing.
                *disposition = Disposition::Done;
                continue;
            };
            if let Some(error) = failures.get(&data_type) {
                *disposition = Disposition::after_error(event, error);
            } else if row.signal_open {
                // Nothing was read, or another event of the data type arrived during the read. The
                // event keeps waiting.
            } else if self.is_answered(user_id, event, data_type, row).await? {
                *disposition = Disposition::Done;
            } else {
                unanswered.push((data_type, event, disposition));
            }
        }
        if may_call && !unanswered.is_empty() {
            self.fetch_records(user_id, context, unanswered, pause)
                .await?;
        }
        Ok(dispositions)
    }

    async fn load_sync_log(&self, user_id: &UserId) -> Result<Vec<SyncLogRow>, SyncError> {
        let mut conn = self.database.get().await?;
        Ok(sync_log::list(&mut conn, user_id).await?)
    }

    /// Reads the lists of the announced data types. Returns the errors of the data types whose
    /// lists could not be read.
    async fn read_announced(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        log: &[SyncLogRow],
        data_types: Vec<DataType>,
        pause: &QuotaPause,
    ) -> Result<HashMap<DataType, SyncError>, SyncError> {
        let request = SyncRequest {
            slot: None,
            reason: ReadReason::Webhook,
            data_types,
            since: None,
            backfill: false,
        };
        let decided_on = last_reads(&sync_log::coverage_of(log));
        let synced = self
            .members
            .sync_unless_read(user_id, context, &request, &decided_on);
        let mut failures = HashMap::new();
        match synced.await {
            Ok(report) => {
                for one in report.types {
                    if let Some(error) = one.cause {
                        failures.insert(one.data_type, pause.note_refusal(error)?);
                    }
                }
            }
            Err(error) => drop(pause.note_refusal(error)?),
        }
        Ok(failures)
    }

    /// Whether the list that was read after an event answers the event, so that its record does not
    /// have to be requested by id.
    async fn is_answered(
        &self,
        user_id: &UserId,
        event: &WebhookEventRow,
        data_type: DataType,
        row: &SyncLogRow,
    ) -> Result<bool, SyncError> {
        let mut conn = self.database.get().await?;
        let id = event.record_id.as_str();
        let stored = event_record::find_by_event(&mut conn, user_id, data_type, id).await?;
        if event.is_deletion() && stored.is_empty() {
            let ids = [event.record_id.clone()];
            rejected_record::forget(&mut conn, user_id, data_type, &ids).await?;
        } else if data_type == DataType::Recovery && stored.is_empty() {
            // A night without a score has no recovery. WHOOP announces the recovery again when the
            // night has its score.
            let sleep =
                event_record::find_by_event(&mut conn, user_id, DataType::Sleep, id).await?;
            return Ok(sleep.iter().any(|one| one.is_open));
        }
        let was_shown = |from| stored.iter().all(|one| one.happened_at >= from);
        Ok(match stored.is_empty() {
            true => event.is_deletion(),
            false => !event.is_deletion() && row.last_sync_from.is_some_and(was_shown),
        })
    }

    /// Requests the records of events by their ids.
    ///
    /// These are deletions, and records that the list did not show because they are older than the
    /// list's window or because WHOOP does not have them yet.
    async fn fetch_records(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        mut unanswered: Vec<UnansweredEvent<'_>>,
        pause: &QuotaPause,
    ) -> Result<(), SyncError> {
        // Sleeps come first, because a recovery needs its sleep. A deletion comes before an update
        // of the same record: the record is requested only once, and only the deletion event counts
        // as a first denial.
        unanswered.sort_by_key(|(data_type, event, _)| {
            (
                *data_type != DataType::Sleep,
                !event.is_deletion(),
                event.id,
            )
        });
        let leased = match self.leases.lease_member(user_id, context).await {
            Ok(leased) => leased,
            Err(error) => return pause.note_refusal(error).map(drop),
        };
        let mut fetcher = EventFetcher::new(&self.reader, user_id, &leased.context);
        for (data_type, event, disposition) in unanswered {
            *disposition = match fetcher.fetch(event, data_type).await {
                Ok(RecordAnswer::Found | RecordAnswer::Gone) => Disposition::Done,
                Ok(RecordAnswer::DeniedOnce) => Disposition::after_denial(event),
                Err(error) => {
                    let error = pause.note_refusal(error)?;
                    if blocks_all_events(&error) {
                        break;
                    }
                    Disposition::after_error(event, &error)
                }
            };
        }
        self.leases.release_member(leased).await
    }
}

/// Returns the row of a data type in the sync log; `None` if there is no row or the member did not
/// grant the data type.
fn granted_row(log: &[SyncLogRow], data_type: DataType) -> Option<&SyncLogRow> {
    log.iter()
        .find(|row| row.is_of(data_type) && row.is_granted())
}
