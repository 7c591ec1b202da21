//! The world in the hands of tests: direct, synchronous, no HTTP.

use std::{
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{
    call_log::Call,
    config::{MAX_DAYS, ReuseMode},
    data_type::DataType,
    edit::{self, EditError},
    fault::Fault,
    life::{Life, Role},
    nap,
    oauth::Grant,
    protocol::Protocol,
    rate_limit::Limiter,
    webhook::{Delivery, Shipment, check_url},
    world::World,
};

/// A running simulator's world. Clones share it.
#[derive(Debug, Clone)]
pub struct WorldHandle(Arc<Mutex<World>>);

impl WorldHandle {
    pub(crate) fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        // A test that panicked while it held the lock says so itself; the world
        // has no state that a panic could leave half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The WHOOP user ids, in the order of the lives.
    pub fn people(&self) -> Vec<i64> {
        self.lock().people.ids().collect()
    }

    /// One person as `GET /_sim/truth?whoop_user_id=…` shows them; null if unknown.
    pub fn truth(&self, whoop_user_id: i64) -> Value {
        let mut world = self.lock();
        world
            .person(whoop_user_id)
            .map_or(Value::Null, |person| World::truth(person))
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.lock().now()
    }

    pub fn set_now(&self, now: DateTime<Utc>) {
        self.lock().set_now(now);
    }

    pub fn advance(&self, time: Duration) {
        let mut world = self.lock();
        let later = TimeDelta::from_std(time)
            .ok()
            .and_then(|time| world.now().checked_add_signed(time));
        if let Some(later) = later {
            world.set_now(later);
        }
    }

    /// Every call to the API and to the OAuth server, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.since(0).cloned().collect()
    }

    pub fn call_count(&self) -> usize {
        self.lock().calls.since(0).count()
    }

    pub fn reset_calls(&self) {
        self.lock().calls.clear();
    }

    /// Changes a record by a JSON merge patch; `updated_at` becomes now unless
    /// the patch sets it. `null` removes a member, `{"$null": true}` writes null.
    pub fn patch(
        &self,
        whoop_user_id: i64,
        data_type: DataType,
        id: impl Display,
        merge: Value,
    ) -> Result<(), EditError> {
        let mut world = self.lock();
        let now = world.now();
        let person = world.person(whoop_user_id).ok_or(EditError::NoSuchPerson)?;
        let id = id.to_string();
        let events = edit::events(person, data_type, &id, false);
        edit::patch(person, data_type, &id, &merge, now)?;
        world.announce_all(whoop_user_id, events);
        Ok(())
    }

    /// Adds a record, as broken as you like, and returns its id.
    pub fn insert(
        &self,
        whoop_user_id: i64,
        data_type: DataType,
        record: Value,
    ) -> Result<String, EditError> {
        let mut world = self.lock();
        let now = world.now();
        let fresh = world.chance.fork();
        let person = world.person(whoop_user_id).ok_or(EditError::NoSuchPerson)?;
        let id = edit::insert(person, data_type, &record, now, fresh)?;
        // A sleep that is new has no recovery yet.
        let events = edit::events(person, data_type, &id, false);
        world.announce_all(whoop_user_id, events);
        Ok(id)
    }

    /// Deletes a record; with a sleep goes its recovery.
    pub fn delete(
        &self,
        whoop_user_id: i64,
        data_type: DataType,
        id: impl Display,
    ) -> Result<(), EditError> {
        let mut world = self.lock();
        let person = world.person(whoop_user_id).ok_or(EditError::NoSuchPerson)?;
        let id = id.to_string();
        let events = edit::events(person, data_type, &id, true);
        edit::delete(person, data_type, &id)?;
        world.announce_all(whoop_user_id, events);
        Ok(())
    }

    /// Where webhooks go from now on.
    ///
    /// # Panics
    ///
    /// When it is no web address: the test is wrong.
    pub fn send_webhooks_to(&self, url: &str) {
        if let Err(reason) = check_url(url) {
            panic!("not an address: {reason}");
        }
        let mut world = self.lock();
        world.outbox.url = Some(url.to_owned());
        world.kick.notify_one();
    }

    /// Every webhook that is kept, in the order of publishing.
    pub fn webhooks(&self) -> Vec<Delivery> {
        self.lock().outbox.list().into_iter().cloned().collect()
    }

    /// The receiver, the secret to sign with, and what is due; `None` without a
    /// receiver.
    pub(crate) fn due_webhooks(&self) -> Option<(String, String, Vec<Shipment>)> {
        let mut world = self.lock();
        world.catch_up();
        let now = world.now();
        let World {
            outbox,
            webhook_chance,
            config,
            ..
        } = &mut *world;
        let url = outbox.url.clone()?;
        let due = outbox.due(now, webhook_chance);
        Some((url, config.client_secret.clone(), due))
    }

    /// A nap was the main sleep: it begins a cycle and gets a recovery.
    pub fn nap_to_sleep(&self, whoop_user_id: i64, id: &str) -> Result<(), EditError> {
        let mut world = self.lock();
        let (now, chance) = (world.now(), world.chance.fork());
        let person = world.person(whoop_user_id).ok_or(EditError::NoSuchPerson)?;
        nap::to_sleep(person, id, now, chance)?;
        let events = edit::events(person, DataType::Sleep, id, false);
        world.announce_all(whoop_user_id, events);
        Ok(())
    }

    /// A sleep was a nap: its cycle and its recovery go.
    pub fn sleep_to_nap(&self, whoop_user_id: i64, id: &str) -> Result<(), EditError> {
        let mut world = self.lock();
        let now = world.now();
        let person = world.person(whoop_user_id).ok_or(EditError::NoSuchPerson)?;
        let recovery = edit::events(person, DataType::Recovery, id, true);
        nap::to_nap(person, id, now)?;
        let mut events = edit::events(person, DataType::Sleep, id, false);
        events.extend(recovery);
        world.announce_all(whoop_user_id, events);
        Ok(())
    }

    /// Adds people and returns their WHOOP user ids.
    pub fn add_people(&self, life: Life, count: usize, days: u32) -> Result<Vec<i64>, EditError> {
        let room = EditError::Invalid("there is no room for so many people, or for so many days");
        if days > MAX_DAYS {
            return Err(room);
        }
        let role = Role { life, days };
        self.lock().people.add(role, count).ok_or(room)
    }

    /// Switches a fault on.
    ///
    /// # Panics
    ///
    /// When the fault makes no sense, such as an unknown route: the test is wrong.
    pub fn fault(&self, fault: Fault) {
        if let Err(reason) = fault.check() {
            panic!("not a fault: {reason}");
        }
        self.lock().faults.add(fault);
    }

    /// The faults that are still switched on, oldest first.
    pub fn faults(&self) -> Vec<Fault> {
        self.lock().faults.list().to_vec()
    }

    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// Ends a member's grants as if they had done it in WHOOP's app.
    pub fn revoke(&self, whoop_user_id: i64) -> bool {
        self.lock().grants.revoke(whoop_user_id)
    }

    /// Every access token is too old from now on; refresh tokens stay good.
    pub fn expire_access_tokens(&self) {
        let mut world = self.lock();
        let now = world.now();
        world.grants.expire_access_tokens(None, now);
    }

    pub fn grants(&self) -> Vec<Grant> {
        self.lock().grants.list().to_vec()
    }

    /// How often a member's tokens were renewed, over all grants.
    pub fn refresh_count(&self, whoop_user_id: i64) -> u32 {
        let world = self.lock();
        let grants = world.grants.list().iter();
        grants
            .filter(|grant| grant.whoop_user_id == whoop_user_id)
            .map(|grant| grant.refreshes)
            .sum()
    }

    /// Another quota from now on, of which nothing is spent yet.
    pub fn set_limits(&self, calls_per_minute: u32, calls_per_day: u32) {
        let mut world = self.lock();
        world.config.calls_per_minute = calls_per_minute;
        world.config.calls_per_day = calls_per_day;
        world.limiter = Limiter::new(calls_per_minute, calls_per_day);
    }

    pub fn set_reuse_mode(&self, mode: ReuseMode) {
        let mut world = self.lock();
        let protocol = Protocol {
            reuse_mode: mode,
            ..world.config.protocol
        };
        world.set_protocol(protocol);
    }

    /// A code as the consent page gives it, good for any registered redirect.
    pub fn issue_code(&self, whoop_user_id: i64, scopes: &[&str]) -> String {
        let mut world = self.lock();
        let now = world.now();
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        world.grants.issue_code(whoop_user_id, scopes, None, now)
    }

    pub(crate) fn all_truth(&self) -> Value {
        let mut world = self.lock();
        let ids: Vec<i64> = world.people.ids().collect();
        let people: Vec<Value> = ids
            .into_iter()
            .filter_map(|id| world.person(id).map(|person| World::truth(person)))
            .collect();
        json!({ "people": people })
    }
}
