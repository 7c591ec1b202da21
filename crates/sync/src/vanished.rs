//! What a list that was read to its end no longer holds.
//!
//! Absence from a list is a doubt and not a proof: a record may have moved out
//! of the window, or hide at the seam of two pages that shifted. So each is
//! asked for by its id, a bounded number at a time, and only what WHOOP does
//! not know by its id either leaves. It costs no call unless something is gone.

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use whoop_client::{Listed, Walk, WhoopError};
use whoop_core::{DataType, UserId, plan::Window};
use whoop_storage::{remove, table::RecordTable};

use crate::{
    Engine, Job, SyncError,
    open_scores::{MOST_BY_ID, todays},
    window::Read,
};

/// What lies this close to the older end of a window is not judged: whether a
/// list holds what began before it is not documented.
pub(crate) const EDGE: TimeDelta = TimeDelta::days(1);

impl Engine {
    /// Asks by id for what should have been on the pages of a walk that came to
    /// its end, and was not.
    pub(crate) async fn judge<R: RecordTable + Listed>(
        &self,
        user_id: &UserId,
        job: &Job,
        window: Window,
        walk: &Walk<R>,
        began_at: DateTime<Utc>,
        read: &mut Read,
    ) -> Result<(), SyncError> {
        let read_from = match window.start {
            Some(start) if walk.is_complete() => Some(start),
            None if walk.is_complete() => Some(DateTime::UNIX_EPOCH),
            _ => walk.reached(),
        };
        let Some(from) = read_from else {
            return Ok(());
        };
        let listed = remove::Listed {
            data_type: R::DATA_TYPE,
            from: from.checked_add_signed(EDGE).unwrap_or(from),
            until: window.end,
            began_at,
            ids: walk.ids(),
        };
        let missing = {
            let mut conn = self.database.get().await?;
            remove::missing(&mut conn, user_id, listed).await?
        };
        if read.comparison.is_some() {
            // Somebody asks for everything, and nothing is left for another run.
            for id in missing {
                self.ask_or_say(user_id, job, R::DATA_TYPE, id, read)
                    .await?;
            }
            return Ok(());
        }
        if missing.len() > MOST_BY_ID {
            tracing::warn!(
                member = %user_id,
                data_type = %R::DATA_TYPE,
                missing = missing.len(),
                asked = MOST_BY_ID,
                "WHOOP's list lacks many records; the rest is asked for by the next runs"
            );
        }
        for id in todays(missing, self.clock.now().num_days_from_ce()) {
            self.ask_or_say(user_id, job, R::DATA_TYPE, id, read)
                .await?;
        }
        Ok(())
    }

    /// Asks by id. An id that WHOOP cannot make sense of is no record of WHOOP's:
    /// somebody else wrote it, and it must not keep the others from being judged.
    async fn ask_or_say(
        &self,
        user_id: &UserId,
        job: &Job,
        data_type: DataType,
        id: String,
        read: &mut Read,
    ) -> Result<(), SyncError> {
        let asked = self
            .ask_by_id(user_id, job, data_type, id.clone(), read)
            .await;
        match asked {
            Err(SyncError::Whoop(WhoopError::Unexpected { status })) => {
                tracing::warn!(
                    member = %user_id, %data_type, id, status,
                    "WHOOP does not understand the id of a stored record; whoever wrote it here has to remove it"
                );
                Ok(())
            }
            other => other,
        }
    }
}
