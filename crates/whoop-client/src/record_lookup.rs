use secrecy::SecretString;
use serde_json::value::RawValue;
use whoop_core::{
    CycleId, SleepId, WorkoutId,
    record::{Cycle, Record, Recovery, RejectedRecord, Sleep, Workout, parse_record},
};

use crate::{WhoopClient, WhoopError, call::ApiCall};

/// Result of the request for one record by its id.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordLookup<R> {
    Record(Box<R>),
    /// WHOOP has no record with this id: the record was deleted, or does not exist yet.
    NotFound,
    /// The record could not be parsed. The value contains its raw text and the reason.
    Rejected(RejectedRecord),
}

impl WhoopClient {
    pub async fn fetch_cycle(
        &self,
        access_token: &SecretString,
        id: CycleId,
    ) -> Result<RecordLookup<Cycle>, WhoopError> {
        let path = ["v2", "cycle", &id.to_string()];
        fetch_by_id(self, "v2/cycle/{id}", &path, access_token).await
    }

    pub async fn fetch_sleep(
        &self,
        access_token: &SecretString,
        id: &SleepId,
    ) -> Result<RecordLookup<Sleep>, WhoopError> {
        let path = ["v2", "activity", "sleep", &id.0];
        fetch_by_id(self, "v2/activity/sleep/{id}", &path, access_token).await
    }

    pub async fn fetch_workout(
        &self,
        access_token: &SecretString,
        id: &WorkoutId,
    ) -> Result<RecordLookup<Workout>, WhoopError> {
        let path = ["v2", "activity", "workout", &id.0];
        fetch_by_id(self, "v2/activity/workout/{id}", &path, access_token).await
    }

    /// Fetches the recovery of a cycle.
    ///
    /// [`RecordLookup::NotFound`] is common, for example for a cycle with only naps, or while WHOOP
    /// is still scoring the night.
    pub async fn fetch_recovery(
        &self,
        access_token: &SecretString,
        id: CycleId,
    ) -> Result<RecordLookup<Recovery>, WhoopError> {
        let path = ["v2", "cycle", &id.to_string(), "recovery"];
        fetch_by_id(self, "v2/cycle/{id}/recovery", &path, access_token).await
    }
}

async fn fetch_by_id<R: Record>(
    client: &WhoopClient,
    endpoint: &'static str,
    path: &[&str],
    access_token: &SecretString,
) -> Result<RecordLookup<R>, WhoopError> {
    // A URL omits an empty or dotted path segment, so WHOOP would answer with the whole list.
    if path
        .iter()
        .any(|segment| matches!(*segment, "" | "." | ".."))
    {
        return Ok(RecordLookup::NotFound);
    }
    let url = client.shared.config.endpoint(path.iter().copied());
    let call = ApiCall::get(endpoint, url, access_token);
    let Some(raw) = call.fetch_json::<Box<RawValue>>(client).await? else {
        return Ok(RecordLookup::NotFound);
    };
    Ok(match parse_record(&raw) {
        Ok(record) => RecordLookup::Record(Box::new(record)),
        Err(rejected) => RecordLookup::Rejected(rejected),
    })
}
