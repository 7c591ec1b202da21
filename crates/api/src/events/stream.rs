//! The event stream of one caller, in the format of server-sent events.

use std::{collections::HashMap, convert::Infallible, time::Duration};

use actix_web::web::{self, Bytes};
use chrono::NaiveDate;
use futures::{Stream, stream};
use serde_json::json;
use tokio::time::{Instant, sleep_until};
use whoop_core::{UserId, day::ConnectionStatus};
use whoop_storage::{
    change_feed::{self, FeedRows},
    service_key::KeyDigest,
    table::change::ChangeRow,
};

use super::hub::{FollowedState, Subscription};
use crate::{caller, problem::Problem, state::AppState};

/// Interval between two heartbeats in a stream. It is shorter than the idle timeout of usual
/// proxies, which would otherwise close a stream without events.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// First field of each stream. It makes a browser reconnect 2 seconds after it has lost the
/// connection.
const RETRY_FIELD: &str = "retry: 2000\n\n";

/// Maximum number of changes that a stream reads from the database at once.
const MAX_CHANGES_PER_READ: i64 = 1000;

/// Interval at which an open stream is recorded as an app open of the member.
const APP_OPEN_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// An accepted request to open an event stream.
pub(crate) struct EventStreamRequest {
    pub(crate) user_id: UserId,
    pub(crate) subscription: Subscription,
    /// Sequence number of the last event that the caller received, from which the stream resumes.
    /// `None` if the caller sent no number.
    pub(crate) last_event_id: Option<i64>,
    /// Time until the token or key that opened the stream expires; `None` if it does not expire.
    pub(crate) remaining_lifetime: Option<Duration>,
    /// Digest of the service key that opened the stream, if this key is stored in the database.
    pub(crate) key: Option<KeyDigest>,
}

struct EventStream {
    state: web::Data<AppState>,
    user_id: UserId,
    subscription: Subscription,
    /// Sequence number of the last change that the caller has. `None` until the first read, if the
    /// caller sent no number.
    last_sent: Option<i64>,
    connection: Option<ConnectionStatus>,
    key: Option<KeyDigest>,
    key_seen_at: Instant,
    ends_at: Option<Instant>,
    app_open_recorded_at: Option<Instant>,
}

/// Opens an event stream, and returns the body of the response: the text of the events, as they
/// occur.
pub(crate) fn open_stream(
    state: web::Data<AppState>,
    request: EventStreamRequest,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let ends_at = request
        .remaining_lifetime
        // If the lifetime is too long to be added to the clock, the stream has no end.
        .and_then(|lifetime| Instant::now().checked_add(lifetime));
    let event_stream = EventStream {
        state,
        user_id: request.user_id,
        subscription: request.subscription,
        last_sent: request.last_event_id,
        connection: None,
        key: request.key,
        key_seen_at: Instant::now(),
        ends_at,
        app_open_recorded_at: None,
    };
    let beginning = stream::iter([Ok(Bytes::from_static(RETRY_FIELD.as_bytes()))]);
    let events = stream::unfold(event_stream, |mut event_stream| async move {
        let text = event_stream.next_events().await?;
        Some((Ok(Bytes::from(text)), event_stream))
    });
    futures::StreamExt::chain(beginning, events)
}

impl EventStream {
    /// Returns the text of the next events, or a heartbeat if there are no events for 15 seconds.
    /// Returns `None` when the stream ends.
    async fn next_events(&mut self) -> Option<String> {
        let stopping = self.state.background.stop_token();
        let replaced = self.subscription.replaced.clone();
        let ends_at = self.ends_at;
        let expiry = async {
            match ends_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopping.cancelled() => None,
            () = replaced.cancelled() => None,
            () = expiry => None,
            text = self.wait_for_events() => {
                if self.key_has_ended().await { None } else { Some(text) }
            }
        }
    }

    /// Returns whether the service key that opened the stream was revoked or has expired. The
    /// database is queried at most once per heartbeat interval.
    async fn key_has_ended(&mut self) -> bool {
        let Some(digest) = self.key else {
            return false;
        };
        if self.key_seen_at.elapsed() < HEARTBEAT_INTERVAL {
            return false;
        }
        self.key_seen_at = Instant::now();
        !caller::is_key_active(&self.state, digest).await
    }

    async fn wait_for_events(&mut self) -> String {
        self.record_app_open();
        let heartbeat = sleep_until(Instant::now() + HEARTBEAT_INTERVAL);
        tokio::pin!(heartbeat);
        loop {
            let published = *self.subscription.state.borrow_and_update();
            if let Some(state) = published {
                match self.read_events(state).await {
                    Ok(text) if !text.is_empty() => return text,
                    Ok(_) => {}
                    Err(problem) => {
                        tracing::debug!(%problem, "event stream waits for the database");
                    }
                }
            }
            tokio::select! {
                () = &mut heartbeat => return ": heartbeat\n\n".to_owned(),
                // The sender of the state is in the hub, which exists longer than its streams, so
                // the channel is never closed.
                _ = self.subscription.state.changed() => {}
            }
        }
    }

    async fn read_events(&mut self, state: FollowedState) -> Result<String, Problem> {
        let mut text = String::new();
        let sent = *self.last_sent.get_or_insert(state.latest);
        if sent != state.latest {
            text += &self.read_day_events(sent, state.latest).await?;
        }
        if self.connection != Some(state.connection) {
            self.connection = Some(state.connection);
            let data = json!({ "connection": state.connection.as_str() });
            text += &format_event("connection", self.last_sent, &data);
        }
        Ok(text)
    }

    /// Reads the changes after the sequence number `sent`, and returns the text of one event for
    /// each day that changed.
    ///
    /// If these changes are no longer stored, returns a `reset` event instead.
    async fn read_day_events(&mut self, sent: i64, latest: i64) -> Result<String, Problem> {
        let user_id = self.user_id.clone();
        let found = self
            .state
            .run_on_engine(|engine| async move {
                let mut conn = engine.database.get().await?;
                change_feed::rows_after(&mut conn, &user_id, sent, MAX_CHANGES_PER_READ).await
            })
            .await??;
        let resume_after = match found {
            FeedRows::Rows { rows, .. } => return Ok(self.format_day_events(&rows, latest)),
            FeedRows::UnknownMember => 0,
            FeedRows::Gone { latest } => latest,
        };
        // The changes after the caller's last event are no longer stored, or the member was erased
        // after that event.
        self.last_sent = Some(resume_after);
        Ok(format_event(
            "reset",
            self.last_sent,
            &json!({ "latest": resume_after }),
        ))
    }

    fn format_day_events(&mut self, rows: &[ChangeRow], latest: i64) -> String {
        let Some(last) = rows.last() else {
            return String::new();
        };
        self.last_sent = Some(last.seq);
        if last.seq < latest {
            // Not all changes were read. The next iteration starts immediately and reads the
            // remaining changes.
            self.subscription.state.mark_changed();
        }
        latest_change_by_date(rows)
            .into_iter()
            .map(|(date, seq)| format_event("day", Some(seq), &json!({ "date": date, "seq": seq })))
            .collect()
    }

    fn record_app_open(&mut self) {
        if self
            .app_open_recorded_at
            .is_some_and(|at| at.elapsed() < APP_OPEN_INTERVAL)
        {
            return;
        }
        self.app_open_recorded_at = Some(Instant::now());
        let (engine, user_id) = (self.state.engine.clone(), self.user_id.clone());
        self.state.background.spawn(async move {
            if let Err(error) = engine.days.note_app_open(&user_id).await {
                tracing::debug!(%error, "app open of an event stream not recorded");
            }
        });
    }
}

/// Returns the days that changed, each with the sequence number of its last change, in the order of
/// these numbers.
///
/// A caller who has received the event of one day has therefore also received the events of all
/// days with smaller numbers.
fn latest_change_by_date(rows: &[ChangeRow]) -> Vec<(NaiveDate, i64)> {
    let mut latest: HashMap<NaiveDate, i64> = HashMap::new();
    for row in rows {
        latest.insert(row.local_date, row.seq);
        if let Some(previous) = row.previous_date {
            latest.insert(previous, row.seq);
        }
    }
    let mut days: Vec<(NaiveDate, i64)> = latest.into_iter().collect();
    days.sort_unstable_by_key(|(date, seq)| (*seq, *date));
    days
}

fn format_event(name: &str, id: Option<i64>, data: &serde_json::Value) -> String {
    let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    format!("{id}event: {name}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: i64, day: u32, previous: Option<u32>) -> ChangeRow {
        let date = |day| NaiveDate::from_ymd_opt(2026, 3, day).unwrap();
        ChangeRow {
            seq,
            data_type: "sleep".to_owned(),
            record_id: seq.to_string(),
            local_date: date(day),
            previous_date: previous.map(date),
            op: "upsert".to_owned(),
            changed_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn each_changed_date_is_listed_once_with_its_latest_sequence_number() {
        let days = latest_change_by_date(&[
            row(1, 5, None),
            row(2, 6, None),
            row(3, 5, Some(4)),
            row(4, 7, None),
        ]);

        let listed: Vec<(String, i64)> = days
            .into_iter()
            .map(|(date, seq)| (date.to_string(), seq))
            .collect();
        let expected = [
            ("2026-03-06", 2),
            ("2026-03-04", 3),
            ("2026-03-05", 3),
            ("2026-03-07", 4),
        ];
        assert_eq!(listed, expected.map(|(date, seq)| (date.to_owned(), seq)));
    }

    #[test]
    fn an_event_has_the_format_of_server_sent_events() {
        let text = format_event("day", Some(7), &json!({"date": "2026-03-05"}));

        assert_eq!(
            text,
            "id: 7\nevent: day\ndata: {\"date\":\"2026-03-05\"}\n\n"
        );
    }
}
