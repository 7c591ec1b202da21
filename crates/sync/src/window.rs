//! Reads one window of one data type: reads WHOOP's pages, stores the records, and then updates the
//! sync log.

use crate::record_counters::RecordCounters;
use chrono::{DateTime, Utc};
use std::sync::Arc;
use whoop_client::{ListPage, ListedRecord, PageWalker};
use whoop_core::Clock;
use whoop_core::{
    UserId,
    coverage::WindowRead,
    plan::{ReadWindow, webhook_signals::MAX_WEBHOOK_DELAY},
    record::Record,
    retention::RetentionStart,
};
use whoop_storage::Database;
use whoop_storage::{
    page::StoreCounts,
    table::{RecordTable, sync_log},
};

use crate::{
    MemberCalls, RecordRetention, SyncContext, SyncError, comparison::TypeComparison,
    deletions::UnlistedRecords,
};

/// Progress of a read. It is valid even if the read ends in an error, because each page is stored
/// when it arrives.
#[derive(Debug, Default)]
pub(crate) struct ReadProgress {
    pub(crate) stored: StoreCounts,
    pub(crate) pages: u64,
    /// Whether the window ends at the present, so that the read makes its data type fresh.
    pub(crate) up_to_now: bool,
    /// Whether WHOOP answered 404 instead of a list.
    pub(crate) not_found: bool,
    /// Comparison with the stored records; `None` if the read is not a reconciliation.
    pub(crate) comparison: Option<TypeComparison>,
    /// Time of the latest webhook about the data type when the read began; `None` if there was
    /// none.
    pub(crate) signal_at: Option<DateTime<Utc>>,
    /// Time span of the last window that was read to its end; `None` if there is none.
    pub(crate) complete_span: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Whether WHOOP's list contained nothing older than the records of the last window.
    pub(crate) list_ended: bool,
}

impl ReadProgress {
    /// Whether the read is a dry run, so that nothing that was read is stored.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.comparison.as_ref().is_some_and(|one| one.dry_run)
    }
}

/// Reads pages and single records from WHOOP, and stores them.
#[derive(Debug, Clone)]
pub struct RecordReader {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) calls: Arc<MemberCalls>,
    pub(crate) retention: Arc<RecordRetention>,
    pub(crate) record_counters: Arc<RecordCounters>,
}

impl RecordReader {
    /// Reads a window of one data type page by page. Stores each page in a transaction of its own.
    ///
    /// The transaction of the last page also updates the sync log, unless WHOOP's list ended
    /// although older records are stored.
    pub(crate) async fn read_window<R: RecordTable + ListedRecord>(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        window: ReadWindow,
        read: &mut ReadProgress,
    ) -> Result<(), SyncError> {
        let kept_from = self.retention.member_kept_from(user_id).await?;
        let mut walker = PageWalker::new(window);
        let began_at = self.clock.now();
        let mut unlisted = UnlistedRecords::default();
        let mut latest_change = None;
        let mut before = None;
        while let Some(query) = walker.query().cloned() {
            let mut page = self
                .calls
                .call_whoop(user_id, context, R::SCOPE, |whoop, token| {
                    let query = query.clone();
                    async move { whoop.fetch_page::<R>(&token, &query).await }
                })
                .await?;
            read.pages += 1;
            read.not_found |= page.not_found;
            let accepted = walker.accept(&page);
            warn_about_rejected(user_id, &page);
            // Records that are older than the retention period were deleted, and are not stored
            // again.
            page.records
                .retain(|record| is_within_retention(record, kept_from));
            let updated_at = page.records.iter().map(Record::updated_at);
            let announced = updated_at.filter(|at| *at < began_at - MAX_WEBHOOK_DELAY);
            latest_change = latest_change.max(announced.max());

            let mut transaction = self.database.begin().await?;
            let now = self.clock.now();
            let stored = read
                .store_records(
                    &mut transaction,
                    user_id,
                    &page.records,
                    &page.rejected,
                    now,
                )
                .await?;
            let written = stored.written();
            let is_last = accepted.is_ok() && walker.query().is_none();
            if is_last {
                unlisted = UnlistedRecords::find::<R>(
                    &mut transaction,
                    user_id,
                    window,
                    &walker,
                    began_at,
                )
                .await?;
            }
            if read.is_dry_run() {
                transaction.rollback().await?;
            } else {
                if is_last && !unlisted.ended_early {
                    let completed = sync_log::CompletedWindow {
                        read: WindowRead {
                            until: window.end,
                            // The time before the start of the retention period does not count as
                            // covered.
                            oldest: walker.oldest().map(|oldest| match kept_from {
                                Some(kept) => oldest.max(kept.instant),
                                None => oldest,
                            }),
                            list_ended: walker.list_ended(),
                            read_at: now,
                        },
                        up_to_now: read.up_to_now,
                        signal_at: read.signal_at,
                        rejected: read.stored.rejected,
                        written,
                    };
                    before = sync_log::complete(&mut transaction, user_id, R::DATA_TYPE, completed)
                        .await?;
                } else {
                    sync_log::add_written(&mut transaction, user_id, R::DATA_TYPE, written).await?;
                }
                transaction.commit().await?;
                self.record_counters.add(R::DATA_TYPE, &stored);
            }
            accepted.map_err(|cause| SyncError::BrokenList {
                data_type: R::DATA_TYPE,
                cause,
            })?;
        }
        if let Some(before) = before.filter(|_| read.up_to_now)
            && let Err(error) = self
                .detect_missed_webhooks(R::DATA_TYPE, latest_change, &before)
                .await
        {
            // The read is already stored. The next change that WHOOP did not announce triggers this
            // check again.
            tracing::warn!(member = %user_id, %error, "could not check for missed webhooks");
        }
        let ended_early = unlisted.ended_early;
        self.fetch_unlisted::<R>(user_id, context, unlisted, read)
            .await?;
        if ended_early {
            return Err(SyncError::ListEndedEarly {
                data_type: R::DATA_TYPE,
                symptom: match read.not_found {
                    true => "returned 404",
                    false => "ended",
                },
            });
        }
        read.list_ended = walker.list_ended();
        read.complete_span = Some((
            walker.oldest().unwrap_or(window.end).min(window.end),
            window.end,
        ));
        Ok(())
    }
}

pub(crate) fn is_within_retention<R: RecordTable>(
    record: &R,
    kept_from: Option<RetentionStart>,
) -> bool {
    kept_from.is_none_or(|kept| record.own_date() >= kept.date)
}

fn warn_about_rejected<R>(user_id: &UserId, page: &ListPage<R>) {
    for rejected in &page.rejected {
        tracing::warn!(
            member = %user_id,
            data_type = %rejected.data_type,
            record = rejected.record_id.as_deref().unwrap_or("unknown"),
            reason = %rejected.reason,
            "a record could not be parsed and is set aside in whoop_rejected_record"
        );
    }
}
