//! Queue of webhooks with the times of their delivery attempts, by the simulator's clock. It does
//! no I/O.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::WebhookFaults;
use crate::{data_type::SimDataType, life::SeededRng};

/// Minutes from one delivery attempt to the next: five retries within an hour.
///
/// WHOOP does not document these intervals. Each interval counts from the previous attempt, so that
/// a jump of the clock does not cause all retries at once.
const RETRY_DELAYS_MINUTES: [i64; 5] = [1, 4, 10, 15, 30];

/// Maximum number of finished deliveries that are stored. It limits the memory of long tests.
const MAX_FINISHED: usize = 100_000;

/// A change that WHOOP announces with a webhook. For a recovery, `id` is the id of its sleep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SimWebhookEvent {
    pub(crate) data_type: SimDataType,
    pub(crate) deleted: bool,
    pub(crate) id: String,
}

impl SimWebhookEvent {
    /// Returns the event type that WHOOP sends; `None` for a cycle, because WHOOP sends no webhooks
    /// about cycles.
    ///
    /// A new record is announced as updated.
    fn event_type(&self) -> Option<&'static str> {
        Some(match (self.data_type, self.deleted) {
            (SimDataType::Cycle, _) => return None,
            (SimDataType::Recovery, false) => "recovery.updated",
            (SimDataType::Recovery, true) => "recovery.deleted",
            (SimDataType::Sleep, false) => "sleep.updated",
            (SimDataType::Sleep, true) => "sleep.deleted",
            (SimDataType::Workout, false) => "workout.updated",
            (SimDataType::Workout, true) => "workout.deleted",
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryState {
    Waiting,
    InFlight,
    Delivered,
    /// The first attempt and all five retries failed, and there are no more attempts.
    GivenUp,
    /// The webhook was never sent, because of [`WebhookFaults::lose`].
    Lost,
}

/// Delivery of one webhook to the receiver. A duplicate is a separate delivery.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WebhookDelivery {
    /// Sequence number from 1, in the order in which the events were published.
    pub seq: u64,
    pub whoop_user_id: i64,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub id: String,
    pub trace_id: String,
    pub state: DeliveryState,
    pub published_at: DateTime<Utc>,
    pub due_at: DateTime<Utc>,
    pub attempts: Vec<DeliveryAttempt>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeliveryAttempt {
    pub at: DateTime<Utc>,
    /// Value of the webhook's timestamp header, which is part of the signature.
    pub timestamp_ms: i64,
    pub status: Option<u16>,
    /// Error of an attempt that got no response.
    pub error: Option<String>,
}

/// A webhook that is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutgoingWebhook {
    pub(crate) seq: u64,
    pub(crate) timestamp_ms: i64,
    pub(crate) body: String,
}

/// The body of a webhook, with the fields in WHOOP's order.
#[derive(Serialize)]
struct WebhookBody<'a> {
    user_id: i64,
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    trace_id: &'a str,
}

#[derive(Debug, Default)]
pub(crate) struct WebhookOutbox {
    pub(crate) url: Option<String>,
    pub(crate) faults: WebhookFaults,
    last_seq: u64,
    unfinished: BTreeMap<u64, WebhookDelivery>,
    /// Waiting deliveries, sorted by the time at which they are due.
    queue: BTreeSet<(DateTime<Utc>, u64)>,
    finished: VecDeque<WebhookDelivery>,
}

impl WebhookOutbox {
    pub(crate) fn new(url: Option<String>, faults: WebhookFaults) -> Self {
        Self {
            url,
            faults,
            ..Self::default()
        }
    }

    /// Queues the webhook of an event. Does nothing if no receiver's URL is configured.
    pub(crate) fn publish(
        &mut self,
        event: &SimWebhookEvent,
        whoop_user_id: i64,
        at: DateTime<Utc>,
        rng: &mut SeededRng,
    ) {
        let Some(kind) = event.event_type().filter(|_| self.url.is_some()) else {
            return;
        };
        let trace_id = rng.uuid().to_string();
        let is_lost = rng.random_bool(self.faults.lose);
        let copies = 1 + u8::from(rng.random_bool(self.faults.duplicate) && !is_lost);
        for _ in 0..copies {
            let max_seconds = i64::try_from(self.faults.delay_seconds).unwrap_or(0);
            let due_at = at + TimeDelta::milliseconds(rng.int_between(0, max_seconds * 1_000));
            self.last_seq += 1;
            let delivery = WebhookDelivery {
                seq: self.last_seq,
                whoop_user_id,
                kind,
                id: event.id.clone(),
                trace_id: trace_id.clone(),
                state: DeliveryState::Waiting,
                published_at: at,
                due_at,
                attempts: Vec::new(),
            };
            if is_lost {
                self.finish(delivery, DeliveryState::Lost);
            } else {
                self.queue.insert((due_at, self.last_seq));
                self.unfinished.insert(self.last_seq, delivery);
            }
        }
    }

    /// Returns the webhooks that are due. For each of them, a new attempt is recorded and the state
    /// becomes `InFlight`.
    pub(crate) fn take_due(
        &mut self,
        now: DateTime<Utc>,
        rng: &mut SeededRng,
    ) -> Vec<OutgoingWebhook> {
        let mut webhooks = Vec::new();
        while let Some(&(due_at, seq)) = self.queue.first()
            && due_at <= now
        {
            self.queue.pop_first();
            let Some(delivery) = self.unfinished.get_mut(&seq) else {
                continue;
            };
            let timestamp_ms = match delivery.attempts.first() {
                Some(first) if !self.faults.fresh_timestamp_on_retry => first.timestamp_ms,
                _ => now.timestamp_millis(),
            };
            delivery.state = DeliveryState::InFlight;
            delivery.attempts.push(DeliveryAttempt {
                at: now,
                timestamp_ms,
                status: None,
                error: None,
            });
            let body = WebhookBody {
                user_id: delivery.whoop_user_id,
                id: &delivery.id,
                kind: delivery.kind,
                trace_id: &delivery.trace_id,
            };
            webhooks.push(OutgoingWebhook {
                seq,
                timestamp_ms,
                body: serde_json::to_string(&body).expect("numbers and strings can be serialized"),
            });
        }
        if self.faults.reorder {
            for last in (1..webhooks.len()).rev() {
                webhooks.swap(last, rng.index(last + 1));
            }
        }
        webhooks
    }

    /// Records the answer to an attempt. Every status except 2xx is a failure.
    ///
    /// The answer is ignored if the delivery was removed by `clear` in the meantime.
    pub(crate) fn record_answer(&mut self, seq: u64, answer: Result<u16, String>) {
        let Some(mut delivery) = self.unfinished.remove(&seq) else {
            return;
        };
        let is_delivered = matches!(answer, Ok(200..=299));
        if let Some(attempt) = delivery.attempts.last_mut() {
            match answer {
                Ok(status) => attempt.status = Some(status),
                Err(error) => attempt.error = Some(error),
            }
        }
        let attempts = delivery.attempts.len();
        let retry = attempts
            .checked_sub(1)
            .and_then(|index| RETRY_DELAYS_MINUTES.get(index));
        match (is_delivered, retry, delivery.attempts.last()) {
            (true, _, _) => self.finish(delivery, DeliveryState::Delivered),
            (false, Some(&minutes), Some(last)) => {
                delivery.due_at = last.at + TimeDelta::minutes(minutes);
                delivery.state = DeliveryState::Waiting;
                self.queue.insert((delivery.due_at, seq));
                self.unfinished.insert(seq, delivery);
            }
            _ => self.finish(delivery, DeliveryState::GivenUp),
        }
    }

    fn finish(&mut self, mut delivery: WebhookDelivery, state: DeliveryState) {
        delivery.state = state;
        if self.finished.len() == MAX_FINISHED {
            self.finished.pop_front();
        }
        self.finished.push_back(delivery);
    }

    /// Returns the finished and the unfinished deliveries, in the order in which their events were
    /// published.
    pub(crate) fn list(&self) -> Vec<&WebhookDelivery> {
        let mut all: Vec<_> = self
            .finished
            .iter()
            .chain(self.unfinished.values())
            .collect();
        all.sort_by_key(|delivery| delivery.seq);
        all
    }

    /// Removes all deliveries, including those that are not sent yet.
    pub(crate) fn clear(&mut self) {
        self.unfinished.clear();
        self.queue.clear();
        self.finished.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reorder_sends_webhooks_that_are_due_together_in_another_order() {
        let faults = WebhookFaults {
            reorder: true,
            ..WebhookFaults::default()
        };
        let mut outbox = WebhookOutbox::new(Some("http://127.0.0.1:9".to_owned()), faults);
        let mut rng = SeededRng::new(7, 1);
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for id in 0..20 {
            let event = SimWebhookEvent {
                data_type: SimDataType::Workout,
                deleted: false,
                id: id.to_string(),
            };
            outbox.publish(&event, 1, now, &mut rng);
        }
        let order: Vec<u64> = outbox
            .take_due(now, &mut rng)
            .iter()
            .map(|it| it.seq)
            .collect();
        assert_eq!(order.len(), 20);
        assert!(!order.is_sorted());
        assert!(outbox.take_due(now, &mut rng).is_empty());
    }
}
