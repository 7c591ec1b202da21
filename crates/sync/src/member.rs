//! One member's sync: the types side by side, each with its own fate.

use chrono::{DateTime, Utc};
use futures::future::join_all;
use serde::Serialize;
use whoop_core::{
    DataType, UserId,
    budget::Class,
    coverage::Coverage,
    plan::{self, Call, LOOK_BACK, Reason, Slot, Window},
    record::{Cycle, Recovery, Sleep, Workout},
};
use whoop_storage::{page::Stored, table::sync_log};

use crate::{Engine, Job, SyncError, window::Read};

/// What became of a member's sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    /// Somebody else's sync of the same member was waited for.
    Shared,
    /// Put off because of WHOOP's quota, or of the calls a run may make.
    Deferred,
    Failed,
    /// Told to stop before the end.
    Stopped,
}

/// What became of one type.
#[derive(Debug, Serialize)]
pub struct TypeReport {
    pub data_type: DataType,
    #[serde(flatten)]
    pub stored: Stored,
    /// Why it failed, for people.
    pub error: Option<String>,
    #[serde(skip)]
    pub cause: Option<SyncError>,
    /// WHOOP answered 404 in place of a list.
    #[serde(skip)]
    pub(crate) not_found: bool,
}

impl TypeReport {
    /// Adds what came of more work on the same type.
    fn and(&mut self, more: Self) {
        self.stored += more.stored;
        if more.cause.is_some() {
            self.error = more.error;
            self.cause = more.cause;
        }
    }
}

/// What became of one member.
#[derive(Debug, Serialize)]
pub struct MemberReport {
    pub user_id: String,
    pub outcome: Outcome,
    pub types: Vec<TypeReport>,
    pub error: Option<String>,
    /// Seconds until the quota allows more, where it stood in the way.
    pub retry_after_seconds: Option<u64>,
    /// The connection is lost until the member connects again.
    pub reauth_required: bool,
}

impl MemberReport {
    pub(crate) fn of(user_id: &UserId, types: Vec<TypeReport>) -> Self {
        let causes = || types.iter().filter_map(|one| one.cause.as_ref());
        let wait = causes().filter_map(SyncError::quota_wait).max();
        let outcome = if causes().next().is_none() {
            Outcome::Done
        } else if causes().any(|cause| matches!(cause, SyncError::Stopped)) {
            Outcome::Stopped
        } else if causes().all(|cause| cause.quota_wait().is_some()) {
            Outcome::Deferred
        } else {
            Outcome::Failed
        };
        Self {
            user_id: user_id.to_string(),
            outcome,
            error: causes().next().map(SyncError::in_full),
            retry_after_seconds: wait.map(|wait| wait.as_secs()),
            reauth_required: causes().any(|cause| matches!(cause, SyncError::ReauthRequired)),
            types,
        }
    }

    /// Adds what came of more work on the same member.
    pub(crate) fn and(&mut self, more: Self) {
        for one in more.types {
            match self
                .types
                .iter_mut()
                .find(|known| known.data_type == one.data_type)
            {
                Some(known) => known.and(one),
                None => self.types.push(one),
            }
        }
        // Why something failed is worth more than why the rest was left.
        if self.outcome == Outcome::Done {
            self.outcome = more.outcome;
            self.error = more.error;
            self.retry_after_seconds = more.retry_after_seconds;
        }
        self.reauth_required |= more.reauth_required;
    }

    pub(crate) fn without_types(
        user_id: &UserId,
        outcome: Outcome,
        error: Option<&SyncError>,
    ) -> Self {
        Self {
            user_id: user_id.to_string(),
            outcome,
            types: Vec::new(),
            error: error.map(SyncError::in_full),
            retry_after_seconds: error
                .and_then(SyncError::quota_wait)
                .map(|wait| wait.as_secs()),
            reauth_required: matches!(error, Some(SyncError::ReauthRequired)),
        }
    }

    /// What was stored of all types together.
    pub fn stored(&self) -> Stored {
        self.types.iter().fold(Stored::default(), |mut sum, one| {
            sum += one.stored;
            sum
        })
    }

    /// Whether a run has to end with this member: the quota is gone.
    pub fn ends_the_run(&self) -> bool {
        self.types
            .iter()
            .filter_map(|one| one.cause.as_ref())
            .any(SyncError::ends_the_run)
    }
}

/// What to read of one member.
#[derive(Debug, Clone)]
pub struct Errand {
    pub slot: Option<Slot>,
    /// Why what was read before is read again.
    pub reason: Reason,
    pub data_types: Vec<DataType>,
    /// Reads back to here at the least, whatever is covered. Never less than
    /// without it: a window that left a hole would forget what lies before.
    pub since: Option<DateTime<Utc>>,
    /// Goes on into history, page by page, until its first record.
    pub history: bool,
}

/// A call of an errand.
pub(crate) struct Foreseen {
    pub(crate) call: Call,
    /// Records beyond the window that are asked for by their ids.
    pub(crate) by_id: usize,
    pub(crate) coverage: Coverage,
}

impl Engine {
    /// Syncs one member, alone: if somebody else is at it, waits and then asks
    /// for what is left.
    ///
    /// # Errors
    ///
    /// Only what concerns no single type, such as a database that is away.
    pub async fn sync_member(
        &self,
        user_id: &UserId,
        job: &Job,
        errand: &Errand,
    ) -> Result<MemberReport, SyncError> {
        let lease = self.take_lease(user_id, job).await?;
        let now = self.clock.now();
        let calls = self.calls(user_id, errand, now).await;
        let report = match calls {
            Ok(calls) => {
                let mut report = self.read(user_id, job, now, calls).await;
                if report.outcome == Outcome::Done {
                    self.read_on(user_id, job, errand, &mut report).await;
                }
                Ok(report)
            }
            Err(error) => Err(error),
        };
        lease.release().await?;
        report
    }

    /// The calls of an errand, from what is covered and what is open.
    async fn calls(
        &self,
        user_id: &UserId,
        errand: &Errand,
        now: DateTime<Utc>,
    ) -> Result<Vec<Call>, SyncError> {
        let foreseen = self.foresee(user_id, errand, now).await?;
        Ok(foreseen.into_iter().map(|one| one.call).collect())
    }

    /// The same, with what is known of each type.
    pub(crate) async fn foresee(
        &self,
        user_id: &UserId,
        errand: &Errand,
        now: DateTime<Utc>,
    ) -> Result<Vec<Foreseen>, SyncError> {
        let mut foreseen = Vec::new();
        for coverage in self.coverage(user_id).await? {
            if !errand.data_types.contains(&coverage.data_type) {
                continue;
            }
            let open = self
                .open(user_id, coverage.data_type, now - LOOK_BACK)
                .await?;
            let mut window = plan::window(errand.slot, &coverage, open.oldest, now);
            if let Some(since) = errand.since {
                window.start = window.start.map(|start| start.min(since));
                window.must_reach = window.must_reach.map(|reach| reach.min(since));
            }
            foreseen.push(Foreseen {
                call: Call {
                    data_type: coverage.data_type,
                    window,
                    reason: if coverage.last_sync_at.is_none() {
                        Reason::NeverRead
                    } else {
                        errand.reason
                    },
                },
                by_id: open.by_id,
                coverage,
            });
        }
        Ok(foreseen)
    }

    pub(crate) async fn coverage(&self, user_id: &UserId) -> Result<Vec<Coverage>, SyncError> {
        let mut conn = self.database.get().await?;
        Ok(sync_log::coverage_of(
            &sync_log::list(&mut conn, user_id).await?,
        ))
    }

    /// Reads windows of several types side by side. The caller holds the lease.
    ///
    /// `planned_at` is the present that the windows were made for: one that
    /// ends before it, as for an old day on demand, does not make a type fresh.
    pub(crate) async fn read(
        &self,
        user_id: &UserId,
        job: &Job,
        planned_at: DateTime<Utc>,
        calls: Vec<Call>,
    ) -> MemberReport {
        let types = join_all(calls.into_iter().map(|call| async move {
            let Call {
                data_type, window, ..
            } = call;
            let mut read = Read::default();
            let up_to_now = window.end >= planned_at;
            let ended = self
                .read_type(user_id, job, data_type, window, up_to_now, &mut read)
                .await;
            self.report(user_id, data_type, read, ended).await
        }))
        .await;
        MemberReport::of(user_id, types)
    }

    /// What a window cannot reach: open records by their id, then history.
    async fn read_on(
        &self,
        user_id: &UserId,
        job: &Job,
        errand: &Errand,
        report: &mut MemberReport,
    ) {
        let oldest = self.clock.now() - LOOK_BACK;
        // Sleeps first: they tell how far back a recovery lies.
        let mut types = errand.data_types.clone();
        types.sort_by_key(|data_type| *data_type != DataType::Sleep);
        for data_type in types {
            // Where WHOOP answers 404 to everything, by id it would do so too.
            let is_gone = |one: &TypeReport| one.data_type == data_type && one.not_found;
            if report.types.iter().any(is_gone) {
                continue;
            }
            let mut read = Read::default();
            let mut ended = self
                .ask_for_open(user_id, job, data_type, oldest, &mut read.stored)
                .await;
            if ended.is_ok() && errand.history {
                let job = job.of(Class::History);
                ended = self
                    .read_history(user_id, &job, data_type, None, &mut read)
                    .await;
            }
            let more = self.report(user_id, data_type, read, ended).await;
            let Some(one) = report
                .types
                .iter_mut()
                .find(|one| one.data_type == data_type)
            else {
                continue;
            };
            one.and(more);
        }
        *report = MemberReport::of(user_id, std::mem::take(&mut report.types));
    }

    pub(crate) async fn read_type(
        &self,
        user_id: &UserId,
        job: &Job,
        data_type: DataType,
        window: Window,
        up_to_now: bool,
        read: &mut Read,
    ) -> Result<(), SyncError> {
        {
            let mut conn = self.database.get().await?;
            sync_log::begin(&mut conn, user_id, data_type, self.clock.now()).await?;
        }
        match data_type {
            DataType::Recovery => {
                self.read_window::<Recovery>(user_id, job, window, up_to_now, read)
                    .await
            }
            DataType::Sleep => {
                self.read_window::<Sleep>(user_id, job, window, up_to_now, read)
                    .await
            }
            DataType::Workout => {
                self.read_window::<Workout>(user_id, job, window, up_to_now, read)
                    .await
            }
            DataType::Cycle => {
                self.read_window::<Cycle>(user_id, job, window, up_to_now, read)
                    .await
            }
        }
    }

    pub(crate) async fn report(
        &self,
        user_id: &UserId,
        data_type: DataType,
        read: Read,
        ended: Result<(), SyncError>,
    ) -> TypeReport {
        let Read {
            stored,
            pages,
            not_found,
        } = read;
        match ended {
            Ok(()) => {
                tracing::debug!(member = %user_id, %data_type, pages, ?stored, "read");
                TypeReport {
                    data_type,
                    stored,
                    error: None,
                    cause: None,
                    not_found,
                }
            }
            Err(cause) => {
                let error = cause.in_full();
                self.note_failure(user_id, data_type, &error).await;
                TypeReport {
                    data_type,
                    stored,
                    error: Some(error),
                    cause: Some(cause),
                    not_found,
                }
            }
        }
    }

    async fn note_failure(&self, user_id: &UserId, data_type: DataType, error: &str) {
        tracing::warn!(member = %user_id, %data_type, error, "the sync failed");
        let noted = async {
            let mut conn = self.database.get().await?;
            sync_log::fail(&mut conn, user_id, data_type, error, self.clock.now()).await
        };
        if let Err(lost) = noted.await {
            tracing::error!(member = %user_id, %data_type, error = %lost, "the failure could not be noted");
        }
    }
}
