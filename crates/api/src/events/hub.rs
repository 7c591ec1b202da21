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

    fn of(feed: &MemberFeedState) -> Self {
        Self {
            latest: feed.latest,
            connection: feed.connection(),
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
        let mut streams = self.lock();
        if streams.count >= self.max_streams {
            return Err(TooManyStreams);
        }
        streams.count += 1;
        streams.last_number += 1;
        let number = streams.last_number;
        let name = user_id.as_str().to_owned();
        let member = streams
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
        let replaced = CancellationToken::new();
        member.subscriptions.push_back((number, replaced.clone()));
        let state = member.state.subscribe();
        streams.by_signal.insert(notify_payload(&name), name);
        drop(streams);
        self.member_added.notify_one();
        Ok(Subscription {
            hub: Arc::clone(self),
            user_id: user_id.clone(),
            number,
            replaced,
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
        let streams = self.lock();
        let without_state = streams
            .members
            .iter()
            .filter(|(_, member)| member.state.borrow().is_none());
        without_state.map(|(name, _)| name.clone()).collect()
    }

    /// Returns the member that a notification identifies, if they have an open stream.
    pub(super) fn member_of_signal(&self, signal: &str) -> Option<String> {
        self.lock().by_signal.get(signal).cloned()
    }

    /// Publishes the states of the members in `user_ids` to their streams. A member without an
    /// entry in `feeds` does not exist.
    pub(super) fn publish_states(&self, user_ids: &[String], feeds: &[MemberFeedState]) {
        let streams = self.lock();
        for name in user_ids {
            let Some(member) = streams.members.get(name) else {
                continue;
            };
            let feed = feeds.iter().find(|feed| feed.user_id == *name);
            let state = feed.map_or(FollowedState::UNKNOWN_MEMBER, FollowedState::of);
            member.state.send_if_modified(|published| {
                let is_new = *published != Some(state);
                *published = Some(state);
                is_new
            });
        }
    }

    fn unsubscribe(&self, subscription: &Subscription) {
        let mut streams = self.lock();
        streams.count = streams.count.saturating_sub(1);
        let name = subscription.user_id.as_str();
        if let Some(member) = streams.members.get_mut(name) {
            member
                .subscriptions
                .retain(|(number, _)| *number != subscription.number);
            if member.subscriptions.is_empty() {
                streams.members.remove(name);
                streams.by_signal.remove(&notify_payload(name));
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
    fn a_full_hub_accepts_a_stream_after_another_one_ended() {
        let hub = Arc::new(EventHub::new(2));
        let first = hub.subscribe(&user("alice")).unwrap();
        let _second = hub.subscribe(&user("bob")).unwrap();
        assert_eq!(hub.subscribe(&user("carol")).err(), Some(TooManyStreams));

        drop(first);

        assert!(hub.subscribe(&user("carol")).is_ok());
    }

    #[test]
    fn a_ninth_stream_ends_the_oldest_and_closed_streams_are_removed() {
        let hub = Arc::new(EventHub::new(100));
        let mut subscriptions: Vec<Subscription> = (0..MAX_STREAMS_PER_MEMBER)
            .map(|_| hub.subscribe(&user("alice")).unwrap())
            .collect();
        subscriptions.push(hub.subscribe(&user("bob")).unwrap());
        assert!(
            subscriptions
                .iter()
                .all(|subscription| !subscription.replaced.is_cancelled())
        );

        subscriptions.push(hub.subscribe(&user("alice")).unwrap());

        let ended: Vec<bool> = subscriptions
            .iter()
            .map(|one| one.replaced.is_cancelled())
            .collect();
        assert_eq!(ended.iter().position(|ended| *ended), Some(0));
        assert_eq!(ended.iter().filter(|ended| **ended).count(), 1);
        assert_eq!(hub.stream_count(), subscriptions.len());
        drop(subscriptions);
        assert_eq!(hub.stream_count(), 0);
        assert_eq!(hub.followed_members(), Vec::<String>::new());
        assert_eq!(hub.member_of_signal(&notify_payload("alice")), None);
    }
}
