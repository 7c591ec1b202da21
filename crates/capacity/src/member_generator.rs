//! Generated members: when they wake, train and open the app.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use whoop_core::{DataType, plan::app_opens::AppOpenHistory};

const HOUR_SECONDS: i64 = 60 * 60;

/// How long a nap and a workout wait for their scores.
const SCORE_DELAY: TimeDelta = TimeDelta::minutes(3);

/// Something that happens to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberEvent {
    /// WHOOP has last night's sleep, without its score.
    SleepRecorded,
    /// WHOOP has the score of the sleep, and the recovery.
    NightScored,
    /// WHOOP has scored last night again.
    NightRescored,
    /// WHOOP has a nap, or its score.
    NapChanged,
    /// WHOOP has a new workout, or its score.
    WorkoutChanged,
    /// The member deletes a workout. The next list of workouts lacks it, and it is asked for by
    /// its id. It represents the other reasons for calls by id as well: old records with a
    /// pending score, and changes of records that are older than a page.
    WorkoutDeleted,
    /// The member opens the app.
    AppOpened,
}

/// What sets some of the members' days apart. Shares, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DayVariation {
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

impl Default for DayVariation {
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
pub struct WebhookConditions {
    /// The share that never does, 0 to 1.
    pub lost_share: f64,
    /// The longest that one is on its way, and waits to be worked off.
    pub max_delay: TimeDelta,
}

impl Default for WebhookConditions {
    fn default() -> Self {
        Self {
            lost_share: 0.0,
            max_delay: TimeDelta::minutes(1),
        }
    }
}

/// What is alike on all of a member's days, but for half an hour or so.
struct MemberHabits {
    /// After midnight.
    wakes_at: TimeDelta,
    first_open_after: TimeDelta,
    /// After midnight.
    second_open_at: TimeDelta,
}

/// When WHOOP has what of a night.
struct NightTimes {
    stored: DateTime<Utc>,
    scored: DateTime<Utc>,
    rescored: Option<DateTime<Utc>>,
}

impl NightTimes {
    /// The strap uploads it hours later, or WHOOP scores it then. Still on the day
    /// that begins at `midnight`.
    fn delay_upload_or_score(&mut self, midnight: DateTime<Utc>, dice: &mut ChaCha8Rng) {
        let late = TimeDelta::seconds(dice.random_range(4 * HOUR_SECONDS..14 * HOUR_SECONDS));
        if dice.random_bool(0.5) {
            self.stored += late;
        }
        let last = midnight + TimeDelta::seconds(24 * HOUR_SECONDS - 1);
        self.stored = self.stored.min(last);
        self.scored = (self.scored + late).min(last);
        self.rescored = None;
    }

    fn events(&self) -> impl Iterator<Item = TimedEvent> {
        let rescored = self.rescored.map(|at| (at, MemberEvent::NightRescored));
        [
            (self.stored, MemberEvent::SleepRecorded),
            (self.scored, MemberEvent::NightScored),
        ]
        .into_iter()
        .chain(rescored)
    }
}

/// An event and its time.
type TimedEvent = (DateTime<Utc>, MemberEvent);

/// WHOOP has something, and some time later its score.
fn with_score_event(at: DateTime<Utc>, after: TimeDelta, event: MemberEvent) -> [TimedEvent; 2] {
    [(at, event), (at + after, event)]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduledEvent {
    pub at: DateTime<Utc>,
    pub member: usize,
    pub event: MemberEvent,
}

/// Members who are the same for the same seed.
///
/// Some come nearly every day and some hardly ever; on average the active share
/// comes on a day, in the first hours after waking and again in the evening.
#[derive(Debug, Clone, Copy)]
pub struct MemberGenerator {
    pub users: usize,
    pub active_share: f64,
    pub day_variation: DayVariation,
    pub seed: u64,
}

impl MemberGenerator {
    /// Events on the members' local days that begin within 24 hours from `midnight` on, unordered.
    pub fn day_events(&self, midnight: DateTime<Utc>) -> Vec<ScheduledEvent> {
        let offsets = self.day_variation.utc_offsets.iter().cycle();
        let members = (0..self.users).zip(offsets);
        members
            .flat_map(|(member, offset)| {
                let begins_after = TimeDelta::hours((-offset).rem_euclid(24));
                let moments = self.member_day_events(member, midnight).into_iter();
                moments.map(move |(at, event)| ScheduledEvent {
                    at: at + begins_after,
                    member,
                    event,
                })
            })
            .collect()
    }

    /// Events after `midnight` on the members' local days that began before it.
    pub fn carried_over_events(&self, midnight: DateTime<Utc>) -> Vec<ScheduledEvent> {
        let mut rest = self.day_events(midnight - TimeDelta::days(1));
        rest.retain(|happening| happening.at >= midnight);
        rest
    }

    fn member_day_events(&self, member: usize, midnight: DateTime<Utc>) -> Vec<TimedEvent> {
        let mut dice = self.rng_for(member, midnight);
        // Thrown first: `comes` throws no other.
        let comes = dice.random::<f64>() < self.open_probability(member);
        let mut within = |from: i64, until: i64| TimeDelta::seconds(dice.random_range(from..until));

        let habits = self.habits(member);
        let wakes = midnight + habits.wakes_at + within(0, HOUR_SECONDS) - TimeDelta::minutes(30);
        let mut night = NightTimes {
            stored: wakes,
            scored: wakes + within(3 * 60, 20 * 60),
            rescored: None,
        };
        let rescored = night.scored + within(HOUR_SECONDS, 10 * HOUR_SECONDS);
        let is_rescored = within(0, 100) < TimeDelta::seconds(20);
        night.rescored = is_rescored.then_some(rescored);
        let mut events = Vec::new();
        let workouts = match within(0, 100).num_seconds() {
            0..50 => 0,
            50..90 => 1,
            _ => 2,
        };
        let trained: Vec<DateTime<Utc>> = (0..workouts)
            .map(|_| midnight + within(6 * HOUR_SECONDS, 21 * HOUR_SECONDS))
            .collect();
        if comes {
            let first = wakes + habits.first_open_after + within(5 * 60, HOUR_SECONDS);
            let second =
                midnight + habits.second_open_at + within(0, HOUR_SECONDS) - TimeDelta::minutes(30);
            events.extend([first, second].map(|at| (at, MemberEvent::AppOpened)));
        }
        let is_late = dice.random_bool(self.day_variation.late_scores);
        if is_late {
            night.delay_upload_or_score(midnight, &mut dice);
        }
        let mut scored_after = || match is_late {
            true => TimeDelta::seconds(dice.random_range(4 * HOUR_SECONDS..14 * HOUR_SECONDS)),
            false => SCORE_DELAY,
        };
        for at in trained {
            events.extend(with_score_event(
                at,
                scored_after(),
                MemberEvent::WorkoutChanged,
            ));
        }
        let nap_scored_after = scored_after();
        if !dice.random_bool(self.day_variation.missed_nights) {
            events.extend(night.events());
        }
        if dice.random_bool(self.day_variation.naps) {
            let at = midnight
                + TimeDelta::seconds(dice.random_range(13 * HOUR_SECONDS..18 * HOUR_SECONDS));
            events.extend(with_score_event(
                at,
                nap_scored_after,
                MemberEvent::NapChanged,
            ));
        }
        if self.day_variation.deletions > 0.0 && dice.random_bool(self.day_variation.deletions) {
            let at = midnight
                + TimeDelta::seconds(dice.random_range(6 * HOUR_SECONDS..22 * HOUR_SECONDS));
            events.push((at, MemberEvent::WorkoutDeleted));
        }
        events
    }

    fn habits(&self, member: usize) -> MemberHabits {
        let mut dice = self.rng_for(member, DateTime::UNIX_EPOCH + TimeDelta::days(2));
        let mut within = |until: i64| TimeDelta::seconds(dice.random_range(0..until));
        MemberHabits {
            // From five to nine, mostly about seven.
            wakes_at: TimeDelta::hours(5)
                + within(HOUR_SECONDS)
                + within(HOUR_SECONDS)
                + within(2 * HOUR_SECONDS),
            first_open_after: within(3 * HOUR_SECONDS).min(within(3 * HOUR_SECONDS)),
            second_open_at: TimeDelta::hours(17) + within(5 * HOUR_SECONDS),
        }
    }

    /// The visits of the four weeks before a day.
    pub fn app_opens_before(&self, member: usize, midnight: DateTime<Utc>) -> AppOpenHistory {
        (1..=28)
            .rev()
            .map(|days| midnight - TimeDelta::days(days))
            .filter(|day| self.opens_app_on(member, *day))
            .fold(AppOpenHistory::default(), |visits, day| {
                visits.with_open(day + TimeDelta::hours(12))
            })
    }

    /// Whether WHOOP answers all calls for a member with a 5xx; true of this share of the members.
    pub fn always_fails(&self, member: usize, share: f64) -> bool {
        let mut dice = self.rng_for(member, DateTime::UNIX_EPOCH + TimeDelta::days(3));
        dice.random_bool(share)
    }

    /// Records of a data type that a member has on a day, on average. One member in a hundred trains
    /// more than twice a day.
    pub fn records_per_day(&self, member: usize, data_type: DataType) -> f64 {
        match data_type {
            DataType::Recovery | DataType::Cycle => 1.0,
            DataType::Sleep => 1.0 + self.day_variation.naps,
            DataType::Workout => {
                let mut dice = self.rng_for(member, DateTime::UNIX_EPOCH + TimeDelta::days(4));
                0.2 + 2.0 * dice.random::<f64>().powi(4)
            }
        }
    }

    fn opens_app_on(&self, member: usize, midnight: DateTime<Utc>) -> bool {
        self.rng_for(member, midnight).random::<f64>() < self.open_probability(member)
    }

    /// How likely the member comes on a day; the mean over all is the share.
    fn open_probability(&self, member: usize) -> f64 {
        let place: f64 = self.rng_for(member, DateTime::UNIX_EPOCH).random();
        place.powf(1.0 / self.active_share - 1.0)
    }

    /// How long before the first day a member was last read.
    pub fn initial_read_age(&self, member: usize) -> TimeDelta {
        let mut dice = self.rng_for(member, DateTime::UNIX_EPOCH + TimeDelta::days(1));
        TimeDelta::seconds(dice.random_range(0..10 * 24 * HOUR_SECONDS))
    }

    /// When WHOOP's announcement of something is here; `None` if it gets lost.
    pub fn webhook_arrival(
        &self,
        happening: &ScheduledEvent,
        webhooks: WebhookConditions,
    ) -> Option<DateTime<Utc>> {
        let mut dice = self.rng_for(happening.member, happening.at);
        let late = webhooks.max_delay.num_seconds().max(2);
        let delay = TimeDelta::seconds(dice.random_range(1..late));
        (!dice.random_bool(webhooks.lost_share)).then(|| happening.at + delay)
    }

    fn rng_for(&self, member: usize, at: DateTime<Utc>) -> ChaCha8Rng {
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
        let crowd = MemberGenerator {
            users: 4_000,
            active_share: 0.25,
            day_variation: DayVariation::default(),
            seed: 1,
        };
        let midnight = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);

        let events = crowd.day_events(midnight);
        let visits: Vec<_> = events
            .iter()
            .filter(|one| one.event == MemberEvent::AppOpened)
            .collect();
        assert!((1_850..2_150).contains(&visits.len()), "{}", visits.len());

        let next = midnight + TimeDelta::days(1);
        for one in visits.iter().take(50) {
            let days = crowd.app_opens_before(one.member, next).days;
            assert_eq!(days & 1, 1);
        }
    }

    #[test]
    fn everybody_comes_where_everybody_is_active() {
        let crowd = MemberGenerator {
            users: 300,
            active_share: 1.0,
            day_variation: DayVariation::default(),
            seed: 7,
        };
        let events = crowd.day_events(DateTime::UNIX_EPOCH);
        assert_eq!(
            events
                .iter()
                .filter(|one| one.event == MemberEvent::AppOpened)
                .count(),
            600
        );
    }
}
