use secrecy::SecretString;
use serde_json::value::RawValue;
use whoop_core::{
    CycleId, SleepId, WorkoutId,
    record::{Cycle, Record, Recovery, RejectedRecord, Sleep, Workout, parse_record},
};

use crate::{WhoopClient, WhoopError, call::ApiCall};

/// What WHOOP has under an id.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordLookup<R> {
    Record(Box<R>),
    /// WHOOP has none, any more or yet.
    NotFound,
    /// It could not be read; here is its raw text.
    Rejected(RejectedRecord),
}

impl WhoopClient {
    pub async fn fetch_cycle(
        &self,
        access_token: &SecretString,
        id: CycleId,
    ) -> Result<RecordLookup<Cycle>, WhoopError> {
        let path = ["v2", "cycle", &id.to_string()];
        self.fetch_by_id("v2/cycle/{id}", &path, access_token).await
    }

    pub async fn fetch_sleep(
        &self,
        access_token: &SecretString,
        id: &SleepId,
    ) -> Result<RecordLookup<Sleep>, WhoopError> {
        let path = ["v2", "activity", "sleep", &id.0];
        self.fetch_by_id("v2/activity/sleep/{id}", &path, access_token)
            .await
    }

    pub async fn fetch_workout(
        &self,
        access_token: &SecretString,
        id: &WorkoutId,
    ) -> Result<RecordLookup<Workout>, WhoopError> {
        let path = ["v2", "activity", "workout", &id.0];
        self.fetch_by_id("v2/activity/workout/{id}", &path, access_token)
            .await
    }

    /// The recovery of a cycle; [`Found::Gone`] is common, as for a nap-only
    /// day or a night that is still being scored.
    pub async fn fetch_recovery(
        &self,
        access_token: &SecretString,
        id: CycleId,
    ) -> Result<RecordLookup<Recovery>, WhoopError> {
        let path = ["v2", "cycle", &id.to_string(), "recovery"];
        self.fetch_by_id("v2/cycle/{id}/recovery", &path, access_token)
            .await
    }

    async fn fetch_by_id<R: Record>(
        &self,
        endpoint: &'static str,
        path: &[&str],
        access_token: &SecretString,
    ) -> Result<RecordLookup<R>, WhoopError> {
        // A URL drops such a segment, and the whole list would answer.
        if path
            .iter()
            .any(|segment| matches!(*segment, "" | "." | ".."))
        {
            return Ok(RecordLookup::NotFound);
        }
        let url = self.api_url(path.iter().copied());
        let call = ApiCall::get(endpoint, url, access_token);
        let Some(raw) = self.fetch_json::<Box<RawValue>>(&call).await? else {
            return Ok(RecordLookup::NotFound);
        };
        Ok(match parse_record(&raw) {
            Ok(record) => RecordLookup::Record(Box::new(record)),
            Err(rejected) => RecordLookup::Rejected(rejected),
        })
    }
}
