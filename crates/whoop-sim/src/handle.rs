//! Access to the simulated world for tests: direct, synchronous, without HTTP.

use std::{
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::{
    call_log::LoggedCall,
    config::{MAX_DAYS, ReuseMode},
    data_type::SimDataType,
    edit::{self, EditError},
    fault::Fault,
    life::{LifePattern, PersonSpec},
    nap,
    oauth::Grant,
    protocol::ProtocolOptions,
    rate_limit::RollingRateLimiter,
    webhook::{OutgoingWebhook, WebhookDelivery, check_webhook_url},
    world::World,
};

/// Handle with which a test controls a running simulator. All clones control the same simulator.
#[derive(Debug, Clone)]
pub struct WorldHandle(Arc<Mutex<World>>);

impl WorldHandle {
    pub(crate) fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        // A poisoned lock is used anyway: the thread that panicked reports the panic itself, and
        // the world has no state that a panic could make inconsistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns access to the records of all people, to read and to edit them.
    pub fn records(&self) -> WorldRecords<'_> {
        WorldRecords(self)
    }

    /// Returns access to the grants of the OAuth server.
    pub fn oauth(&self) -> WorldGrants<'_> {
        WorldGrants(self)
    }

    /// Returns the WHOOP user ids, in the order in which the people were created.
    pub fn people(&self) -> Vec<i64> {
        self.lock().people.ids().collect()
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

    /// Returns the logged calls to the API and to the OAuth server, oldest first.
    pub fn calls(&self) -> Vec<LoggedCall> {
        self.lock().calls.since(0).cloned().collect()
    }

    pub fn call_count(&self) -> usize {
        self.lock().calls.since(0).count()
    }

    pub fn reset_calls(&self) {
        self.lock().calls.clear();
    }

    /// Sets the URL of the webhook receiver.
    ///
    /// # Panics
    ///
    /// Panics if `url` is not an http or https URL, which is an error in the test.
    pub fn send_webhooks_to(&self, url: &str) {
        if let Err(reason) = check_webhook_url(url) {
            panic!("invalid webhook URL {url:?}: {reason}");
        }
        let mut world = self.lock();
        world.outbox.url = Some(url.to_owned());
        world.delivery_wakeup.notify_one();
    }

    /// Returns the stored webhook deliveries, in the order in which their events were published.
    pub fn webhooks(&self) -> Vec<WebhookDelivery> {
        self.lock().outbox.list().into_iter().cloned().collect()
    }

    /// Returns the receiver's URL, the secret for signatures and the webhooks that are due now.
    ///
    /// The webhooks are marked as being sent, so the next call does not return them again. Returns
    /// `None` if no receiver is configured.
    pub(crate) fn take_due_webhooks(&self) -> Option<(String, String, Vec<OutgoingWebhook>)> {
        let mut world = self.lock();
        world.advance_connected_people();
        let now = world.now();
        let World {
            outbox,
            webhook_rng,
            config,
            ..
        } = &mut *world;
        let url = outbox.url.clone()?;
        let due = outbox.take_due(now, webhook_rng);
        Some((url, config.client_secret.clone(), due))
    }

    /// Adds `count` people with this life pattern and `days` of history, and returns their WHOOP
    /// user ids.
    pub fn add_people(
        &self,
        life: LifePattern,
        count: usize,
        days: u32,
    ) -> Result<Vec<i64>, EditError> {
        let too_many = EditError::Invalid("the maximum is 16384 people with 3653 days of history");
        if days > MAX_DAYS {
            return Err(too_many);
        }
        let spec = PersonSpec { life, days };
        self.lock().people.add(spec, count).ok_or(too_many)
    }

    /// Adds a fault. It affects the requests that arrive from now on.
    ///
    /// # Panics
    ///
    /// Panics if the fault is invalid, such as an unknown route, which is an error in the test.
    pub fn add_fault(&self, fault: Fault) {
        if let Err(reason) = fault.validate() {
            panic!("invalid fault: {reason}");
        }
        self.lock().faults.add(fault);
    }

    /// Returns the active faults, oldest first.
    pub fn faults(&self) -> Vec<Fault> {
        self.lock().faults.list().to_vec()
    }

    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// Sets the limits of the quota and resets the number of used calls to zero.
    pub fn set_limits(&self, calls_per_minute: u32, calls_per_day: u32) {
        let mut world = self.lock();
        world.config.calls_per_minute = calls_per_minute;
        world.config.calls_per_day = calls_per_day;
        world.limiter = RollingRateLimiter::new(calls_per_minute, calls_per_day);
    }
}

/// Access to the records of all people.
#[derive(Debug, Clone, Copy)]
pub struct WorldRecords<'a>(&'a WorldHandle);

impl WorldRecords<'_> {
    /// Returns one person's data, as `GET /_sim/truth?whoop_user_id=…` does; null if no person has
    /// this id.
    pub fn truth(&self, whoop_user_id: i64) -> Value {
        let mut world = self.0.lock();
        world
            .person(whoop_user_id)
            .map_or(Value::Null, |person| World::truth(person))
    }

    pub(crate) fn all_truth(&self) -> Value {
        let mut world = self.0.lock();
        let ids: Vec<i64> = world.people.ids().collect();
        let people: Vec<Value> = ids
            .into_iter()
            .filter_map(|id| world.person(id).map(|person| World::truth(person)))
            .collect();
        json!({ "people": people })
    }

    /// Changes a record with a JSON merge patch.
    ///
    /// `updated_at` becomes the current time unless the patch sets it. In the patch, `null` removes
    /// a field, and `{"$null": true}` sets a field to null.
    pub fn patch(
        &self,
        whoop_user_id: i64,
        data_type: SimDataType,
        id: impl Display,
        merge: Value,
    ) -> Result<(), EditError> {
        let mut world = self.0.lock();
        let now = world.now();
        let person = world.person(whoop_user_id).ok_or(EditError::NoSuchPerson)?;
        let id = id.to_string();
        let events = edit::webhook_events(person, data_type, &id, false);
        edit::patch_record(person, data_type, &id, &merge, now)?;
        world.announce_all(whoop_user_id, events);
        Ok(())
    }

    /// Adds a record and returns its id. The record may be invalid, for example have a field of a
    /// wrong type.
    pub fn insert(
        &self,
        whoop_user_id: i64,
        data_type: SimDataType,
        record: Value,
    ) -> Result<String, EditError> {
        let mut world = self.0.lock();
        let now = world.now();
        let rng = world.rng.fork();
        let person = world.person(whoop_user_id).ok_or(EditError::NoSuchPerson)?;
        let id = edit::insert_record(person, data_type, &record, now, rng)?;
        // A new sleep has no recovery yet, so there is no event for a recovery.
        let events = edit::webhook_events(person, data_type, &id, false);
        world.announce_all(whoop_user_id, events);
        Ok(id)
    }

    /// Deletes a record. Deleting a sleep also deletes its recovery.
    pub fn delete(
        &self,
        whoop_user_id: i64,
        data_type: SimDataType,
        id: impl Display,
    ) -> Result<(), EditError> {
        let mut world = self.0.lock();
        let person = world.person(whoop_user_id).ok_or(EditError::NoSuchPerson)?;
        let id = id.to_string();
        let events = edit::webhook_events(person, data_type, &id, true);
        edit::delete_record(person, data_type, &id)?;
        world.announce_all(whoop_user_id, events);
        Ok(())
    }

    /// Changes a nap to a main sleep. A new cycle begins with this sleep, and the sleep gets a
    /// recovery.
    pub fn nap_to_sleep(&self, whoop_user_id: i64, id: &str) -> Result<(), EditError> {
        let mut world = self.0.lock();
        let (now, rng) = (world.now(), world.rng.fork());
        let person = world.person(whoop_user_id).ok_or(EditError::NoSuchPerson)?;
        nap::to_sleep(person, id, now, rng)?;
        let events = edit::webhook_events(person, SimDataType::Sleep, id, false);
        world.announce_all(whoop_user_id, events);
        Ok(())
    }

    /// Changes a main sleep to a nap. Its cycle and its recovery are deleted unless the cycle has
    /// another main sleep.
    pub fn sleep_to_nap(&self, whoop_user_id: i64, id: &str) -> Result<(), EditError> {
        let mut world = self.0.lock();
        let now = world.now();
        let person = world.person(whoop_user_id).ok_or(EditError::NoSuchPerson)?;
        let recovery = edit::webhook_events(person, SimDataType::Recovery, id, true);
        nap::to_nap(person, id, now)?;
        let mut events = edit::webhook_events(person, SimDataType::Sleep, id, false);
        events.extend(recovery);
        world.announce_all(whoop_user_id, events);
        Ok(())
    }
}

/// Access to the grants of the OAuth server. A grant is the permission of one member, with its
/// tokens.
#[derive(Debug, Clone, Copy)]
pub struct WorldGrants<'a>(&'a WorldHandle);

impl WorldGrants<'_> {
    /// Revokes a member's grants, as if the member had done so in WHOOP's app. Returns whether the
    /// member had an active grant.
    pub fn revoke_grants(&self, whoop_user_id: i64) -> bool {
        self.0.lock().grants.revoke(whoop_user_id)
    }

    /// Expires every access token now; refresh tokens stay valid.
    pub fn expire_access_tokens(&self) {
        let mut world = self.0.lock();
        let now = world.now();
        world.grants.expire_access_tokens(None, now);
    }

    pub fn grants(&self) -> Vec<Grant> {
        self.0.lock().grants.list().to_vec()
    }

    /// Returns the number of token refreshes of a member, over all grants.
    pub fn refresh_count(&self, whoop_user_id: i64) -> u32 {
        let world = self.0.lock();
        let grants = world.grants.list().iter();
        grants
            .filter(|grant| grant.whoop_user_id == whoop_user_id)
            .map(|grant| grant.refreshes)
            .sum()
    }

    pub fn set_reuse_mode(&self, mode: ReuseMode) {
        let mut world = self.0.lock();
        let protocol = ProtocolOptions {
            reuse_mode: mode,
            ..world.config.protocol
        };
        world.set_protocol(protocol);
    }

    /// Issues an authorization code, as the consent page does when the member allows access.
    ///
    /// The code can be exchanged with any redirect URL.
    pub fn issue_code(&self, whoop_user_id: i64, scopes: &[&str]) -> String {
        let mut world = self.0.lock();
        let now = world.now();
        let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
        world.grants.issue_code(whoop_user_id, scopes, None, now)
    }
}
