use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use whoop_core::{UserId, day::ConnectionStatus};
use whoop_storage::table::change::{MemberFeedState, notify_payload};

/// Maximum number of open event streams of one member: enough for a few devices with several tabs.
///
/// If the member opens one more stream, the oldest one is ended, because its reader has most likely
/// disconnected without closing it.
const MAX_STREAMS_PER_MEMBER: usize = 8;

/// State of a member, which the hub publishes to the member's event streams when it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FollowedState {
    /// Sequence number of the member's latest change.
    pub(crate) latest: i64,
    pub(crate) connection: ConnectionStatus,
}

impl FollowedState {
    /// State of a member who does not exist in the database.
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

/// Error: the process already has the maximum number of open event streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyStreams;

/// All open event streams of this process, grouped by member.
#[derive(Debug)]
pub(crate) struct EventHub {
    open_streams: Mutex<OpenStreams>,
    /// Maximum number of open event streams in this process, of all members together.
    max_streams: usize,
    /// Wakes the watcher of the database after a stream was opened.
    pub(crate) member_added: Notify,
}

#[derive(Debug, Default)]
struct OpenStreams {
    members: HashMap<String, FollowedMember>,
    /// User id of each member with an open stream. The key is the payload that identifies the
    /// member in PostgreSQL's notifications.
    by_signal: HashMap<String, String>,
    count: usize,
    last_number: u64,
}

#[derive(Debug)]
struct FollowedMember {
    /// The member's open streams, the oldest first: the number of each stream, and the token that
    /// ends the stream when it is cancelled.
    subscriptions: VecDeque<(u64, CancellationToken)>,
    state: watch::Sender<Option<FollowedState>>,
}

/// One open event stream of a member. The hub follows the member until this value is dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    hub: Arc<EventHub>,
    user_id: UserId,
    number: u64,
    /// Token that is cancelled when this stream has to end, because the member has opened too many
    /// newer streams.
    pub(crate) replaced: CancellationToken,
    /// Receiver of the member's state, which is `None` until it was read from the database for the
    /// first time.
    pub(crate) state: watch::Receiver<Option<FollowedState>>,
}

impl EventHub {
    /// Returns an empty hub, which accepts at most `max_streams` open streams.
    pub(crate) fn new(max_streams: usize) -> Self {
        Self {
            open_streams: Mutex::default(),
            max_streams,
            member_added: Notify::new(),
        }
    }

    /// Adds a stream of a member to the hub. If the member then has too many streams, the oldest
    /// one is ended.
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

    /// Returns the number of open event streams of this process.
    pub(crate) fn stream_count(&self) -> usize {
        self.lock().count
    }

    /// Returns the user ids of all members with an open stream.
    pub(super) fn followed_members(&self) -> Vec<String> {
        self.lock().members.keys().cloned().collect()
    }

    /// Returns the user ids of the members with an open stream whose state was not read from the
    /// database yet.
    pub(super) fn members_without_state(&self) -> Vec<String> {
        let streams = self.lock();
        let without_state = streams
            .members
            .iter()
            .filter(|(_, member)| member.state.borrow().is_none());
        without_state.map(|(name, _)| name.clone()).collect()
    }

    /// Returns the user id of the member that the payload of a notification identifies, or `None`
    /// if the member has no open stream.
    pub(super) fn member_of_signal(&self, signal: &str) -> Option<String> {
        self.lock().by_signal.get(signal).cloned()
    }

    /// Publishes the states of the members in `user_ids` to their event streams.
    ///
    /// `feeds` contains the states that were read from the database. A member who is not in `feeds`
    /// does not exist in the database.
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
        // A panic cannot leave the map half changed, so the map can be used even if the lock is
        // poisoned.
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
