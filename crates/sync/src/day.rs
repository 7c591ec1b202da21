//! The day an app asks for: from the database, after WHOOP where it must be.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use whoop_core::{
    DataType, UserId,
    coverage::{Coverage, span_of},
    day::{Connection, Day, Knowledge, Meta, Source, SyncOutcome, compose},
    offset,
    plan::{DayQuery, Refresh},
};
use whoop_storage::{
    Connection as DatabaseConnection,
    day::{self as stored_day, StoredDay},
    table::users,
};

use crate::{Engine, Job, MemberReport, Outcome, SyncError};

/// A visit is noted at most this often: it is a write on a path of reads.
const NOTE_VISITS_EVERY: TimeDelta = TimeDelta::minutes(5);

/// What a request for a day did at WHOOP.
#[derive(Debug, Clone)]
struct Fetch {
    sync: SyncOutcome,
    detail: Option<String>,
    /// Whether it spared calls; see [`DayQuery::thrifty`].
    thrifty: bool,
    /// The spans that were just read, also those of an old day that do not join the coverage.
    proven: Vec<(DataType, DateTime<Utc>, DateTime<Utc>)>,
}

impl Fetch {
    const fn quiet(sync: SyncOutcome, thrifty: bool) -> Self {
        Self {
            sync,
            detail: None,
            thrifty,
            proven: Vec::new(),
        }
    }

    /// The coverage, as far as this answer is concerned: of an old day that was read on demand,
    /// the span that was read, which is not remembered.
    fn coverage_with(&self, coverage: Vec<Coverage>, until: DateTime<Utc>) -> Vec<Coverage> {
        let with = |one: Coverage| {
            let mut proven = self.proven.iter();
            let read = proven.find(|(data_type, ..)| *data_type == one.data_type);
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
        coverage.into_iter().map(with).collect()
    }
}

/// What the database alone says of a day.
#[derive(Debug, Clone)]
pub struct AtHand {
    /// `None` where WHOOP has to be asked first.
    pub day: Option<Day>,
    /// Whether the visit is to be noted, by [`Engine::note_seen`].
    pub is_new_visit: bool,
}

impl Engine {
    /// The member's date now, at the offset of their latest record.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away.
    pub async fn today(&self, user_id: &UserId) -> Result<NaiveDate, SyncError> {
        let mut conn = self.database.get().await?;
        let member = users::find(&mut conn, user_id).await?;
        let timezone_offset = member
            .as_ref()
            .and_then(|one| one.timezone_offset.as_deref());
        Ok(offset::local_date(self.clock.now(), timezone_offset))
    }

    /// A member's day from what is stored alone, where that answers; read through a
    /// connection of the caller's, which may be a replica's. Without a date, the
    /// member's today.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away.
    pub async fn day_at_hand(
        &self,
        conn: &DatabaseConnection,
        user_id: &UserId,
        date: Option<NaiveDate>,
        refresh: Refresh,
    ) -> Result<AtHand, SyncError> {
        let now = self.clock.now();
        let read = |date| stored_day::read(conn, user_id, date, now);
        // Most members' today is that of their last record, and near ours.
        let guess = date.unwrap_or_else(|| now.date_naive());
        let mut stored = read(guess).await?;
        let date = date.unwrap_or_else(|| today_of(&stored, now));
        if date != guess {
            stored = read(date).await?;
        }
        let day = self.without_whoop(user_id, &stored, date, refresh);
        Ok(AtHand {
            day,
            is_new_visit: self.is_new_visit(&stored),
        })
    }

    /// A member's day. Asks WHOOP only for what [`DayQuery::calls`] names.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away. What goes wrong at WHOOP is told in `meta`, and
    /// what is stored is answered.
    pub async fn day(
        &self,
        user_id: &UserId,
        date: NaiveDate,
        refresh: Refresh,
    ) -> Result<Day, SyncError> {
        let stored = self.stored_day(user_id, date).await?;
        self.note_visit(user_id, &stored);
        if let Some(day) = self.without_whoop(user_id, &stored, date, refresh) {
            return Ok(day);
        }

        let is_new = stored.coverage.iter().all(|one| one.last_sync_at.is_none());
        let job = if is_new {
            Job::new_member()
        } else {
            Job::interactive()
        };
        let engine = self.clone();
        let member = user_id.clone();
        // A task of its own: an app that hangs up must not leave half a sync.
        let fetch =
            tokio::spawn(async move { engine.fetch_day(&member, &job, date, refresh).await })
                .await?;
        let mut stored = self.stored_day(user_id, date).await?;
        let fetch = fetch.unwrap_or_else(|error| Fetch {
            // A new member's first sync holds the lease while it waits for the quota.
            sync: if error.quota_wait().is_some() || is_new && matches!(error, SyncError::Busy) {
                SyncOutcome::Deferred
            } else {
                SyncOutcome::Failed
            },
            detail: Some(error.told()),
            ..Fetch::quiet(SyncOutcome::Failed, false)
        });
        let offset_seconds = self.query(&stored, date, refresh, false).offset_seconds;
        let (_, until) = span_of(date, offset_seconds);
        stored.coverage = fetch.coverage_with(stored.coverage, until);
        let query = self.query(&stored, date, refresh, fetch.thrifty);
        Ok(answer(user_id, &stored, &query, &fetch))
    }

    /// Syncs what the day lacks, or waits for whoever already does.
    async fn fetch_day(
        &self,
        user_id: &UserId,
        job: &Job,
        date: NaiveDate,
        refresh: Refresh,
    ) -> Result<Fetch, SyncError> {
        if let Err(error) = self.ensure_living_token(user_id, job).await {
            let stored = self.stored_day(user_id, date).await?;
            let thrifty = self.quota.was_scarce();
            let calls = self
                .query(&stored, date, refresh, thrifty)
                .calls(&stored.coverage);
            let wanted: Vec<_> = calls.iter().map(|call| call.data_type).collect();
            let report = self.without_token(user_id, &wanted, error).await?;
            return Ok(fetch_of(&report, thrifty));
        }
        let lease = self.take_lease(user_id, job).await?;
        // Read again under the lease: its former holder may have fetched this.
        let stored = self.stored_day(user_id, date).await?;
        // What a forced request waited for is as fresh as it can be.
        let left = if lease.waited && refresh == Refresh::Force {
            Refresh::Auto
        } else {
            refresh
        };
        let thrifty = self.quota.is_scarce().await?;
        let query = self.query(&stored, date, left, thrifty);
        let calls = query.calls(&stored.coverage);
        let mut report = None;
        if !calls.is_empty() {
            let mut read = self.read(user_id, job, query.now, calls).await;
            if thrifty && read.outcome == Outcome::Done {
                self.read_what_follows(user_id, job, date, &mut read)
                    .await?;
            }
            report = Some(read);
        }
        let waited = lease.waited;
        lease.release().await?;
        Ok(match report {
            Some(report) => fetch_of(&report, thrifty),
            None if waited || refresh == Refresh::Force => {
                Fetch::quiet(SyncOutcome::Shared, thrifty)
            }
            None => Fetch::quiet(SyncOutcome::NotNeeded, thrifty),
        })
    }

    /// Reads what only now is known to be there; see [`DayQuery::calls`].
    async fn read_what_follows(
        &self,
        user_id: &UserId,
        job: &Job,
        date: NaiveDate,
        read: &mut MemberReport,
    ) -> Result<(), SyncError> {
        let stored = self.stored_day(user_id, date).await?;
        let query = self.query(&stored, date, Refresh::Auto, true);
        let calls = query.calls(&stored.coverage);
        if !calls.is_empty() {
            read.and(self.read(user_id, job, query.now, calls).await);
        }
        Ok(())
    }

    /// The day, if it needs no call to WHOOP.
    fn without_whoop(
        &self,
        user_id: &UserId,
        stored: &StoredDay,
        date: NaiveDate,
        refresh: Refresh,
    ) -> Option<Day> {
        let thrifty = self.quota.was_scarce();
        let query = self.query(stored, date, refresh, thrifty);
        let is_connected = connection_of(stored) == Connection::Connected;
        if is_connected && !query.calls(&stored.coverage).is_empty() {
            return None;
        }
        let sync = match refresh {
            _ if !is_connected => SyncOutcome::Off,
            Refresh::Never => SyncOutcome::Off,
            Refresh::Auto => SyncOutcome::NotNeeded,
            // All of it was read a moment ago.
            Refresh::Force => SyncOutcome::Shared,
        };
        let fetch = Fetch::quiet(sync, thrifty);
        Some(answer(user_id, stored, &query, &fetch))
    }

    async fn stored_day(&self, user_id: &UserId, date: NaiveDate) -> Result<StoredDay, SyncError> {
        let conn = self.database.get().await?;
        Ok(stored_day::read(&conn, user_id, date, self.clock.now()).await?)
    }

    fn query(
        &self,
        stored: &StoredDay,
        date: NaiveDate,
        refresh: Refresh,
        thrifty: bool,
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
            forced_reads_every: self.settings.forced_reads_every,
            night: stored.records.night(),
            named: stored.records.named(),
            thrifty,
            signals: stored.signals,
        }
    }

    /// Notes that somebody looks at this member's data.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away.
    pub async fn note_seen(&self, user_id: &UserId) -> Result<(), SyncError> {
        let mut conn = self.database.get().await?;
        users::seen(&mut conn, user_id, self.clock.now(), NOTE_VISITS_EVERY).await?;
        Ok(())
    }

    fn is_new_visit(&self, stored: &StoredDay) -> bool {
        let last = stored.member.as_ref().map(|member| member.last_seen_at);
        last.is_some_and(|last| {
            last.is_none_or(|last| self.clock.now() - last >= NOTE_VISITS_EVERY)
        })
    }

    /// Beside the answer, not before it.
    fn note_visit(&self, user_id: &UserId, stored: &StoredDay) {
        if !self.is_new_visit(stored) {
            return;
        }
        let now = self.clock.now();
        let (engine, user_id) = (self.clone(), user_id.clone());
        tokio::spawn(async move {
            let noted = async {
                let mut conn = engine.database.get().await?;
                users::seen(&mut conn, &user_id, now, NOTE_VISITS_EVERY).await
            };
            if let Err(error) = noted.await {
                tracing::warn!(member = %user_id, error = %error, "the visit could not be noted");
            }
        });
    }
}

fn connection_of(stored: &StoredDay) -> Connection {
    stored
        .member
        .as_ref()
        .map_or(Connection::NeverConnected, |member| member.connection)
}

/// The member's date at an instant, at the offset of their latest record.
fn today_of(stored: &StoredDay, now: DateTime<Utc>) -> NaiveDate {
    let member = stored.member.as_ref();
    offset::local_date(
        now,
        member.and_then(|member| member.timezone_offset.as_deref()),
    )
}

fn fetch_of(report: &MemberReport, thrifty: bool) -> Fetch {
    let sync = match report.outcome {
        Outcome::Done => SyncOutcome::Done,
        Outcome::Shared => SyncOutcome::Shared,
        Outcome::Deferred => SyncOutcome::Deferred,
        Outcome::Failed | Outcome::Stopped => SyncOutcome::Failed,
    };
    Fetch {
        sync,
        detail: report.told.clone(),
        thrifty,
        proven: report
            .types
            .iter()
            .filter_map(|one| one.proven.map(|(from, until)| (one.data_type, from, until)))
            .collect(),
    }
}

fn answer(user_id: &UserId, stored: &StoredDay, query: &DayQuery, fetch: &Fetch) -> Day {
    let coverage = &stored.coverage;
    let connection = connection_of(stored);
    let last_synced_at = coverage
        .iter()
        .map(|one| one.last_sync_at)
        .min()
        // A type that was never read makes the day one that never was.
        .flatten();
    let stale = if query.is_live() {
        !coverage.iter().all(|one| query.is_current(one))
    } else {
        !coverage.iter().all(|one| query.is_known(one))
    };
    let meta = Meta {
        source: match fetch.sync {
            SyncOutcome::Done => Source::Whoop,
            _ => Source::Database,
        },
        connection,
        last_synced_at,
        stale,
        sync: fetch.sync,
        detail: fetch.detail.clone(),
    };
    let known = Knowledge {
        query,
        coverage,
        connection,
        quota_spent: fetch.sync == SyncOutcome::Deferred,
    };
    compose(user_id.clone(), &stored.records, known, meta)
}
