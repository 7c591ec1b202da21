//! One member's sync: the types side by side, each with its own fate.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::join_all;
use whoop_core::{
    DataType, UserId,
    coverage::{Coverage, LastReads, last_reads},
    plan::{self, Call, LOOK_BACK, MOST_BY_ID, Reason, Slot, Window},
    quota::is_known_to_fail,
    record::{Cycle, Recovery, Sleep, Workout},
};
use whoop_storage::{
    known::{self, Known},
    table::sync_log::{self, SyncLogRow},
};

use crate::{Engine, Job, MemberReport, Outcome, SyncError, TypeReport, open_scores, window::Read};

/// What to read of one member.
#[derive(Debug, Clone)]
pub struct Errand {
    pub slot: Option<Slot>,
    /// Why what was read before is read again.
    pub reason: Reason,
    pub data_types: Vec<DataType>,
    /// Reads back to at least here, whatever is covered, and never less than without it.
    pub since: Option<DateTime<Utc>>,
    /// Goes on into history, page by page, until its first record.
    pub history: bool,
}

impl Errand {
    /// All four types as somebody asks for them, without older history.
    pub fn of_everything() -> Self {
        Self {
            slot: None,
            reason: Reason::Asked,
            data_types: DataType::ALL.to_vec(),
            since: None,
            history: false,
        }
    }
}

/// A call of an errand.
pub(crate) struct Foreseen {
    pub(crate) call: Call,
    /// Records beyond the window that are asked for by their ids.
    pub(crate) by_id: usize,
    pub(crate) coverage: Coverage,
}

/// The calls of an errand, from what is known of the member.
pub(crate) fn foresee(
    known: &Known,
    errand: &Errand,
    kept_from: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Vec<Foreseen> {
    let reach = now - LOOK_BACK;
    let wanted = known
        .coverage
        .iter()
        .filter(|one| errand.data_types.contains(&one.data_type));
    wanted
        .map(|coverage| {
            let data_type = coverage.data_type;
            let oldest_open = open_scores::oldest_within(&known.open, data_type, reach);
            let mut window = plan::window(errand.slot, coverage, oldest_open, now);
            // What is not kept is not brought back.
            if let Some(since) = errand
                .since
                .map(|since| Some(since).max(kept_from).unwrap_or(since))
            {
                window.must_reach = window.must_reach.min(since);
            }
            let by_id = open_scores::beyond(&known.open, data_type, reach).count();
            Foreseen {
                call: Call {
                    data_type,
                    window,
                    reason: if coverage.last_sync_at.is_none() {
                        Reason::NeverRead
                    } else {
                        errand.reason
                    },
                },
                by_id: by_id.min(MOST_BY_ID),
                coverage: coverage.clone(),
            }
        })
        .collect()
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
        let decided_on = last_reads(&self.coverage(user_id).await?);
        self.sync_in_turn(user_id, job, errand, &decided_on).await
    }

    /// Syncs one member for a caller. Data types that were read up to the present less than
    /// [`crate::Settings::forced_reads_every`] ago, and as far back as the caller asks, are not read
    /// again.
    ///
    /// # Errors
    ///
    /// As [`Engine::sync_member`].
    pub async fn sync_on_request(
        &self,
        user_id: &UserId,
        job: &Job,
        errand: &Errand,
    ) -> Result<MemberReport, SyncError> {
        let log = {
            let mut conn = self.database.get().await?;
            sync_log::list(&mut conn, user_id).await?
        };
        let now = self.clock.now();
        let is_shared = |row: &SyncLogRow| {
            let coverage = row.coverage();
            let was_read = coverage
                .is_some_and(|known| known.was_read_within(self.settings.forced_reads_every, now));
            let reaches_back = |since| row.last_sync_from.is_some_and(|from| from <= since);
            was_read && !row.signal_open && errand.since.is_none_or(reaches_back)
        };
        let is_left = |data_type: &DataType| {
            let row = log.iter().find(|row| row.is_of(*data_type));
            row.is_none_or(|row| row.is_granted() && !is_shared(row))
        };
        let mut data_types = errand.data_types.clone();
        data_types.retain(is_left);
        if data_types.is_empty() {
            return Ok(MemberReport::without_types(user_id, Outcome::Shared, None));
        }
        let left = Errand {
            data_types,
            ..errand.clone()
        };
        self.sync_member(user_id, job, &left).await
    }

    /// The same, where it was decided when the last reads were these. What
    /// somebody else has read since is theirs, and shared: of two runs that
    /// overlap, and of a request that meets a run, one calls WHOOP.
    pub(crate) async fn sync_as_decided(
        &self,
        user_id: &UserId,
        job: &Job,
        errand: &Errand,
        decided_on: &LastReads,
    ) -> Result<MemberReport, SyncError> {
        if !errand.history && self.is_met(user_id, errand, decided_on).await? {
            return Ok(MemberReport::without_types(user_id, Outcome::Shared, None));
        }
        self.sync_in_turn(user_id, job, errand, decided_on).await
    }

    async fn sync_in_turn(
        &self,
        user_id: &UserId,
        job: &Job,
        errand: &Errand,
        decided_on: &LastReads,
    ) -> Result<MemberReport, SyncError> {
        let turn = match self.take_turn(user_id, job).await {
            Err(error) if error.is_refresh_failure() => {
                return self.without_token(user_id, &errand.data_types, error).await;
            }
            turn => turn?,
        };
        let report = self
            .sync_leased(user_id, &turn.job, errand, decided_on)
            .await;
        self.end_turn(turn).await?;
        let mut report = report?;
        if report.has_yielded() {
            return Err(SyncError::Yielded);
        }
        if errand.history && report.goes_on() {
            report.and(self.history(user_id, job, &errand.data_types, None).await);
        }
        Ok(report)
    }

    /// The report of a member whose tokens could not be refreshed: every data type failed.
    pub(crate) async fn without_token(
        &self,
        user_id: &UserId,
        data_types: &[DataType],
        error: SyncError,
    ) -> Result<MemberReport, SyncError> {
        let error = Arc::new(error);
        let mut types = Vec::with_capacity(data_types.len());
        for data_type in data_types {
            self.note_attempt(user_id, *data_type).await?;
            let ended = Err(SyncError::of_refresh(&error));
            types.push(
                self.report(user_id, *data_type, Read::default(), ended)
                    .await,
            );
        }
        Ok(MemberReport::of(user_id, types))
    }

    /// Whether other processes have read all data types since `decided_on`.
    async fn is_met(
        &self,
        user_id: &UserId,
        errand: &Errand,
        decided_on: &LastReads,
    ) -> Result<bool, SyncError> {
        // No other sync is known to have read as far back.
        if errand.since.is_some() {
            return Ok(false);
        }
        let coverage = self.coverage(user_id).await?;
        let mut wanted = coverage
            .iter()
            .filter(|one| errand.data_types.contains(&one.data_type));
        Ok(wanted.all(|one| one.was_read_since(decided_on)))
    }

    /// The caller holds the lease.
    async fn sync_leased(
        &self,
        user_id: &UserId,
        job: &Job,
        errand: &Errand,
        decided_on: &LastReads,
    ) -> Result<MemberReport, SyncError> {
        let known = self.known(user_id).await?.ok_or(SyncError::NotConnected)?;
        let now = self.clock.now();
        let kept_from = self.kept_from(known.member.timezone_offset.as_deref());
        let mut foreseen = foresee(&known, errand, kept_from, now);
        // No other sync is known to have read as far back.
        if errand.since.is_none() {
            foreseen.retain(|one| !one.coverage.was_read_since(decided_on));
        }
        if foreseen.is_empty() {
            return Ok(MemberReport::without_types(user_id, Outcome::Shared, None));
        }
        let calls = foreseen.into_iter().map(|one| one.call).collect();
        let mut report = self.read(user_id, job, now, calls).await;
        // A webhook asks for no score of long ago.
        if report.outcome == Outcome::Done && errand.reason != Reason::Webhook {
            self.read_on(user_id, job, &mut report).await;
        }
        Ok(report)
    }

    /// `None` for somebody who never connected.
    async fn known(&self, user_id: &UserId) -> Result<Option<Known>, SyncError> {
        let conn = self.database.get().await?;
        let mut known = known::of(&conn, &[user_id.as_str()]).await?;
        Ok(known.remove(user_id.as_str()))
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
            let ended = async {
                let begun = self.note_attempt(user_id, data_type).await?;
                read.signal_at = begun.signal_at;
                let is_known_to_fail = is_known_to_fail(begun.failing_since, self.clock.now());
                let job = &job.for_known_failure(is_known_to_fail);
                self.read_type(user_id, job, data_type, window, up_to_now, &mut read)
                    .await
            };
            let ended = ended.await;
            self.report(user_id, data_type, read, ended).await
        }))
        .await;
        MemberReport::of(user_id, types)
    }

    /// What a window cannot reach: open records, by their id.
    async fn read_on(&self, user_id: &UserId, job: &Job, report: &mut MemberReport) {
        let oldest = self.clock.now() - LOOK_BACK;
        // Where WHOOP answers 404 to everything, by id it would do so too.
        let there = report.types.iter().filter(|one| !one.not_found);
        let mut types: Vec<DataType> = there.map(|one| one.data_type).collect();
        // Sleeps first: they tell how far back a recovery lies.
        types.sort_by_key(|data_type| *data_type != DataType::Sleep);
        for data_type in types {
            let mut read = Read::default();
            let ended = self
                .ask_for_open(user_id, job, data_type, oldest, &mut read)
                .await;
            let more = self.report(user_id, data_type, read, ended).await;
            report.and(MemberReport::of(user_id, vec![more]));
        }
    }

    /// Notes that a type is about to be read, which also makes its row in the log.
    pub(crate) async fn note_attempt(
        &self,
        user_id: &UserId,
        data_type: DataType,
    ) -> Result<sync_log::Begun, SyncError> {
        let mut conn = self.database.get().await?;
        Ok(sync_log::begin(&mut conn, user_id, data_type, self.clock.now()).await?)
    }

    /// Reads a window of one data type.
    pub(crate) async fn read_type(
        &self,
        user_id: &UserId,
        job: &Job,
        data_type: DataType,
        window: Window,
        up_to_now: bool,
        read: &mut Read,
    ) -> Result<(), SyncError> {
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
        let is_dry = read.is_dry();
        let Read {
            stored,
            pages,
            not_found,
            comparison,
            proven,
            signal_at: _,
            list_ended: _,
        } = read;
        let report = TypeReport {
            data_type,
            stored,
            error: None,
            comparison,
            cause: None,
            not_found,
            proven: proven.filter(|_| ended.is_ok()),
        };
        match ended {
            Ok(()) => {
                tracing::debug!(member = %user_id, %data_type, pages, ?stored, "read");
                report
            }
            Err(cause) => {
                let error = cause.in_full();
                if cause.is_put_off() {
                    tracing::info!(member = %user_id, %data_type, reason = error, "put off");
                } else {
                    tracing::warn!(member = %user_id, %data_type, error, "the sync failed");
                }
                if !is_dry {
                    self.note_failure(user_id, data_type, &cause).await;
                }
                TypeReport {
                    error: Some(error),
                    cause: Some(cause),
                    ..report
                }
            }
        }
    }

    async fn note_failure(&self, user_id: &UserId, data_type: DataType, cause: &SyncError) {
        let noted = async {
            let mut conn = self.database.get().await?;
            let (why, now) = (cause.told(), self.clock.now());
            if cause.is_put_off() {
                sync_log::put_off(&mut conn, user_id, data_type, &why, now).await
            } else {
                sync_log::fail(&mut conn, user_id, data_type, &why, now).await
            }
        };
        if let Err(lost) = noted.await {
            tracing::error!(member = %user_id, %data_type, error = %lost, "the failure could not be noted");
        }
    }
}
