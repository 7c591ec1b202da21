//! Reading one window of one type: pages in, rows out, then the log.

use whoop_client::{Listed, Walk};
use whoop_core::{UserId, plan::Window};
use whoop_storage::{
    page::Stored,
    table::{RecordTable, sync_log},
};

use crate::{Engine, Job, SyncError, comparison::Comparison};

/// How often a list may move under a walk before it is left for the next run.
const MOST_RESTARTS: u32 = 3;

/// What reading has come to so far; it counts also where it ends in an error,
/// because each page is stored as it comes.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) stored: Stored,
    pub(crate) pages: u64,
    /// WHOOP answered 404 in place of a list, which says nothing of what was on
    /// it.
    pub(crate) not_found: bool,
    /// Where what is stored is compared with what WHOOP has.
    pub(crate) comparison: Option<Comparison>,
}

impl Read {
    /// Whether nothing of it is to last.
    pub(crate) fn is_dry(&self) -> bool {
        self.comparison.as_ref().is_some_and(|one| one.dry_run)
    }
}

impl Engine {
    /// Reads a window page by page; each page is one transaction, and the log
    /// moves in that of the last.
    pub(crate) async fn read_window<R: RecordTable + Listed>(
        &self,
        user_id: &UserId,
        job: &Job,
        window: Window,
        up_to_now: bool,
        read: &mut Read,
    ) -> Result<(), SyncError> {
        let mut walk = Walk::<R>::new(window);
        let began_at = self.clock.now();
        let mut restarts = 0;
        while let Some(query) = walk.query() {
            let page = self
                .call(user_id, job, R::SCOPE, |whoop, token| {
                    let query = query.clone();
                    async move { whoop.page::<R>(&token, &query).await }
                })
                .await?;
            read.pages += 1;
            read.not_found |= page.not_found;
            if let Err(shifted) = walk.accept(&page) {
                restarts += 1;
                tracing::info!(member = %user_id, data_type = %R::DATA_TYPE, %shifted, "the walk starts again");
            }

            // A page that does not join is still made of true records.
            let mut transaction = self.database.begin().await?;
            let now = self.clock.now();
            let stored = read
                .keep(
                    &mut transaction,
                    user_id,
                    &page.records,
                    &page.rejected,
                    now,
                )
                .await?;
            if read.is_dry() {
                // Nothing is to be noted either.
            } else if walk.query().is_some() {
                sync_log::count(&mut transaction, user_id, R::DATA_TYPE, stored.written()).await?;
            } else {
                let span = sync_log::Span {
                    from: match window.start {
                        Some(start) if walk.is_complete() => start,
                        _ => walk.reached().unwrap_or(window.end).min(window.end),
                    },
                    until: window.end,
                    whole_history: walk.is_complete() && window.start.is_none(),
                    up_to_now,
                    rejected: read.stored.rejected,
                    written: stored.written(),
                };
                sync_log::complete(&mut transaction, user_id, R::DATA_TYPE, span).await?;
            }
            if read.is_dry() {
                transaction.rollback().await?;
            } else {
                transaction.commit().await?;
                self.record_tally.note(R::DATA_TYPE, &stored);
            }

            for rejected in &page.rejected {
                tracing::warn!(
                    member = %user_id,
                    data_type = %rejected.data_type,
                    record = rejected.record_id.as_deref().unwrap_or("unknown"),
                    reason = %rejected.reason,
                    "a record could not be read and is set aside in whoop_rejected_record"
                );
            }
            if restarts > MOST_RESTARTS {
                return Err(SyncError::Restless {
                    data_type: R::DATA_TYPE,
                });
            }
        }
        if !read.not_found {
            self.judge(user_id, job, window, &walk, began_at, read)
                .await?;
        }
        Ok(())
    }
}
