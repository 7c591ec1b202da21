//! A member's history, from the newest to the oldest.
//!
//! Each page is a walk of its own and one transaction with the log, so it goes
//! on wherever it was stopped, by whomever.

use chrono::{DateTime, Utc};
use futures::future::join_all;
use whoop_core::{
    DataType, UserId,
    budget::Class,
    plan::{self, Reason},
};
use whoop_storage::table::users;

use crate::{Engine, Job, MemberReport, SyncError, member::Errand, window::Read};

impl Engine {
    /// Reads a member's history back to `from`, or to their first record. What
    /// was never read at all is read up to the present first.
    ///
    /// # Errors
    ///
    /// Only what concerns no single type, such as a database that is away.
    pub async fn back_fill(
        &self,
        user_id: &UserId,
        job: &Job,
        from: Option<DateTime<Utc>>,
    ) -> Result<MemberReport, SyncError> {
        let coverage = self.coverage(user_id).await?;
        let never_read: Vec<DataType> = coverage
            .iter()
            .filter(|one| one.covered_from.is_none())
            .map(|one| one.data_type)
            .collect();
        let mut report = if never_read.is_empty() {
            MemberReport::of(user_id, Vec::new())
        } else {
            let errand = Errand {
                reason: Reason::NeverRead,
                slot: None,
                data_types: never_read,
                since: None,
                history: false,
            };
            self.sync_member(user_id, job, &errand).await?
        };
        let lease = self.take_lease(user_id, job).await?;
        let job = job.of(Class::History);
        let types = join_all(DataType::ALL.map(|data_type| {
            let job = &job;
            async move {
                let mut read = Read::default();
                let ended = self
                    .read_history(user_id, job, data_type, from, &mut read)
                    .await;
                self.report(user_id, data_type, read, ended).await
            }
        }))
        .await;
        lease.release().await?;
        report.and(MemberReport::of(user_id, types));
        Ok(report)
    }

    /// One type's history, a page at a time. The caller holds the lease.
    pub(crate) async fn read_history(
        &self,
        user_id: &UserId,
        job: &Job,
        data_type: DataType,
        from: Option<DateTime<Utc>>,
        read: &mut Read,
    ) -> Result<(), SyncError> {
        let timezone_offset = {
            let mut conn = self.database.get().await?;
            users::find(&mut conn, user_id).await?
        }
        .and_then(|member| member.timezone_offset);
        // What is not kept is not read.
        let back_to = self.kept_from(timezone_offset.as_deref()).max(from);
        loop {
            let coverage = self.coverage(user_id).await?;
            let Some(known) = coverage.iter().find(|one| one.data_type == data_type) else {
                return Ok(());
            };
            let Some(window) = plan::history(known, back_to) else {
                return Ok(());
            };
            self.read_type(user_id, job, data_type, window, false, read)
                .await?;
            let after = self.coverage(user_id).await?;
            // A page that brings nothing older would be asked for ever.
            if after.iter().any(|one| one == known) {
                return Ok(());
            }
        }
    }
}
