use secrecy::SecretString;
use serde_json::value::RawValue;
use whoop_core::{
    CycleId, SleepId, WorkoutId,
    record::{Cycle, Record, Recovery, Rejected, Sleep, Workout, read},
};

use crate::{Whoop, WhoopError, call::Call};

/// What WHOOP has under an id.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<R> {
    Record(Box<R>),
    /// WHOOP has none, any more or yet.
    Gone,
    /// It could not be read; here is its raw text.
    Rejected(Rejected),
}

impl Whoop {
    pub async fn cycle(
        &self,
        access_token: &SecretString,
        id: CycleId,
    ) -> Result<Found<Cycle>, WhoopError> {
        let path = ["v2", "cycle", &id.to_string()];
        self.find("v2/cycle/{id}", &path, access_token).await
    }

    pub async fn sleep(
        &self,
        access_token: &SecretString,
        id: &SleepId,
    ) -> Result<Found<Sleep>, WhoopError> {
        let path = ["v2", "activity", "sleep", &id.0];
        self.find("v2/activity/sleep/{id}", &path, access_token)
            .await
    }

    pub async fn workout(
        &self,
        access_token: &SecretString,
        id: &WorkoutId,
    ) -> Result<Found<Workout>, WhoopError> {
        let path = ["v2", "activity", "workout", &id.0];
        self.find("v2/activity/workout/{id}", &path, access_token)
            .await
    }

    /// The recovery of a cycle; [`Found::Gone`] is common, as for a nap-only
    /// day or a night that is still being scored.
    pub async fn recovery_of(
        &self,
        access_token: &SecretString,
        id: CycleId,
    ) -> Result<Found<Recovery>, WhoopError> {
        let path = ["v2", "cycle", &id.to_string(), "recovery"];
        self.find("v2/cycle/{id}/recovery", &path, access_token)
            .await
    }

    async fn find<R: Record>(
        &self,
        endpoint: &'static str,
        path: &[&str],
        access_token: &SecretString,
    ) -> Result<Found<R>, WhoopError> {
        // A URL drops such a segment, and the whole list would answer.
        if path
            .iter()
            .any(|segment| matches!(*segment, "" | "." | ".."))
        {
            return Ok(Found::Gone);
        }
        let url = self.api(path.iter().copied());
        let call = Call::get(endpoint, url, access_token);
        let Some(raw) = self.json::<Box<RawValue>>(&call).await? else {
            return Ok(Found::Gone);
        };
        Ok(match read(&raw) {
            Ok(record) => Found::Record(Box::new(record)),
            Err(rejected) => Found::Rejected(rejected),
        })
    }
}
