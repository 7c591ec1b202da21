//! Requests the records of webhook events by their ids, if no list contained the records.

use crate::RecordReader;
use std::collections::HashMap;

use whoop_core::{DataType, UserId};
use whoop_storage::{
    event_record::{self, EventRecord},
    table::webhook_event::WebhookEventRow,
};

use crate::{
    SyncContext, SyncError,
    record_by_id::{FirstDenial, RecordAnswer, RecordRequest},
    window::ReadProgress,
};

/// Requests the records that one member's events name, each record only once. The caller holds the
/// member lease.
pub(super) struct EventFetcher<'a> {
    reader: &'a RecordReader,
    user_id: &'a UserId,
    context: &'a SyncContext,
    answers: HashMap<(DataType, String), RecordAnswer>,
    read: ReadProgress,
}

impl<'a> EventFetcher<'a> {
    pub(super) fn new(
        reader: &'a RecordReader,
        user_id: &'a UserId,
        context: &'a SyncContext,
    ) -> Self {
        Self {
            reader,
            user_id,
            context,
            answers: HashMap::new(),
            read: ReadProgress::default(),
        }
    }

    /// Requests the record of an event from WHOOP, and updates or deletes the stored record
    /// accordingly. Returns WHOOP's answer.
    pub(super) async fn fetch(
        &mut self,
        event: &WebhookEventRow,
        data_type: DataType,
    ) -> Result<RecordAnswer, SyncError> {
        let first_denial = match event.is_deletion() {
            true => FirstDenial::Webhook,
            false => FirstDenial::NotFound,
        };
        let id = event.record_id.clone();
        match data_type {
            DataType::Recovery => self.fetch_recovery(id, first_denial).await,
            _ => self.fetch_once(data_type, id, first_denial).await,
        }
    }

    /// Requests the recovery of a sleep.
    ///
    /// WHOOP's API finds a recovery only by the id of its cycle, but the event contains the id of
    /// the sleep. The id of the cycle is therefore taken from the sleep.
    async fn fetch_recovery(
        &mut self,
        sleep_id: String,
        first_denial: FirstDenial,
    ) -> Result<RecordAnswer, SyncError> {
        let mut answer = RecordAnswer::Gone;
        // In nearly all cases, the stored sleep contains the id of the cycle.
        let stored_cycle = self.stored_cycle_id(&sleep_id).await?;
        if let Some(cycle) = stored_cycle.clone() {
            answer = self
                .fetch_once(DataType::Recovery, cycle, first_denial)
                .await?;
            if !self
                .find_stored(DataType::Recovery, &sleep_id)
                .await?
                .is_empty()
            {
                return Ok(answer);
            }
            // The recovery was deleted, or it belongs to another night. WHOOP's version of the
            // sleep contains the right cycle.
        }
        let sleep = self
            .fetch_once(DataType::Sleep, sleep_id.clone(), FirstDenial::NotFound)
            .await?;
        let sleeps = self.find_stored(DataType::Sleep, &sleep_id).await?;
        // If WHOOP does not have the sleep yet, the event is tried again. If the sleep has no score
        // yet, WHOOP announces the recovery again when it has one.
        if sleep == RecordAnswer::DeniedOnce || sleeps.iter().any(|one| one.is_open) {
            return Ok(sleep);
        }
        let cycle_of_sleep = sleeps.first().and_then(EventRecord::started_cycle);
        // A recovery that is stored under another cycle may have been deleted together with that
        // cycle, so it is requested as well.
        let stored = self.find_stored(DataType::Recovery, &sleep_id).await?;
        let mut cycles: Vec<String> = stored.into_iter().map(|one| one.id).collect();
        cycles.extend(cycle_of_sleep.map(|id| id.to_string()));
        for cycle in cycles {
            if stored_cycle.as_ref() != Some(&cycle) {
                answer = self
                    .fetch_once(DataType::Recovery, cycle, first_denial)
                    .await?;
            }
        }
        Ok(answer)
    }

    /// Returns the id of the cycle that the stored sleep names, if the sleep has its score and its
    /// recovery is not stored under another cycle.
    async fn stored_cycle_id(&self, sleep_id: &str) -> Result<Option<String>, SyncError> {
        let sleeps = self.find_stored(DataType::Sleep, sleep_id).await?;
        let recoveries = self.find_stored(DataType::Recovery, sleep_id).await?;
        let cycle_of_sleep = sleeps.first().and_then(EventRecord::started_cycle);
        let cycle_of_sleep = cycle_of_sleep.map(|id| id.to_string());
        let is_scored = sleeps.iter().all(|one| !one.is_open);
        let is_same_cycle = |cycle: &String| recoveries.iter().all(|one| one.id == *cycle);
        Ok(cycle_of_sleep.filter(|cycle| is_scored && is_same_cycle(cycle)))
    }

    async fn fetch_once(
        &mut self,
        data_type: DataType,
        id: String,
        first_denial: FirstDenial,
    ) -> Result<RecordAnswer, SyncError> {
        let key = (data_type, id.clone());
        if let Some(answer) = self.answers.get(&key) {
            return Ok(*answer);
        }
        let request = RecordRequest {
            data_type,
            id,
            first_denial,
        };
        let answer = self
            .reader
            .fetch_by_id(self.user_id, self.context, request, &mut self.read)
            .await?;
        self.answers.insert(key, answer);
        Ok(answer)
    }

    async fn find_stored(
        &self,
        data_type: DataType,
        event_id: &str,
    ) -> Result<Vec<EventRecord>, SyncError> {
        let mut conn = self.reader.database.get().await?;
        Ok(event_record::find_by_event(&mut conn, self.user_id, data_type, event_id).await?)
    }
}
