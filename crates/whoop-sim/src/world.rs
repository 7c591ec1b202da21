//! The complete state of the simulator, in memory and independent of HTTP.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    call_log::CallLog,
    clock::SimClock,
    config::SimConfig,
    data_type::SimDataType,
    fault::{ActiveFaults, Fault, FaultTarget},
    life::{Person, RecordUpdate, SeededRng},
    oauth::GrantStore,
    people::PersonRegistry,
    protocol::ProtocolOptions,
    rate_limit::RollingRateLimiter,
    webhook::{SimWebhookEvent, WebhookOutbox},
};

/// Maximum time after the simulator's start for which records are generated: 20 years.
///
/// The limit prevents endless work if a test sets the clock to the year 9000.
const MAX_LIFETIME: TimeDelta = TimeDelta::days(20 * 365);

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: SimConfig,
    pub(crate) clock: SimClock,
    pub(crate) people: PersonRegistry,
    /// Time that the simulator's clock showed at the start.
    started_at: DateTime<Utc>,
    pub(crate) grants: GrantStore,
    pub(crate) limiter: RollingRateLimiter,
    pub(crate) faults: ActiveFaults,
    pub(crate) calls: CallLog,
    pub(crate) outbox: WebhookOutbox,
    /// Random numbers for webhooks. They are separate from `rng`, so that webhooks do not change
    /// other random values.
    pub(crate) webhook_rng: SeededRng,
    /// Wakes the task that sends webhooks.
    pub(crate) delivery_wakeup: Arc<Notify>,
    /// Random numbers for ids of inserted records and for faults with a probability.
    pub(crate) rng: SeededRng,
}

impl World {
    pub(crate) fn new(config: SimConfig) -> Self {
        let clock = SimClock::new(config.now, config.speed);
        let sim_start = clock.now();
        let people = PersonRegistry::new(&config, sim_start);
        Self {
            clock,
            people,
            started_at: sim_start,
            grants: GrantStore::new(config.protocol.reuse_mode, config.token_ttl_seconds),
            limiter: RollingRateLimiter::new(config.calls_per_minute, config.calls_per_day),
            faults: ActiveFaults::default(),
            calls: CallLog::default(),
            outbox: WebhookOutbox::new(config.webhook_url.clone(), config.webhook_faults.clone()),
            webhook_rng: SeededRng::new(config.seed, u64::MAX - 1),
            delivery_wakeup: Arc::default(),
            // The random numbers of people use the streams from 0 upwards.
            rng: SeededRng::new(config.seed, u64::MAX),
            config,
        }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) fn set_now(&mut self, now: DateTime<Utc>) {
        self.clock.set(now);
        self.limiter.drop_after(now);
        self.delivery_wakeup.notify_one();
    }

    pub(crate) fn set_protocol(&mut self, protocol: ProtocolOptions) {
        self.config.protocol = protocol;
        self.grants.reuse_mode = protocol.reuse_mode;
    }

    /// Queues the webhook of a change that a test has just made.
    pub(crate) fn announce(&mut self, whoop_user_id: i64, event: SimWebhookEvent) {
        self.announce_at(whoop_user_id, event, self.now());
    }

    pub(crate) fn announce_all(&mut self, whoop_user_id: i64, events: Vec<SimWebhookEvent>) {
        for event in events {
            self.announce(whoop_user_id, event);
        }
    }

    /// Queues the webhook of a change at the time `at`.
    ///
    /// Does nothing if the person has no active grant, because WHOOP announces changes of connected
    /// members only.
    pub(crate) fn announce_at(
        &mut self,
        whoop_user_id: i64,
        event: SimWebhookEvent,
        at: DateTime<Utc>,
    ) {
        if self.grants.is_connected(whoop_user_id) {
            self.outbox
                .publish(&event, whoop_user_id, at, &mut self.webhook_rng);
            self.delivery_wakeup.notify_one();
        }
    }

    /// Returns a person at the current time, and queues the webhooks of the person's changes since
    /// the last call.
    pub(crate) fn person(&mut self, whoop_user_id: i64) -> Option<&mut Person> {
        let until = if self.config.freeze_records {
            self.started_at
        } else {
            self.now().min(self.started_at + MAX_LIFETIME)
        };
        let (_, updates) = self.people.person_at(whoop_user_id, until)?;
        for RecordUpdate { at, data_type, id } in updates {
            let event = SimWebhookEvent {
                data_type,
                deleted: false,
                id,
            };
            self.announce_at(whoop_user_id, event, at);
        }
        self.people
            .person_at(whoop_user_id, until)
            .map(|(person, _)| person)
    }

    /// Advances all people with an active grant to the current time, and queues the webhooks of
    /// their changes.
    pub(crate) fn advance_connected_people(&mut self) {
        let active_grants = self.grants.list().iter().filter(|it| !it.is_revoked);
        let connected: BTreeSet<i64> = active_grants.map(|it| it.whoop_user_id).collect();
        for whoop_user_id in connected {
            let _ = self.person(whoop_user_id);
        }
    }

    /// Returns the person that the consent page proposes: the first person who is not connected. If
    /// all are connected, returns the first person.
    pub(crate) fn next_unconnected(&self) -> Option<i64> {
        let unconnected = self.people.ids().find(|id| !self.grants.is_connected(*id));
        unconnected.or_else(|| self.people.ids().next())
    }

    pub(crate) fn trigger_fault(&mut self, request: &FaultTarget<'_>) -> Option<Fault> {
        let rng = &mut self.rng;
        self.faults.trigger(request, || rng.float_between(0.0, 1.0))
    }

    /// Returns a person's profile and all records, with each record as the API sends it.
    pub(crate) fn truth(person: &Person) -> Value {
        let mut truth = json!({
            "whoop_user_id": person.whoop_user_id,
            "life": person.life,
            "profile": person.profile,
            "body_measurement": person.body_measurement,
        });
        for data_type in SimDataType::ALL {
            let records = person.records.newest_first(data_type);
            truth[data_type.list_key()] = records.map(|record| record.to_value()).collect();
        }
        truth
    }
}
