//! Generated members: when they wake, train and open the app.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use whoop_core::{DataType, plan::visits::Visits};

const HOUR: i64 = 60 * 60;

/// How long a nap and a workout wait for their scores.
const SCORED_AFTER: TimeDelta = TimeDelta::minutes(3);

/// Something that happens to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// WHOOP has last night's sleep, without its score.
    Wakes,
    /// WHOOP has the score of the sleep, and the recovery.
    NightScored,
    /// WHOOP has scored last night again.
    NightRescored,
    /// WHOOP has a nap, or its score.
    Naps,
    /// WHOOP has a new workout, or its score.
    Trains,
    /// The member deletes a workout. The next list of workouts lacks it, and it is asked for by
    /// its id. It represents the other reasons for calls by id as well: old records with a
    /// pending score, and changes of records that are older than a page.
    Deletes,
    /// The member opens the app.
    Visits,
}

/// What sets some of the members' days apart. Shares, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Days {
    /// Nights, naps and workouts that a strap uploads, or WHOOP scores, hours later.
    pub late_scores: f64,
    /// Nights of which WHOOP has nothing, as without the strap.
    pub missed_nights: f64,
    /// Days with a nap.
    pub naps: f64,
    /// Days on which one record has to be asked for by its id.
    pub deletions: f64,
    /// UTC offsets of the members in hours, assigned cyclically.
    pub utc_offsets: &'static [i64],
}

impl Default for Days {
    fn default() -> Self {
        Self {
            late_scores: 0.0,
            missed_nights: 0.0,
            naps: 0.15,
            deletions: 0.02,
            utc_offsets: &[0],
        }
    }
}

/// How what WHOOP announces arrives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Webhooks {
    /// The share that never does, 0 to 1.
    pub lost: f64,
    /// The longest that one is on its way, and waits to be worked off.
    pub late: TimeDelta,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            lost: 0.0,
            late: TimeDelta::minutes(1),
        }
    }
}

/// What is alike on all of a member's days, but for half an hour or so.
struct Habits {
    /// After midnight.
    wakes: TimeDelta,
    first_visit_after: TimeDelta,
    /// After midnight.
    second_visit: TimeDelta,
}

/// When WHOOP has what of a night.
struct Night {
    stored: DateTime<Utc>,
    scored: DateTime<Utc>,
    rescored: Option<DateTime<Utc>>,
}

impl Night {
    /// The strap uploads it hours later, or WHOOP scores it then. Still on the day
    /// that begins at `midnight`.
    fn is_late(&mut self, midnight: DateTime<Utc>, dice: &mut ChaCha8Rng) {
        let late = TimeDelta::seconds(dice.random_range(4 * HOUR..14 * HOUR));
        if dice.random_bool(0.5) {
            self.stored += late;
        }
        let last = midnight + TimeDelta::seconds(24 * HOUR - 1);
        self.stored = self.stored.min(last);
        self.scored = (self.scored + late).min(last);
        self.rescored = None;
    }

    fn events(&self) -> impl Iterator<Item = Moment> {
        let rescored = self.rescored.map(|at| (at, Event::NightRescored));
        [
            (self.stored, Event::Wakes),
            (self.scored, Event::NightScored),
        ]
        .into_iter()
        .chain(rescored)
    }
}

/// An event and its time.
type Moment = (DateTime<Utc>, Event);

/// WHOOP has something, and some time later its score.
fn scored_later(at: DateTime<Utc>, after: TimeDelta, event: Event) -> [Moment; 2] {
    [(at, event), (at + after, event)]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Happening {
    pub at: DateTime<Utc>,
    pub member: usize,
    pub event: Event,
}

/// Members who are the same for the same seed.
///
/// Some come nearly every day and some hardly ever; on average the active share
/// comes on a day, in the first hours after waking and again in the evening.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    pub users: usize,
    pub active_share: f64,
    pub days: Days,
    pub seed: u64,
}

impl Crowd {
    /// Events on the members' local days that begin within 24 hours from `midnight` on, unordered.
    pub fn day(&self, midnight: DateTime<Utc>) -> Vec<Happening> {
        let offsets = self.days.utc_offsets.iter().cycle();
        let members = (0..self.users).zip(offsets);
        members
            .flat_map(|(member, offset)| {
                let begins_after = TimeDelta::hours((-offset).rem_euclid(24));
                let moments = self.day_of(member, midnight).into_iter();
                moments.map(move |(at, event)| Happening {
                    at: at + begins_after,
                    member,
                    event,
                })
            })
            .collect()
    }

    /// Events after `midnight` on the members' local days that began before it.
    pub fn rest_of_the_day_before(&self, midnight: DateTime<Utc>) -> Vec<Happening> {
        let mut rest = self.day(midnight - TimeDelta::days(1));
        rest.retain(|happening| happening.at >= midnight);
        rest
    }

    fn day_of(&self, member: usize, midnight: DateTime<Utc>) -> Vec<Moment> {
        let mut dice = self.dice(member, midnight);
        // Thrown first: `comes` throws no other.
        let comes = dice.random::<f64>() < self.chance(member);
        let mut within = |from: i64, until: i64| TimeDelta::seconds(dice.random_range(from..until));

        let habits = self.habits(member);
        let wakes = midnight + habits.wakes + within(0, HOUR) - TimeDelta::minutes(30);
        let mut night = Night {
            stored: wakes,
            scored: wakes + within(3 * 60, 20 * 60),
            rescored: None,
        };
        let rescored = night.scored + within(HOUR, 10 * HOUR);
        let is_rescored = within(0, 100) < TimeDelta::seconds(20);
        night.rescored = is_rescored.then_some(rescored);
        let mut events = Vec::new();
        let workouts = match within(0, 100).num_seconds() {
            0..50 => 0,
            50..90 => 1,
            _ => 2,
        };
        let trained: Vec<DateTime<Utc>> = (0..workouts)
            .map(|_| midnight + within(6 * HOUR, 21 * HOUR))
            .collect();
        if comes {
            let first = wakes + habits.first_visit_after + within(5 * 60, HOUR);
            let second = midnight + habits.second_visit + within(0, HOUR) - TimeDelta::minutes(30);
            events.extend([first, second].map(|at| (at, Event::Visits)));
        }
        let is_late = dice.random_bool(self.days.late_scores);
        if is_late {
            night.is_late(midnight, &mut dice);
        }
        let mut scored_after = || match is_late {
            true => TimeDelta::seconds(dice.random_range(4 * HOUR..14 * HOUR)),
            false => SCORED_AFTER,
        };
        for at in trained {
            events.extend(scored_later(at, scored_after(), Event::Trains));
        }
        let nap_scored_after = scored_after();
        if !dice.random_bool(self.days.missed_nights) {
            events.extend(night.events());
        }
        if dice.random_bool(self.days.naps) {
            let at = midnight + TimeDelta::seconds(dice.random_range(13 * HOUR..18 * HOUR));
            events.extend(scored_later(at, nap_scored_after, Event::Naps));
        }
        if self.days.deletions > 0.0 && dice.random_bool(self.days.deletions) {
            let at = midnight + TimeDelta::seconds(dice.random_range(6 * HOUR..22 * HOUR));
            events.push((at, Event::Deletes));
        }
        events
    }

    fn habits(&self, member: usize) -> Habits {
        let mut dice = self.dice(member, DateTime::UNIX_EPOCH + TimeDelta::days(2));
        let mut within = |until: i64| TimeDelta::seconds(dice.random_range(0..until));
        Habits {
            // From five to nine, mostly about seven.
            wakes: TimeDelta::hours(5) + within(HOUR) + within(HOUR) + within(2 * HOUR),
            first_visit_after: within(3 * HOUR).min(within(3 * HOUR)),
            second_visit: TimeDelta::hours(17) + within(5 * HOUR),
        }
    }

    /// The visits of the four weeks before a day.
    pub fn visits_before(&self, member: usize, midnight: DateTime<Utc>) -> Visits {
        (1..=28)
            .rev()
            .map(|days| midnight - TimeDelta::days(days))
            .filter(|day| self.comes(member, *day))
            .fold(Visits::default(), |visits, day| {
                visits.with(day + TimeDelta::hours(12))
            })
    }

    /// Whether WHOOP answers all calls for a member with a 5xx; true of this share of the members.
    pub fn fails(&self, member: usize, share: f64) -> bool {
        let mut dice = self.dice(member, DateTime::UNIX_EPOCH + TimeDelta::days(3));
        dice.random_bool(share)
    }

    /// Records of a data type that a member has on a day, on average. One member in a hundred trains
    /// more than twice a day.
    pub fn records_a_day(&self, member: usize, data_type: DataType) -> f64 {
        match data_type {
            DataType::Recovery | DataType::Cycle => 1.0,
            DataType::Sleep => 1.0 + self.days.naps,
            DataType::Workout => {
                let mut dice = self.dice(member, DateTime::UNIX_EPOCH + TimeDelta::days(4));
                0.2 + 2.0 * dice.random::<f64>().powi(4)
            }
        }
    }

    fn comes(&self, member: usize, midnight: DateTime<Utc>) -> bool {
        self.dice(member, midnight).random::<f64>() < self.chance(member)
    }

    /// How likely the member comes on a day; the mean over all is the share.
    fn chance(&self, member: usize) -> f64 {
        let place: f64 = self.dice(member, DateTime::UNIX_EPOCH).random();
        place.powf(1.0 / self.active_share - 1.0)
    }

    /// How long before the first day a member was last read.
    pub fn last_read_before(&self, member: usize) -> TimeDelta {
        let mut dice = self.dice(member, DateTime::UNIX_EPOCH + TimeDelta::days(1));
        TimeDelta::seconds(dice.random_range(0..10 * 24 * HOUR))
    }

    /// When WHOOP's announcement of something is here; `None` if it gets lost.
    pub fn hears(&self, happening: &Happening, webhooks: Webhooks) -> Option<DateTime<Utc>> {
        let mut dice = self.dice(happening.member, happening.at);
        let late = webhooks.late.num_seconds().max(2);
        let delay = TimeDelta::seconds(dice.random_range(1..late));
        (!dice.random_bool(webhooks.lost)).then(|| happening.at + delay)
    }

    fn dice(&self, member: usize, at: DateTime<Utc>) -> ChaCha8Rng {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&(member as u64).to_le_bytes());
        seed[16..24].copy_from_slice(&at.timestamp().to_le_bytes());
        ChaCha8Rng::from_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_average_the_active_share_comes_and_past_visits_are_those_that_were() {
        let crowd = Crowd {
            users: 4_000,
            active_share: 0.25,
            days: Days::default(),
            seed: 1,
        };
        let midnight = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);

        let events = crowd.day(midnight);
        let visits: Vec<_> = events
            .iter()
            .filter(|one| one.event == Event::Visits)
            .collect();
        assert!((1_850..2_150).contains(&visits.len()), "{}", visits.len());

        let next = midnight + TimeDelta::days(1);
        for one in visits.iter().take(50) {
            let days = crowd.visits_before(one.member, next).days;
            assert_eq!(days & 1, 1);
        }
    }

    #[test]
    fn everybody_comes_where_everybody_is_active() {
        let crowd = Crowd {
            users: 300,
            active_share: 1.0,
            days: Days::default(),
            seed: 7,
        };
        let events = crowd.day(DateTime::UNIX_EPOCH);
        assert_eq!(
            events
                .iter()
                .filter(|one| one.event == Event::Visits)
                .count(),
            600
        );
    }
}
