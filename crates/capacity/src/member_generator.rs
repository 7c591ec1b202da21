//! Generated members: the times at which they wake, train and open the app.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use whoop_core::{DataType, plan::app_opens::AppOpenHistory};

const HOUR_SECONDS: i64 = 60 * 60;

/// Time until WHOOP scores a nap or a workout.
const SCORE_DELAY: TimeDelta = TimeDelta::minutes(3);

/// An event in a member's life that changes WHOOP's data or opens the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberEvent {
    /// WHOOP has last night's sleep, but not its score.
    SleepRecorded,
    /// WHOOP has scored the sleep and the recovery.
    NightScored,
    /// WHOOP has scored last night again.
    NightRescored,
    /// WHOOP has a new nap, or the score of one.
    NapChanged,
    /// WHOOP has a new workout, or the score of one.
    WorkoutChanged,
    /// The member deletes a workout. The next list of workouts lacks it, so it is requested by its
    /// id. This event also represents the other reasons for calls by id: old records with a pending
    /// score, and changes of records that are older than one page.
    WorkoutDeleted,
    /// The member opens the app.
    AppOpened,
}

/// Differences between the members' days. Shares are between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DayVariation {
    /// Share of nights, naps and workouts that the strap uploads, or WHOOP scores, hours later.
    pub late_scores: f64,
    /// Share of nights without a record, such as a night without the strap.
    pub missed_nights: f64,
    /// Share of days with a nap.
    pub naps: f64,
    /// Share of days on which one record has to be requested by its id.
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

/// Loss and delay of WHOOP's webhooks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WebhookConditions {
    /// Share of the webhooks that never arrive, 0 to 1.
    pub lost_share: f64,
    /// Maximum delay of a webhook: its transport and its time in the inbox.
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

/// Habits of a member that are the same every day, within about half an hour.
struct MemberHabits {
    /// Time after midnight.
    wakes_at: TimeDelta,
    first_open_after: TimeDelta,
    /// Time after midnight.
    second_open_at: TimeDelta,
}

/// Times at which WHOOP has the sleep of a night, its score and a second score.
struct NightTimes {
    stored: DateTime<Utc>,
    scored: DateTime<Utc>,
    rescored: Option<DateTime<Utc>>,
}

impl NightTimes {
    /// Delays the upload of the night, or only its score, by some hours, but not beyond the end of
    /// the day that begins at `midnight`.
    fn delay_upload_or_score(&mut self, midnight: DateTime<Utc>, rng: &mut ChaCha8Rng) {
        let late = TimeDelta::seconds(rng.random_range(4 * HOUR_SECONDS..14 * HOUR_SECONDS));
        if rng.random_bool(0.5) {
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

/// Returns the events of a record: one when WHOOP has it, and one when WHOOP has its score.
fn with_score_event(at: DateTime<Utc>, after: TimeDelta, event: MemberEvent) -> [TimedEvent; 2] {
    [(at, event), (at + after, event)]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduledEvent {
    pub at: DateTime<Utc>,
    pub member: usize,
    pub event: MemberEvent,
}

/// Generator of members and their events; the same seed gives the same members.
///
/// Some members open the app nearly every day and others hardly ever. On average the active share
/// opens it on a day: in the first hours after waking and again in the evening.
#[derive(Debug, Clone, Copy)]
pub struct MemberGenerator {
    pub users: usize,
    pub active_share: f64,
    pub day_variation: DayVariation,
    pub seed: u64,
}

impl MemberGenerator {
    /// Returns the events of the members' local days that begin within 24 hours after `midnight`,
    /// unordered.
    pub fn day_events(&self, midnight: DateTime<Utc>) -> Vec<ScheduledEvent> {
        let offsets = self.day_variation.utc_offsets.iter().cycle();
        let members = (0..self.users).zip(offsets);
        members
            .flat_map(|(member, offset)| {
                let begins_after = TimeDelta::hours((-offset).rem_euclid(24));
                let events = self.member_day_events(member, midnight).into_iter();
                events.map(move |(at, event)| ScheduledEvent {
                    at: at + begins_after,
                    member,
                    event,
                })
            })
            .collect()
    }

    /// Returns the events after `midnight` of the members' local days that began before it.
    pub fn carried_over_events(&self, midnight: DateTime<Utc>) -> Vec<ScheduledEvent> {
        let mut events = self.day_events(midnight - TimeDelta::days(1));
        events.retain(|scheduled| scheduled.at >= midnight);
        events
    }

    fn member_day_events(&self, member: usize, midnight: DateTime<Utc>) -> Vec<TimedEvent> {
        let mut rng = self.rng_for(member, midnight);
        // Drawn first, because `opens_app_on` draws this number and no other.
        let opens_app = rng.random::<f64>() < self.open_probability(member);
        let mut within = |from: i64, until: i64| TimeDelta::seconds(rng.random_range(from..until));

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
        let workout_times: Vec<DateTime<Utc>> = (0..workouts)
            .map(|_| midnight + within(6 * HOUR_SECONDS, 21 * HOUR_SECONDS))
            .collect();
        if opens_app {
            let first = wakes + habits.first_open_after + within(5 * 60, HOUR_SECONDS);
            let second =
                midnight + habits.second_open_at + within(0, HOUR_SECONDS) - TimeDelta::minutes(30);
            events.extend([first, second].map(|at| (at, MemberEvent::AppOpened)));
        }
        let is_late = rng.random_bool(self.day_variation.late_scores);
        if is_late {
            night.delay_upload_or_score(midnight, &mut rng);
        }
        let mut scored_after = || match is_late {
            true => TimeDelta::seconds(rng.random_range(4 * HOUR_SECONDS..14 * HOUR_SECONDS)),
            false => SCORE_DELAY,
        };
        for at in workout_times {
            events.extend(with_score_event(
                at,
                scored_after(),
                MemberEvent::WorkoutChanged,
            ));
        }
        let nap_scored_after = scored_after();
        if !rng.random_bool(self.day_variation.missed_nights) {
            events.extend(night.events());
        }
        if rng.random_bool(self.day_variation.naps) {
            let at = midnight
                + TimeDelta::seconds(rng.random_range(13 * HOUR_SECONDS..18 * HOUR_SECONDS));
            events.extend(with_score_event(
                at,
                nap_scored_after,
                MemberEvent::NapChanged,
            ));
        }
        if self.day_variation.deletions > 0.0 && rng.random_bool(self.day_variation.deletions) {
            let at = midnight
                + TimeDelta::seconds(rng.random_range(6 * HOUR_SECONDS..22 * HOUR_SECONDS));
            events.push((at, MemberEvent::WorkoutDeleted));
        }
        events
    }

    fn habits(&self, member: usize) -> MemberHabits {
        let mut rng = self.rng_for(member, DateTime::UNIX_EPOCH + TimeDelta::days(2));
        let mut within = |until: i64| TimeDelta::seconds(rng.random_range(0..until));
        MemberHabits {
            // Between 5:00 and 9:00, mostly about 7:00.
            wakes_at: TimeDelta::hours(5)
                + within(HOUR_SECONDS)
                + within(HOUR_SECONDS)
                + within(2 * HOUR_SECONDS),
            first_open_after: within(3 * HOUR_SECONDS).min(within(3 * HOUR_SECONDS)),
            second_open_at: TimeDelta::hours(17) + within(5 * HOUR_SECONDS),
        }
    }

    /// Returns the days on which a member opened the app in the four weeks before `midnight`.
    pub fn app_opens_before(&self, member: usize, midnight: DateTime<Utc>) -> AppOpenHistory {
        (1..=28)
            .rev()
            .map(|days| midnight - TimeDelta::days(days))
            .filter(|day| self.opens_app_on(member, *day))
            .fold(AppOpenHistory::default(), |history, day| {
                history.with_open(day + TimeDelta::hours(12))
            })
    }

    /// Whether WHOOP answers all calls for a member with a 5xx. This is true for `share` of the
    /// members.
    pub fn always_fails(&self, member: usize, share: f64) -> bool {
        let mut rng = self.rng_for(member, DateTime::UNIX_EPOCH + TimeDelta::days(3));
        rng.random_bool(share)
    }

    /// Returns the average number of records of a data type that a member has on a day. One member
    /// in a hundred trains more than twice a day.
    pub fn records_per_day(&self, member: usize, data_type: DataType) -> f64 {
        match data_type {
            DataType::Recovery | DataType::Cycle => 1.0,
            DataType::Sleep => 1.0 + self.day_variation.naps,
            DataType::Workout => {
                let mut rng = self.rng_for(member, DateTime::UNIX_EPOCH + TimeDelta::days(4));
                0.2 + 2.0 * rng.random::<f64>().powi(4)
            }
        }
    }

    fn opens_app_on(&self, member: usize, midnight: DateTime<Utc>) -> bool {
        self.rng_for(member, midnight).random::<f64>() < self.open_probability(member)
    }

    /// Returns the probability that the member opens the app on a day. The mean over all members is
    /// the active share.
    fn open_probability(&self, member: usize) -> f64 {
        let position: f64 = self.rng_for(member, DateTime::UNIX_EPOCH).random();
        position.powf(1.0 / self.active_share - 1.0)
    }

    /// Returns the time between the last read of a member and the first simulated day.
    pub fn initial_read_age(&self, member: usize) -> TimeDelta {
        let mut rng = self.rng_for(member, DateTime::UNIX_EPOCH + TimeDelta::days(1));
        TimeDelta::seconds(rng.random_range(0..10 * 24 * HOUR_SECONDS))
    }

    /// Returns the time at which the webhook about an event arrives; `None` if it is lost.
    pub fn webhook_arrival(
        &self,
        scheduled: &ScheduledEvent,
        webhooks: WebhookConditions,
    ) -> Option<DateTime<Utc>> {
        let mut rng = self.rng_for(scheduled.member, scheduled.at);
        let late = webhooks.max_delay.num_seconds().max(2);
        let delay = TimeDelta::seconds(rng.random_range(1..late));
        (!rng.random_bool(webhooks.lost_share)).then(|| scheduled.at + delay)
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
    fn the_active_share_opens_the_app_and_the_history_of_app_opens_agrees() {
        let generator = MemberGenerator {
            users: 4_000,
            active_share: 0.25,
            day_variation: DayVariation::default(),
            seed: 1,
        };
        let midnight = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);

        let events = generator.day_events(midnight);
        let app_opens: Vec<_> = events
            .iter()
            .filter(|scheduled| scheduled.event == MemberEvent::AppOpened)
            .collect();
        assert!(
            (1_850..2_150).contains(&app_opens.len()),
            "{}",
            app_opens.len()
        );

        let next = midnight + TimeDelta::days(1);
        for scheduled in app_opens.iter().take(50) {
            let days = generator.app_opens_before(scheduled.member, next).days;
            assert_eq!(days & 1, 1);
        }
    }

    #[test]
    fn all_members_open_the_app_twice_if_the_active_share_is_1() {
        let generator = MemberGenerator {
            users: 300,
            active_share: 1.0,
            day_variation: DayVariation::default(),
            seed: 7,
        };
        let events = generator.day_events(DateTime::UNIX_EPOCH);
        assert_eq!(
            events
                .iter()
                .filter(|scheduled| scheduled.event == MemberEvent::AppOpened)
                .count(),
            600
        );
    }
}
