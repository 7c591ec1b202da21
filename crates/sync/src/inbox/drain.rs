//! Working off what came in, member by member.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use whoop_core::{DataType, UserId, day::Connection, plan::heard::waits_for_a_visit};
use whoop_storage::table::{
    users::{self, UserRow},
    webhook_event::{self, Because, EventRow, State},
};

use super::{
    fetch::{Fate, Fetching},
    verdict::{
        Verdict, after_denial, after_error, after_look, is_about_the_database, stands_in_the_way,
        worse,
    },
};
use crate::{Engine, Job, SyncError};

/// Members whose events are fetched side by side.
const SIDE_BY_SIDE: usize = 4;

/// Accounts that are looked for at once.
const AT_ONCE: i64 = 64;

/// How long an event is kept for the member's next visit where calls are scarce,
/// before it is looked whether somebody has read what it names.
const KEPT_FOR_A_VISIT: TimeDelta = TimeDelta::hours(6);

/// Whether calls are spared where the quota is scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thrift {
    /// Where it is, events of members who are not looking wait for their visit,
    /// which fetches what they name.
    Yes,
    /// Somebody asked for it.
    No,
}

/// What became of the events that were due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Drained {
    pub done: u64,
    /// Tried again later: WHOOP was out of order, the score is not there yet, the
    /// quota is spent.
    pub put_off: u64,
    /// Given up.
    pub dead: u64,
    /// Of nobody who is connected.
    pub unknown_member: u64,
    /// Calls to WHOOP.
    pub calls: u64,
}

impl Engine {
    /// When the next event is due; `None` if none is there.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away.
    pub async fn next_webhook(&self) -> Result<Option<DateTime<Utc>>, SyncError> {
        let mut conn = self.database.get().await?;
        Ok(webhook_event::next_due(&mut conn).await?)
    }

    /// Works off every event that is due, until none is left or the job is to stop.
    ///
    /// # Errors
    ///
    /// PostgreSQL is away; what is not done stays.
    pub async fn drain_webhooks(&self, job: &Job, thrift: Thrift) -> Result<Drained, SyncError> {
        let mut drained = Drained::default();
        loop {
            let accounts = {
                let mut conn = self.database.get().await?;
                webhook_event::due_accounts(&mut conn, self.clock.now(), AT_ONCE).await?
            };
            if accounts.is_empty() || job.stop.is_cancelled() || job.check_calls_left().is_err() {
                break;
            }
            let is_scarce = thrift == Thrift::Yes && self.quota.is_scarce().await?;
            // All of them to their end: one that fails must not cut the others off.
            let done: Vec<Result<Drained, SyncError>> = stream::iter(accounts)
                .map(|account| async move {
                    let verdicts = self.verdicts(account, job, is_scarce).await?;
                    self.carry_out(verdicts).await
                })
                .buffer_unordered(SIDE_BY_SIDE)
                .collect()
                .await;
            for one in done {
                drained.add(one?);
            }
        }
        drained.calls = job.calls();
        Ok(drained)
    }

    /// Fetches what the due events of one WHOOP account speak of.
    async fn verdicts(
        &self,
        account: i64,
        job: &Job,
        is_scarce: bool,
    ) -> Result<Vec<(EventRow, Verdict)>, SyncError> {
        let now = self.clock.now();
        let (members, mut events) = {
            let mut conn = self.database.get().await?;
            let members = users::of_account(&mut conn, account).await?;
            let events = webhook_event::due_of(&mut conn, account, now).await?;
            (members, events)
        };
        let connected: Vec<&UserRow> = members
            .iter()
            .filter(|one| one.connection() == Connection::Connected)
            .collect();
        let for_all = |events: Vec<EventRow>, verdict: &dyn Fn() -> Verdict| {
            let judged = events.into_iter().map(|event| (event, verdict()));
            Ok(judged.collect())
        };
        if connected.is_empty() {
            let has_to_reconnect = |one: &UserRow| one.connection() == Connection::ReauthRequired;
            return if members.iter().any(has_to_reconnect) {
                for_all(events, &|| Verdict::Later {
                    after: TimeDelta::hours(1),
                    because: Because::ItIsNotItsTurn,
                    reason: SyncError::ReauthRequired.to_string(),
                })
            } else {
                let note = match members.is_empty() {
                    true => "no member has this WHOOP account",
                    false => "the member is disconnected",
                };
                for_all(events, &|| {
                    Verdict::End(State::UnknownMember, Some(note.to_owned()))
                })
            };
        }
        let last_seen_at = connected.iter().filter_map(|one| one.last_seen_at).max();
        if waits_for_a_visit(is_scarce, last_seen_at, now) {
            return self.left_to_a_visit(&connected, job, events).await;
        }
        // Sleeps first: a recovery needs its own.
        events.sort_by_key(|event| (event.data_type() != Some(DataType::Sleep), event.id));
        let mut judged: Vec<(EventRow, Option<Verdict>)> =
            events.into_iter().map(|event| (event, None)).collect();
        for member in connected {
            let Ok(user_id) = member.user_id.parse::<UserId>() else {
                continue;
            };
            self.judge_events(&user_id, job, &mut judged).await?;
        }
        let done = || Verdict::End(State::Done, None);
        let judged = judged
            .into_iter()
            .map(|(event, verdict)| (event, verdict.unwrap_or_else(done)));
        Ok(judged.collect())
    }

    /// Ends what a list has answered meanwhile; the rest waits for the member.
    async fn left_to_a_visit(
        &self,
        connected: &[&UserRow],
        job: &Job,
        events: Vec<EventRow>,
    ) -> Result<Vec<(EventRow, Verdict)>, SyncError> {
        let user_ids: Vec<UserId> = connected
            .iter()
            .filter_map(|member| member.user_id.parse().ok())
            .collect();
        let mut fetchings = Vec::with_capacity(user_ids.len());
        for user_id in &user_ids {
            fetchings.push(Fetching::begin(self, user_id, job).await?);
        }
        let mut judged = Vec::with_capacity(events.len());
        for event in events {
            let mut is_answered = true;
            for fetching in &fetchings {
                is_answered = is_answered && fetching.is_answered(&event).await?;
            }
            let verdict = match is_answered {
                true => Verdict::End(State::Done, None),
                false => Verdict::Later {
                    after: KEPT_FOR_A_VISIT,
                    because: Because::ItIsNotItsTurn,
                    reason: "the quota is scarce; fetched when the member comes".to_owned(),
                },
            };
            judged.push((event, verdict));
        }
        Ok(judged)
    }

    /// Fetches for one member, under the lease. Whatever must be tried again for
    /// one of two members is tried again for both.
    async fn judge_events(
        &self,
        user_id: &UserId,
        job: &Job,
        judged: &mut [(EventRow, Option<Verdict>)],
    ) -> Result<(), SyncError> {
        let turn = match self.take_turn(user_id, job).await {
            Ok(turn) => turn,
            Err(error) if is_about_the_database(&error) => return Err(error),
            Err(error) => {
                for (event, verdict) in judged {
                    worse(verdict, after_error(event, &error));
                }
                return Ok(());
            }
        };
        let worked_off = self.work_off(user_id, &turn.job, judged).await;
        self.end_turn(turn).await?;
        worked_off
    }

    async fn work_off(
        &self,
        user_id: &UserId,
        job: &Job,
        judged: &mut [(EventRow, Option<Verdict>)],
    ) -> Result<(), SyncError> {
        let mut fetching = Fetching::begin(self, user_id, job).await?;
        let mut latest = None;
        let mut in_the_way: Option<SyncError> = None;
        for (event, verdict) in judged {
            if let Some(error) = &in_the_way {
                worse(verdict, after_error(event, error));
                continue;
            }
            match fetching.work_off(event).await {
                Ok(Fate::Done) => latest = latest.max(Some(event.received_at)),
                Ok(Fate::Open) => worse(verdict, after_look(event)),
                Ok(Fate::Denied) => worse(verdict, after_denial(event)),
                Err(error) if is_about_the_database(&error) => return Err(error),
                Err(error) => {
                    worse(verdict, after_error(event, &error));
                    if stands_in_the_way(&error) {
                        in_the_way = Some(error);
                    }
                }
            }
        }
        if let Some(latest) = latest {
            let mut conn = self.database.get().await?;
            users::heard_of(&mut conn, user_id, latest).await?;
        }
        tracing::info!(member = %user_id, stored = ?fetching.read.stored, "fetched what webhooks named");
        Ok(())
    }

    async fn carry_out(&self, verdicts: Vec<(EventRow, Verdict)>) -> Result<Drained, SyncError> {
        let now = self.clock.now();
        let mut drained = Drained::default();
        let mut later: HashMap<(DateTime<Utc>, Because, String), Vec<i64>> = HashMap::new();
        let mut conn = self.database.get().await?;
        for (event, verdict) in verdicts {
            match verdict {
                Verdict::End(state, note) => {
                    webhook_event::finish(&mut conn, event.id, state, note.as_deref(), now).await?;
                    match state {
                        State::Dead => {
                            tracing::warn!(
                                event = event.id,
                                event_type = event.event_type,
                                record = event.record_id,
                                error = note,
                                "a webhook is given up; `sync-worker webhooks replay` tries it again"
                            );
                            drained.dead += 1;
                        }
                        State::UnknownMember => drained.unknown_member += 1,
                        _ => drained.done += 1,
                    }
                }
                Verdict::Later {
                    after,
                    because,
                    reason,
                } => {
                    drained.put_off += 1;
                    let alike = later.entry((now + after, because, reason)).or_default();
                    alike.push(event.id);
                }
            }
        }
        for ((until, because, reason), ids) in later {
            webhook_event::put_off(&mut conn, &ids, until, because, &reason).await?;
        }
        Ok(drained)
    }
}

impl Drained {
    fn add(&mut self, other: Self) {
        self.done += other.done;
        self.put_off += other.put_off;
        self.dead += other.dead;
        self.unknown_member += other.unknown_member;
    }
}
