use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use whoop_core::{UserId, day::ConnectionStatus};
use whoop_storage::table::change::{MemberFeedState, notify_payload};

/// Maximum number of open streams of one member: a few devices with several tabs. One more closes
/// the oldest, because its reader has most likely gone without closing it.
const MAX_STREAMS_PER_MEMBER: usize = 8;

/// State of a member that is published to their streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FollowedState {
    /// Sequence number of the latest change.
    pub(crate) latest: i64,
    pub(crate) connection: ConnectionStatus,
}

impl FollowedState {
    /// State of a member who does not exist.
    const UNKNOWN_MEMBER: Self = Self {
        latest: 0,
        connection: ConnectionStatus::NeverConnected,
    };

    fn of(pulse: &MemberFeedState) -> Self {
        Self {
            latest: pulse.latest,
            connection: pulse.connection(),
        }
    }
}

/// The process has the maximum number of open streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyStreams;

/// All open event streams of this process.
#[derive(Debug)]
pub(crate) struct EventHub {
    open_streams: Mutex<OpenStreams>,
    /// Maximum number of open streams.
    max_streams: usize,
    /// Notified when a stream opens.
    pub(crate) member_added: Notify,
}

#[derive(Debug, Default)]
struct OpenStreams {
    members: HashMap<String, FollowedMember>,
    /// User ids by the payload that identifies the member in PostgreSQL's notifications.
    by_signal: HashMap<String, String>,
    count: usize,
    last_number: u64,
}

#[derive(Debug)]
struct FollowedMember {
    /// Streams by number, the oldest first, each with the token that ends it.
    subscriptions: VecDeque<(u64, CancellationToken)>,
    state: watch::Sender<Option<FollowedState>>,
}

/// One open stream. The member is watched until it is dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    hub: Arc<EventHub>,
    user_id: UserId,
    number: u64,
    /// Cancelled when a newer stream replaces this one.
    pub(crate) replaced: CancellationToken,
    /// `None` until the member's state has been read once.
    pub(crate) state: watch::Receiver<Option<FollowedState>>,
}

impl EventHub {
    /// Returns a hub for at most `max_streams` streams.
    pub(crate) fn new(max_streams: usize) -> Self {
        Self {
            open_streams: Mutex::default(),
            max_streams,
            member_added: Notify::new(),
        }
    }

    pub(crate) fn subscribe(
        self: &Arc<Self>,
        user_id: &UserId,
    ) -> Result<Subscription, TooManyStreams> {
        let mut followed = self.lock();
        if followed.count >= self.max_streams {
            return Err(TooManyStreams);
        }
        followed.count += 1;
        followed.last_number += 1;
        let number = followed.last_number;
        let name = user_id.as_str().to_owned();
        let member = followed
            .members
            .entry(name.clone())
            .or_insert_with(|| FollowedMember {
                subscriptions: VecDeque::new(),
                state: watch::Sender::new(None),
            });
        if member.subscriptions.len() >= MAX_STREAMS_PER_MEMBER
            && let Some((_, oldest)) = member.subscriptions.pop_front()
        {
            oldest.cancel();
        }
        let taken_away = CancellationToken::new();
        member.subscriptions.push_back((number, taken_away.clone()));
        let state = member.state.subscribe();
        followed.by_signal.insert(notify_payload(&name), name);
        drop(followed);
        self.member_added.notify_one();
        Ok(Subscription {
            hub: Arc::clone(self),
            user_id: user_id.clone(),
            number,
            replaced: taken_away,
            state,
        })
    }

    /// Number of open streams.
    pub(crate) fn stream_count(&self) -> usize {
        self.lock().count
    }

    /// Returns the user ids of all members with an open stream.
    pub(super) fn followed_members(&self) -> Vec<String> {
        self.lock().members.keys().cloned().collect()
    }

    /// Returns the user ids of followed members without a state, because it was not read yet.
    pub(super) fn members_without_state(&self) -> Vec<String> {
        let followed = self.lock();
        let unseen = followed
            .members
            .iter()
            .filter(|(_, member)| member.state.borrow().is_none());
        unseen.map(|(name, _)| name.clone()).collect()
    }

    /// Returns the member that a notification identifies, if they have an open stream.
    pub(super) fn member_of_signal(&self, signal: &str) -> Option<String> {
        self.lock().by_signal.get(signal).cloned()
    }

    /// Publishes the states of the members in `asked` to their streams. A member without an entry
    /// in `pulses` does not exist.
    pub(super) fn publish_states(&self, asked: &[String], pulses: &[MemberFeedState]) {
        let followed = self.lock();
        for name in asked {
            let Some(member) = followed.members.get(name) else {
                continue;
            };
            let pulse = pulses.iter().find(|pulse| pulse.user_id == *name);
            let state = pulse.map_or(FollowedState::UNKNOWN_MEMBER, FollowedState::of);
            member.state.send_if_modified(|known| {
                let is_new = *known != Some(state);
                *known = Some(state);
                is_new
            });
        }
    }

    fn unsubscribe(&self, seat: &Subscription) {
        let mut followed = self.lock();
        followed.count = followed.count.saturating_sub(1);
        let name = seat.user_id.as_str();
        if let Some(member) = followed.members.get_mut(name) {
            member
                .subscriptions
                .retain(|(number, _)| *number != seat.number);
            if member.subscriptions.is_empty() {
                followed.members.remove(name);
                followed.by_signal.remove(&notify_payload(name));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, OpenStreams> {
        // No holder of the lock can end with a change half made, so a poisoned lock is usable.
        self.open_streams
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.unsubscribe(self);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        name.parse().unwrap()
    }

    #[test]
    fn a_full_hub_takes_another_stream_once_one_has_ended() {
        let hub = Arc::new(EventHub::new(2));
        let first = hub.subscribe(&user("alice")).unwrap();
        let _second = hub.subscribe(&user("bob")).unwrap();
        assert_eq!(hub.subscribe(&user("carol")).err(), Some(TooManyStreams));

        drop(first);

        assert!(hub.subscribe(&user("carol")).is_ok());
    }

    #[test]
    fn one_seat_too_many_ends_the_oldest_and_those_who_left_are_forgotten() {
        let hub = Arc::new(EventHub::new(100));
        let mut seats: Vec<Subscription> = (0..MAX_STREAMS_PER_MEMBER)
            .map(|_| hub.subscribe(&user("alice")).unwrap())
            .collect();
        seats.push(hub.subscribe(&user("bob")).unwrap());
        assert!(seats.iter().all(|seat| !seat.replaced.is_cancelled()));

        seats.push(hub.subscribe(&user("alice")).unwrap());

        let ended: Vec<bool> = seats
            .iter()
            .map(|seat| seat.replaced.is_cancelled())
            .collect();
        assert_eq!(ended.iter().position(|ended| *ended), Some(0));
        assert_eq!(ended.iter().filter(|ended| **ended).count(), 1);
        assert_eq!(hub.stream_count(), seats.len());
        drop(seats);
        assert_eq!(hub.stream_count(), 0);
        assert_eq!(hub.followed_members(), Vec::<String>::new());
        assert_eq!(hub.member_of_signal(&notify_payload("alice")), None);
    }
}
