//! Whether WHOOP can be reached, and what time it is there.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::DATE;
use tokio::time::timeout;
use tracing::Instrument;

use crate::{Whoop, WhoopError, call::span};

/// What an answer of WHOOP's tells, whatever it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    pub status: u16,
    pub took: TimeDelta,
    /// How far our clock is ahead of WHOOP's, to about a second; `None` where
    /// the answer has no time.
    pub ahead: Option<TimeDelta>,
}

impl Whoop {
    /// Asks for a profile without a token. Any answer will do, also the refusal
    /// that is due. It counts as a call.
    ///
    /// # Errors
    ///
    /// No answer, or no leave to call.
    pub async fn reach(&self) -> Result<Reached, WhoopError> {
        let mut patience = self.pace().longest_wait;
        self.gate().pass(&mut patience).await?;
        if let Some(allowance) = self.allowance() {
            allowance.take(&mut patience).await?;
        }
        let url = self.api(["v2", "user", "profile", "basic"]);
        let asked_at = self.now();
        self.count_request();
        let exchange = self
            .exchange(self.http().get(url))
            .instrument(span("reach"));
        let response = timeout(self.pace().call_timeout, exchange)
            .await
            .map_err(|_| WhoopError::TimedOut)??;
        self.note_quota(response.headers()).await;
        let answered_at = self.now();
        let took = answered_at - asked_at;
        let theirs = response
            .headers()
            .get(DATE)
            .and_then(|date| date.to_str().ok())
            .and_then(|date| DateTime::parse_from_rfc2822(date).ok())
            .map(|date| date.with_timezone(&Utc));
        Ok(Reached {
            status: response.status().as_u16(),
            took,
            ahead: theirs.map(|theirs| answered_at - took / 2 - theirs),
        })
    }
}
