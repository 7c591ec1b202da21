//! What one event speaks of, made equal to what WHOOP has.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::{DataType, UserId, coverage::Coverage};
use whoop_storage::{
    subject::{self, Subject},
    table::{rejected_record, webhook_event::EventRow},
};

use crate::{
    Engine, Job, SyncError,
    by_id::{Answer, FirstDenial},
    window::Read,
};

/// Every window reads so far back, whatever is covered.
const EVERY_WINDOW: TimeDelta = TimeDelta::hours(48);

/// The clock of whoever read may be ahead of that of whoever received.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(1);

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    Done,
    /// What it speaks of still waits for its score.
    Open,
    /// WHOOP answered 404, which may be only for a moment.
    Denied,
}

/// The events of one member that are fetched together: each record once.
pub(super) struct Fetching<'a> {
    engine: &'a Engine,
    user_id: &'a UserId,
    job: &'a Job,
    coverage: Vec<Coverage>,
    fetched: HashMap<(DataType, String), Fate>,
    pub(super) read: Read,
}

impl<'a> Fetching<'a> {
    /// The caller holds the lease.
    pub(super) async fn begin(
        engine: &'a Engine,
        user_id: &'a UserId,
        job: &'a Job,
    ) -> Result<Self, SyncError> {
        Ok(Self {
            engine,
            user_id,
            job,
            coverage: engine.coverage(user_id).await?,
            fetched: HashMap::new(),
            read: Read::default(),
        })
    }

    pub(super) async fn work_off(&mut self, event: &EventRow) -> Result<Fate, SyncError> {
        let Some(data_type) = event.data_type() else {
            return Ok(Fate::Done);
        };
        let known = (data_type, event.record_id.clone());
        match self.fetched.get(&known) {
            // A deletion is a denial of its own.
            Some(Fate::Denied) if event.is_deletion() => {}
            Some(fate) => return Ok(*fate),
            None => {}
        }
        // Of this event alone: another of the same record may have come since.
        if self.is_answered(event).await? {
            return Ok(Fate::Done);
        }
        let first_denial = match event.is_deletion() {
            true => FirstDenial::Webhook,
            false => FirstDenial::NotFound,
        };
        let id = event.record_id.clone();
        let fate = match data_type {
            DataType::Recovery => self.recovery_of(id, first_denial).await?,
            _ => self.fate_after(data_type, id, first_denial).await?,
        };
        self.fetched.insert(known, fate);
        Ok(fate)
    }

    /// Whether what an event speaks of is here without a call.
    pub(super) async fn is_answered(&self, event: &EventRow) -> Result<bool, SyncError> {
        let Some(data_type) = event.data_type() else {
            return Ok(true);
        };
        let stored = self.stored(data_type, &event.record_id).await?;
        // Gone from here already, as with the sleep that took it along.
        let is_gone = event.is_deletion() && stored.is_empty();
        if is_gone {
            let mut conn = self.engine.database.get().await?;
            let ids = [event.record_id.clone()];
            rejected_record::forget(&mut conn, self.user_id, data_type, &ids).await?;
        }
        Ok(is_gone
            || was_scored_since(event, data_type, &stored)
            || self.was_read_since(event, data_type, &stored))
    }

    /// A recovery goes by the number of its cycle, which only its sleep tells.
    async fn recovery_of(
        &mut self,
        sleep_id: String,
        first_denial: FirstDenial,
    ) -> Result<Fate, SyncError> {
        // What is stored of both nearly always says it.
        if let Some(cycle) = self.cycle_as_stored(&sleep_id).await? {
            let answer = self.ask(DataType::Recovery, cycle, first_denial).await?;
            if !self.stored(DataType::Recovery, &sleep_id).await?.is_empty() {
                return self.fate_of(DataType::Recovery, &sleep_id, answer).await;
            }
            // It left, or was another night's: the sleep knows.
        }
        let sleep = (DataType::Sleep, sleep_id.clone());
        if !self.fetched.contains_key(&sleep) {
            let fate = self
                .fate_after(DataType::Sleep, sleep_id.clone(), FirstDenial::NotFound)
                .await?;
            self.fetched.insert(sleep.clone(), fate);
        }
        // A night that waits for its score has no recovery that does not, and one that WHOOP
        // denies may be there in a moment.
        if let Some(fate @ (Fate::Open | Fate::Denied)) = self.fetched.get(&sleep) {
            return Ok(*fate);
        }
        let sleeps = self.stored(DataType::Sleep, &sleep_id).await?;
        let its_cycle = sleeps.first().and_then(Subject::cycle);
        // One that is stored under another cycle may have gone with it.
        let stored = self.stored(DataType::Recovery, &sleep_id).await?;
        let mut cycles: Vec<String> = stored.into_iter().map(|one| one.id).collect();
        cycles.extend(its_cycle.map(|id| id.to_string()));
        cycles.sort_unstable();
        cycles.dedup();
        let mut answer = Answer::Gone;
        for cycle in cycles {
            answer = self.ask(DataType::Recovery, cycle, first_denial).await?;
        }
        self.fate_of(DataType::Recovery, &sleep_id, answer).await
    }

    /// The cycle under which a night's recovery is stored, if its sleep agrees.
    async fn cycle_as_stored(&self, sleep_id: &str) -> Result<Option<String>, SyncError> {
        let sleeps = self.stored(DataType::Sleep, sleep_id).await?;
        let recoveries = self.stored(DataType::Recovery, sleep_id).await?;
        let its_cycle = sleeps.first().and_then(Subject::cycle);
        let its_cycle = its_cycle.map(|id| id.to_string());
        let is_settled = sleeps.iter().all(|one| !one.is_open);
        let agrees = |cycle: &String| recoveries.iter().all(|one| one.id == *cycle);
        Ok(its_cycle.filter(|cycle| is_settled && agrees(cycle)))
    }

    /// Whether a list was read after the event came, with its record on it.
    fn was_read_since(&self, event: &EventRow, data_type: DataType, stored: &[Subject]) -> bool {
        let last = self
            .coverage
            .iter()
            .find(|one| one.data_type == data_type)
            .and_then(|one| one.last_sync_at);
        let is_listed = |one: &Subject, last: DateTime<Utc>| {
            !one.is_open && one.happened_at > last - EVERY_WINDOW
        };
        !event.is_deletion()
            && !stored.is_empty()
            && last.is_some_and(|last| {
                last - CLOCKS_DIFFER > event.received_at
                    && stored.iter().all(|one| is_listed(one, last))
            })
    }

    async fn ask(
        &mut self,
        data_type: DataType,
        id: String,
        first_denial: FirstDenial,
    ) -> Result<Answer, SyncError> {
        self.engine
            .ask_by_id(
                self.user_id,
                self.job,
                data_type,
                id,
                first_denial,
                &mut self.read,
            )
            .await
    }

    async fn fate_after(
        &mut self,
        data_type: DataType,
        id: String,
        first_denial: FirstDenial,
    ) -> Result<Fate, SyncError> {
        let answer = self.ask(data_type, id.clone(), first_denial).await?;
        self.fate_of(data_type, &id, answer).await
    }

    async fn fate_of(
        &self,
        data_type: DataType,
        event_id: &str,
        answer: Answer,
    ) -> Result<Fate, SyncError> {
        if answer == Answer::DeniedOnce {
            return Ok(Fate::Denied);
        }
        let stored = self.stored(data_type, event_id).await?;
        Ok(if stored.iter().any(|one| one.is_open) {
            Fate::Open
        } else {
            Fate::Done
        })
    }

    async fn stored(&self, data_type: DataType, event_id: &str) -> Result<Vec<Subject>, SyncError> {
        let mut conn = self.engine.database.get().await?;
        Ok(subject::of(&mut conn, self.user_id, data_type, event_id).await?)
    }
}

/// Whether what only waited for its score has it, which somebody else brought. Of a
/// recovery that says nothing: it may have waited for its sleep, with an old score.
fn was_scored_since(event: &EventRow, data_type: DataType, stored: &[Subject]) -> bool {
    data_type != DataType::Recovery
        && event.looks > 0
        && !stored.is_empty()
        && stored.iter().all(|one| !one.is_open)
}
