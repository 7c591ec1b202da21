//! Answers an app's request for one day of a member: from the database, after a read from WHOOP if
//! necessary.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use std::sync::Arc;
use whoop_core::Clock;
use whoop_core::{
    DataType, UserId,
    coverage::{Coverage, span_of_date},
    day::{AnswerSource, ConnectionStatus, Day, DayContext, DayMeta, SyncOutcome, assemble_day},
    offset,
    plan::{DayQuery, RefreshMode},
};
use whoop_storage::Database;
use whoop_storage::{
    PooledConnection as DatabaseConnection,
    day::{self as stored_day, StoredDay},
    table::users,
};

use crate::{
    DataTypeSync, EngineSettings, MemberCalls, MemberLeases, MemberOutcome, MemberReport, Quota,
    SyncContext, SyncError,
};

/// Minimum interval between two writes of the time at which a member's app last requested data (app
/// open). Requests for a day otherwise only read from the database.
const APP_OPEN_INTERVAL: TimeDelta = TimeDelta::minutes(5);

/// Result of the reads from WHOOP for a requested day, or the reason for which nothing was read.
#[derive(Debug, Clone)]
struct DayFetch {
    sync: SyncOutcome,
    detail: Option<String>,
    /// Whether reads may have been skipped to save calls; see [`DayQuery::conserve_quota`].
    conserve_quota: bool,
    /// Time spans that were just read completely, by data type. They can include the span of an old
    /// day, which does not join the stored coverage.
    complete_spans: Vec<(DataType, DateTime<Utc>, DateTime<Utc>)>,
}

impl DayFetch {
    const fn without_read(sync: SyncOutcome, conserve_quota: bool) -> Self {
        Self {
            sync,
            detail: None,
            conserve_quota,
            complete_spans: Vec::new(),
        }
    }

    /// Returns the coverage (completely read time span) of each data type that applies to this
    /// answer.
    ///
    /// If an old day was just read on demand, its span is returned as the coverage, although it is
    /// not stored.
    fn effective_coverage(&self, coverage: Vec<Coverage>, until: DateTime<Utc>) -> Vec<Coverage> {
        let extend = |one: Coverage| {
            let mut spans = self.complete_spans.iter();
            let read = spans.find(|(data_type, ..)| *data_type == one.data_type);
            match (read, one.covered_from) {
                (Some((_, from, read_until)), Some(covered_from))
                    if *read_until < covered_from && until <= *read_until =>
                {
                    Coverage {
                        covered_from: Some(*from),
                        covered_until: Some(*read_until),
                        ..one
                    }
                }
                _ => one,
            }
        };
        coverage.into_iter().map(extend).collect()
    }
}

/// Result of answering a request for a day from the database alone.
#[derive(Debug, Clone)]
pub struct DatabaseDay {
    /// The requested day; `None` if WHOOP has to be called first.
    pub day: Option<Day>,
    /// Whether the time of this app request (app open) has to be stored with
    /// [`Days::note_app_open`].
    pub is_new_app_open: bool,
}

/// Answers requests for a day of a member, from PostgreSQL or after a read from WHOOP.
#[derive(Debug, Clone)]
pub struct Days {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: EngineSettings,
    pub(crate) quota: Arc<Quota>,
    pub(crate) calls: Arc<MemberCalls>,
    pub(crate) leases: Arc<MemberLeases>,
    pub(crate) types: Arc<DataTypeSync>,
}

impl Days {
    /// Returns the member's current date, by the UTC offset of the member's latest record.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn today(&self, user_id: &UserId) -> Result<NaiveDate, SyncError> {
        let mut conn = self.database.get().await?;
        let member = users::find(&mut conn, user_id).await?;
        let timezone_offset = member
            .as_ref()
            .and_then(|one| one.timezone_offset.as_deref());
        Ok(offset::local_date(self.clock.now(), timezone_offset))
    }

    /// Returns a day of a member from stored data alone, if WHOOP does not have to be called.
    ///
    /// Reads through the caller's connection, which may lead to a read replica. If `date` is
    /// `None`, the day is the member's current date.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn day_from_database(
        &self,
        conn: &DatabaseConnection,
        user_id: &UserId,
        date: Option<NaiveDate>,
        refresh: RefreshMode,
    ) -> Result<DatabaseDay, SyncError> {
        let now = self.clock.now();
        let read = |date| stored_day::read(conn, user_id, date, now);
        // The local date of most members equals the UTC date. For these members, one read suffices.
        let assumed_date = date.unwrap_or_else(|| now.date_naive());
        let mut stored = read(assumed_date).await?;
        let date = date.unwrap_or_else(|| local_today(&stored, now));
        if date != assumed_date {
            stored = read(date).await?;
        }
        let day = self.answer_without_sync(user_id, &stored, date, refresh);
        Ok(DatabaseDay {
            day,
            is_new_app_open: self.is_new_app_open(&stored),
        })
    }

    /// Returns a day of a member. Calls WHOOP only for the reads that [`DayQuery::read_requests`]
    /// returns.
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable. An error of WHOOP is only reported in the `meta` part of the
    /// answer, which then contains the stored data.
    pub async fn day(
        &self,
        user_id: &UserId,
        date: NaiveDate,
        refresh: RefreshMode,
    ) -> Result<Day, SyncError> {
        let stored = self.load_stored_day(user_id, date).await?;
        self.spawn_app_open_note(user_id, &stored);
        if let Some(day) = self.answer_without_sync(user_id, &stored, date, refresh) {
            return Ok(day);
        }

        let is_new = stored.coverage.iter().all(|one| one.last_sync_at.is_none());
        let context = if is_new {
            SyncContext::new_member()
        } else {
            SyncContext::interactive()
        };
        let engine = self.clone();
        let member = user_id.clone();
        // The sync runs in a separate task, so that it continues if the app disconnects.
        let fetch =
            tokio::spawn(async move { engine.fetch_day(&member, &context, date, refresh).await })
                .await?;
        let mut stored = self.load_stored_day(user_id, date).await?;
        let fetch = fetch.unwrap_or_else(|error| DayFetch {
            // If the member was never read, the first sync holds the member lease while it waits
            // for the quota. `Busy` then means that the read is deferred.
            sync: if error.quota_wait().is_some() || is_new && matches!(error, SyncError::Busy) {
                SyncOutcome::Deferred
            } else {
                SyncOutcome::Failed
            },
            detail: Some(error.user_message()),
            ..DayFetch::without_read(SyncOutcome::Failed, false)
        });
        let offset_seconds = self.day_query(&stored, date, refresh, false).offset_seconds;
        let (_, until) = span_of_date(date, offset_seconds);
        stored.coverage = fetch.effective_coverage(stored.coverage, until);
        let query = self.day_query(&stored, date, refresh, fetch.conserve_quota);
        Ok(compose_day(user_id, &stored, &query, &fetch))
    }

    /// Syncs the data that is missing for the day. If another process is syncing the member, waits
    /// for it first, and then reads only what is still missing.
    async fn fetch_day(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        date: NaiveDate,
        refresh: RefreshMode,
    ) -> Result<DayFetch, SyncError> {
        if let Err(error) = self.calls.ensure_valid_token(user_id, context).await {
            let stored = self.load_stored_day(user_id, date).await?;
            let conserve_quota = self.quota.pool.was_scarce();
            let reads = self
                .day_query(&stored, date, refresh, conserve_quota)
                .read_requests(&stored.coverage);
            let data_types: Vec<_> = reads.iter().map(|read| read.data_type).collect();
            let report = self
                .types
                .report_token_failure(user_id, &data_types, error)
                .await?;
            return Ok(fetch_from_report(&report, conserve_quota));
        }
        let lease = self.leases.acquire_lease(user_id, context).await?;
        // The stored day is loaded again under the member lease, because the previous holder of the
        // lease may have read the missing data.
        let stored = self.load_stored_day(user_id, date).await?;
        // If a forced request had to wait for another sync of the member, it uses the result of
        // that sync.
        let effective_refresh = if lease.waited && refresh == RefreshMode::Force {
            RefreshMode::Auto
        } else {
            refresh
        };
        let conserve_quota = self.quota.pool.is_scarce().await?;
        let query = self.day_query(&stored, date, effective_refresh, conserve_quota);
        let reads = query.read_requests(&stored.coverage);
        let mut report = None;
        if !reads.is_empty() {
            let mut read = self
                .types
                .read_windows(user_id, context, query.now, reads)
                .await;
            if conserve_quota && read.outcome == MemberOutcome::Done {
                self.read_dependent_types(user_id, context, date, &mut read)
                    .await?;
            }
            report = Some(read);
        }
        let waited = lease.waited;
        lease.release().await?;
        Ok(match report {
            Some(report) => fetch_from_report(&report, conserve_quota),
            None if waited || refresh == RefreshMode::Force => {
                DayFetch::without_read(SyncOutcome::Shared, conserve_quota)
            }
            None => DayFetch::without_read(SyncOutcome::NotNeeded, conserve_quota),
        })
    }

    /// Reads data types that only the first reads showed to be necessary, and adds the results to
    /// `read`; see [`DayQuery::read_requests`].
    async fn read_dependent_types(
        &self,
        user_id: &UserId,
        context: &SyncContext,
        date: NaiveDate,
        read: &mut MemberReport,
    ) -> Result<(), SyncError> {
        let stored = self.load_stored_day(user_id, date).await?;
        let query = self.day_query(&stored, date, RefreshMode::Auto, true);
        let reads = query.read_requests(&stored.coverage);
        if !reads.is_empty() {
            read.merge(
                self.types
                    .read_windows(user_id, context, query.now, reads)
                    .await,
            );
        }
        Ok(())
    }

    /// Returns the day if it needs no call to WHOOP; otherwise `None`.
    fn answer_without_sync(
        &self,
        user_id: &UserId,
        stored: &StoredDay,
        date: NaiveDate,
        refresh: RefreshMode,
    ) -> Option<Day> {
        let conserve_quota = self.quota.pool.was_scarce();
        let query = self.day_query(stored, date, refresh, conserve_quota);
        let is_connected = connection_of(stored) == ConnectionStatus::Connected;
        if is_connected && !query.read_requests(&stored.coverage).is_empty() {
            return None;
        }
        let sync = match refresh {
            _ if !is_connected => SyncOutcome::Off,
            RefreshMode::Never => SyncOutcome::Off,
            RefreshMode::Auto => SyncOutcome::NotNeeded,
            // All data types were read within the minimum interval between two forced reads.
            RefreshMode::Force => SyncOutcome::Shared,
        };
        let fetch = DayFetch::without_read(sync, conserve_quota);
        Some(compose_day(user_id, stored, &query, &fetch))
    }

    async fn load_stored_day(
        &self,
        user_id: &UserId,
        date: NaiveDate,
    ) -> Result<StoredDay, SyncError> {
        let conn = self.database.get().await?;
        Ok(stored_day::read(&conn, user_id, date, self.clock.now()).await?)
    }

    fn day_query(
        &self,
        stored: &StoredDay,
        date: NaiveDate,
        refresh: RefreshMode,
        conserve_quota: bool,
    ) -> DayQuery {
        let now = self.clock.now();
        let timezone_offset = stored
            .member
            .as_ref()
            .and_then(|member| member.timezone_offset.as_deref());
        DayQuery {
            date,
            today: offset::local_date(now, timezone_offset),
            offset_seconds: timezone_offset
                .and_then(offset::parse)
                .map_or(0, |offset| offset.local_minus_utc()),
            now,
            freshness: self.settings.freshness,
            refresh,
            forced_read_interval: self.settings.forced_read_interval,
            night_state: stored.records.night_state(),
            dangling_references: stored.records.dangling_references(),
            conserve_quota,
            signals: stored.signals,
        }
    }

    /// Stores the current time as the time of the latest app request of this member (app open).
    ///
    /// # Errors
    ///
    /// PostgreSQL is unavailable.
    pub async fn note_app_open(&self, user_id: &UserId) -> Result<(), SyncError> {
        let mut conn = self.database.get().await?;
        users::mark_seen(&mut conn, user_id, self.clock.now(), APP_OPEN_INTERVAL).await?;
        Ok(())
    }

    fn is_new_app_open(&self, stored: &StoredDay) -> bool {
        let last = stored.member.as_ref().map(|member| member.last_seen_at);
        last.is_some_and(|last| {
            last.is_none_or(|last| self.clock.now() - last >= APP_OPEN_INTERVAL)
        })
    }

    /// Stores the time of this app request (app open) in a separate task, so that the answer does
    /// not wait for the write.
    fn spawn_app_open_note(&self, user_id: &UserId, stored: &StoredDay) {
        if !self.is_new_app_open(stored) {
            return;
        }
        let now = self.clock.now();
        let (engine, user_id) = (self.clone(), user_id.clone());
        tokio::spawn(async move {
            let stored = async {
                let mut conn = engine.database.get().await?;
                users::mark_seen(&mut conn, &user_id, now, APP_OPEN_INTERVAL).await
            };
            if let Err(error) = stored.await {
                tracing::warn!(member = %user_id, error = %error, "could not store the app open");
            }
        });
    }
}

fn connection_of(stored: &StoredDay) -> ConnectionStatus {
    stored
        .member
        .as_ref()
        .map_or(ConnectionStatus::NeverConnected, |member| member.connection)
}

/// Returns the member's date at `now`, by the UTC offset of the member's latest record.
fn local_today(stored: &StoredDay, now: DateTime<Utc>) -> NaiveDate {
    let member = stored.member.as_ref();
    offset::local_date(
        now,
        member.and_then(|member| member.timezone_offset.as_deref()),
    )
}

fn fetch_from_report(report: &MemberReport, conserve_quota: bool) -> DayFetch {
    let sync = match report.outcome {
        MemberOutcome::Done => SyncOutcome::Done,
        MemberOutcome::Shared => SyncOutcome::Shared,
        MemberOutcome::Deferred => SyncOutcome::Deferred,
        MemberOutcome::Failed | MemberOutcome::Stopped => SyncOutcome::Failed,
    };
    DayFetch {
        sync,
        detail: report.user_message.clone(),
        conserve_quota,
        complete_spans: report
            .types
            .iter()
            .filter_map(|one| {
                one.complete_span
                    .map(|(from, until)| (one.data_type, from, until))
            })
            .collect(),
    }
}

fn compose_day(user_id: &UserId, stored: &StoredDay, query: &DayQuery, fetch: &DayFetch) -> Day {
    let coverage = &stored.coverage;
    let connection = connection_of(stored);
    let last_synced_at = coverage
        .iter()
        .map(|one| one.last_sync_at)
        .min()
        // If any data type was never read, the day counts as never read.
        .flatten();
    let stale = if query.is_live() {
        !coverage.iter().all(|one| query.is_current(one))
    } else {
        !coverage.iter().all(|one| query.is_covered(one))
    };
    let meta = DayMeta {
        source: match fetch.sync {
            SyncOutcome::Done => AnswerSource::Whoop,
            _ => AnswerSource::Database,
        },
        connection,
        last_synced_at,
        stale,
        sync: fetch.sync,
        detail: fetch.detail.clone(),
    };
    let known = DayContext {
        query,
        coverage,
        connection,
        quota_exhausted: fetch.sync == SyncOutcome::Deferred,
    };
    assemble_day(user_id.clone(), &stored.records, known, meta)
}
