//! Everything the simulator knows, in memory and apart from HTTP.

use std::{collections::BTreeSet, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    call_log::CallLog,
    clock::SimClock,
    config::SimConfig,
    data_type::DataType,
    fault::{Fault, FaultTarget, Faults},
    life::{Chance, Happening, Person},
    oauth::Grants,
    people::People,
    protocol::Protocol,
    rate_limit::Limiter,
    webhook::{Outbox, WebhookEvent},
};

/// A clock set to the year 9000 must not make anybody live until then: nobody
/// lives on for longer than twenty years after the simulator's start.
const LIFE: TimeDelta = TimeDelta::days(20 * 365);

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: SimConfig,
    pub(crate) clock: SimClock,
    pub(crate) people: People,
    /// Where the clock began.
    born: DateTime<Utc>,
    pub(crate) grants: Grants,
    pub(crate) limiter: Limiter,
    pub(crate) faults: Faults,
    pub(crate) calls: CallLog,
    pub(crate) outbox: Outbox,
    /// Its own dice: webhooks change nothing else in the world.
    pub(crate) webhook_chance: Chance,
    /// Wakes the sender of webhooks.
    pub(crate) kick: Arc<Notify>,
    /// For ids of inserted records and for faults that are only likely.
    pub(crate) chance: Chance,
}

impl World {
    pub(crate) fn new(config: SimConfig) -> Self {
        let clock = SimClock::new(config.now, config.speed);
        let born = clock.now();
        let people = People::new(&config, born);
        Self {
            clock,
            people,
            born,
            grants: Grants::new(config.protocol.reuse_mode, config.token_ttl_seconds),
            limiter: Limiter::new(config.calls_per_minute, config.calls_per_day),
            faults: Faults::default(),
            calls: CallLog::default(),
            outbox: Outbox::new(config.webhook_url.clone(), config.webhook_mischief.clone()),
            webhook_chance: Chance::new(config.seed, u64::MAX - 1),
            kick: Arc::default(),
            // People use the streams from 0 up.
            chance: Chance::new(config.seed, u64::MAX),
            config,
        }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(crate) fn set_now(&mut self, now: DateTime<Utc>) {
        self.clock.set(now);
        self.limiter.forget_after(now);
        self.kick.notify_one();
    }

    pub(crate) fn set_protocol(&mut self, protocol: Protocol) {
        self.config.protocol = protocol;
        self.grants.reuse_mode = protocol.reuse_mode;
    }

    /// Tells the app's webhook about a change that was made just now.
    pub(crate) fn announce(&mut self, whoop_user_id: i64, event: WebhookEvent) {
        self.announce_at(whoop_user_id, event, self.now());
    }

    pub(crate) fn announce_all(&mut self, whoop_user_id: i64, events: Vec<WebhookEvent>) {
        for event in events {
            self.announce(whoop_user_id, event);
        }
    }

    /// The same for a change at another time. Nobody hears of people without a
    /// live grant.
    pub(crate) fn announce_at(
        &mut self,
        whoop_user_id: i64,
        event: WebhookEvent,
        at: DateTime<Utc>,
    ) {
        if self.grants.is_bound(whoop_user_id) {
            self.outbox
                .publish(&event, whoop_user_id, at, &mut self.webhook_chance);
            self.kick.notify_one();
        }
    }

    /// Somebody as they are now; the app's webhook hears what happened since the
    /// last look.
    pub(crate) fn person(&mut self, whoop_user_id: i64) -> Option<&mut Person> {
        let until = if self.config.still {
            self.born
        } else {
            self.now().min(self.born + LIFE)
        };
        let (_, happened) = self.people.at(whoop_user_id, until)?;
        for Happening { at, data_type, id } in happened {
            let event = WebhookEvent {
                data_type,
                deleted: false,
                id,
            };
            self.announce_at(whoop_user_id, event, at);
        }
        self.people
            .at(whoop_user_id, until)
            .map(|(person, _)| person)
    }

    /// Lets happen what happens to everybody whom the app may hear of.
    pub(crate) fn catch_up(&mut self) {
        let live = self.grants.list().iter().filter(|it| !it.is_revoked);
        let connected: BTreeSet<i64> = live.map(|it| it.whoop_user_id).collect();
        for whoop_user_id in connected {
            let _ = self.person(whoop_user_id);
        }
    }

    /// Whom the consent page proposes: the first who has not connected yet.
    pub(crate) fn next_unbound(&self) -> Option<i64> {
        let unbound = self.people.ids().find(|id| !self.grants.is_bound(*id));
        unbound.or_else(|| self.people.ids().next())
    }

    pub(crate) fn strike(&mut self, request: &FaultTarget<'_>) -> Option<Fault> {
        let chance = &mut self.chance;
        self.faults.strike(request, || chance.real(0.0, 1.0))
    }

    /// A person's complete history, each record as the API sends it.
    pub(crate) fn truth(person: &Person) -> Value {
        let mut truth = json!({
            "whoop_user_id": person.whoop_user_id,
            "life": person.life,
            "profile": person.profile,
            "body_measurement": person.body_measurement,
        });
        for data_type in DataType::ALL {
            let records = person.records.newest_first(data_type);
            truth[data_type.plural()] = records.map(|record| record.value()).collect();
        }
        truth
    }
}
