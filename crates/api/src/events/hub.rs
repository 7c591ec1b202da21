use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use whoop_core::{UserId, day::Connection};
use whoop_storage::table::change::{Pulse, signal_of};

/// Open streams of one member: a few devices, each with a tab too many. One more
/// ends the oldest, which most likely lost its reader without a word.
const MOST_PER_MEMBER: usize = 8;

/// How a member stands, as far as a follower has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    /// The number of the latest change.
    pub(crate) latest: i64,
    pub(crate) connection: Connection,
}

impl State {
    /// Of a member who is not there.
    const NOBODY: Self = Self {
        latest: 0,
        connection: Connection::NeverConnected,
    };

    fn of(pulse: &Pulse) -> Self {
        Self {
            latest: pulse.latest,
            connection: pulse.connection(),
        }
    }
}

/// Nobody more may follow through this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// All who follow somebody through this process.
#[derive(Debug)]
pub(crate) struct Hub {
    followed: Mutex<Followed>,
    /// Maximum number of open streams.
    max_streams: usize,
    /// Somebody follows who did not before.
    pub(crate) came: Notify,
}

#[derive(Debug, Default)]
struct Followed {
    members: HashMap<String, Member>,
    /// Members by what stands for them in PostgreSQL's notifications.
    by_signal: HashMap<String, String>,
    streams: usize,
    seats_given: u64,
}

#[derive(Debug)]
struct Member {
    /// The oldest first, each with what ends it.
    seats: VecDeque<(u64, CancellationToken)>,
    state: watch::Sender<Option<State>>,
}

/// One stream; as long as it lives, the member is watched.
#[derive(Debug)]
pub(crate) struct Seat {
    hub: Arc<Hub>,
    user_id: UserId,
    number: u64,
    /// Somebody newer needs the seat.
    pub(crate) taken_away: CancellationToken,
    /// `None` until the member was first looked at.
    pub(crate) state: watch::Receiver<Option<State>>,
}

impl Hub {
    /// Returns a hub that carries at most `max_streams` streams.
    pub(crate) fn new(max_streams: usize) -> Self {
        Self {
            followed: Mutex::default(),
            max_streams,
            came: Notify::new(),
        }
    }

    pub(crate) fn take_seat(self: &Arc<Self>, user_id: &UserId) -> Result<Seat, Full> {
        let mut followed = self.lock();
        if followed.streams >= self.max_streams {
            return Err(Full);
        }
        followed.streams += 1;
        followed.seats_given += 1;
        let number = followed.seats_given;
        let name = user_id.as_str().to_owned();
        let member = followed
            .members
            .entry(name.clone())
            .or_insert_with(|| Member {
                seats: VecDeque::new(),
                state: watch::Sender::new(None),
            });
        if member.seats.len() >= MOST_PER_MEMBER
            && let Some((_, oldest)) = member.seats.pop_front()
        {
            oldest.cancel();
        }
        let taken_away = CancellationToken::new();
        member.seats.push_back((number, taken_away.clone()));
        let state = member.state.subscribe();
        followed.by_signal.insert(signal_of(&name), name);
        drop(followed);
        self.came.notify_one();
        Ok(Seat {
            hub: Arc::clone(self),
            user_id: user_id.clone(),
            number,
            taken_away,
            state,
        })
    }

    /// Open streams.
    pub(crate) fn streams(&self) -> usize {
        self.lock().streams
    }

    /// Everybody who is followed.
    pub(super) fn everybody(&self) -> Vec<String> {
        self.lock().members.keys().cloned().collect()
    }

    /// Whether somebody is followed who was not looked at yet.
    pub(super) fn newcomers(&self) -> Vec<String> {
        let followed = self.lock();
        let unseen = followed
            .members
            .iter()
            .filter(|(_, member)| member.state.borrow().is_none());
        unseen.map(|(name, _)| name.clone()).collect()
    }

    /// The member that a notification stands for, if somebody follows them.
    pub(super) fn behind(&self, signal: &str) -> Option<String> {
        self.lock().by_signal.get(signal).cloned()
    }

    /// Tells followers of these members how they stand; whoever has no pulse is not
    /// there.
    pub(super) fn tell(&self, asked: &[String], pulses: &[Pulse]) {
        let followed = self.lock();
        for name in asked {
            let Some(member) = followed.members.get(name) else {
                continue;
            };
            let pulse = pulses.iter().find(|pulse| pulse.user_id == *name);
            let state = pulse.map_or(State::NOBODY, State::of);
            member.state.send_if_modified(|known| {
                let is_new = *known != Some(state);
                *known = Some(state);
                is_new
            });
        }
    }

    fn leave(&self, seat: &Seat) {
        let mut followed = self.lock();
        followed.streams = followed.streams.saturating_sub(1);
        let name = seat.user_id.as_str();
        if let Some(member) = followed.members.get_mut(name) {
            member.seats.retain(|(number, _)| *number != seat.number);
            if member.seats.is_empty() {
                followed.members.remove(name);
                followed.by_signal.remove(&signal_of(name));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Followed> {
        // Nothing is left half-done under it.
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.leave(self);
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
        let hub = Arc::new(Hub::new(2));
        let first = hub.take_seat(&user("alice")).unwrap();
        let _second = hub.take_seat(&user("bob")).unwrap();
        assert_eq!(hub.take_seat(&user("carol")).err(), Some(Full));

        drop(first);

        assert!(hub.take_seat(&user("carol")).is_ok());
    }

    #[test]
    fn one_seat_too_many_ends_the_oldest_and_those_who_left_are_forgotten() {
        let hub = Arc::new(Hub::new(100));
        let mut seats: Vec<Seat> = (0..MOST_PER_MEMBER)
            .map(|_| hub.take_seat(&user("alice")).unwrap())
            .collect();
        seats.push(hub.take_seat(&user("bob")).unwrap());
        assert!(seats.iter().all(|seat| !seat.taken_away.is_cancelled()));

        seats.push(hub.take_seat(&user("alice")).unwrap());

        let ended: Vec<bool> = seats
            .iter()
            .map(|seat| seat.taken_away.is_cancelled())
            .collect();
        assert_eq!(ended.iter().position(|ended| *ended), Some(0));
        assert_eq!(ended.iter().filter(|ended| **ended).count(), 1);
        assert_eq!(hub.streams(), seats.len());
        drop(seats);
        assert_eq!(hub.streams(), 0);
        assert_eq!(hub.everybody(), Vec::<String>::new());
        assert_eq!(hub.behind(&signal_of("alice")), None);
    }
}
