//! Generated members: the times at which they wake, train and open the app.

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use whoop_core::{DataType, plan::app_opens::AppOpenHistory};

const HOUR_SECONDS: i64 = 60 * 60;

/// Time after which WHOOP scores a nap or a workout: three minutes.
const SCORE_DELAY: TimeDelta = TimeDelta::minutes(3);

/// Event in a member's life after which WHOOP's data has changed, or in which the member opens the
/// app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberEvent {
    /// WHOOP has the sleep of last night, but has not scored it yet.
    SleepRecorded,
    /// WHOOP has scored the sleep and the recovery of last night.
    NightScored,
    /// WHOOP has scored last night a second time, with a different result.
    NightRescored,
    /// WHOOP has a new nap, or has scored a nap.
    NapChanged,
    /// WHOOP has a new workout, or has scored a workout.
    WorkoutChanged,
    /// The member deletes a workout. The next list of workouts does not contain it, so the service
    /// requests the workout by its id.
    ///
    /// This event also represents all other reasons to request a record by its id: old records with
    /// a pending score, and changes of records that are older than one page.
    WorkoutDeleted,
    /// The member opens the app.
    AppOpened,
}

/// Probabilities by which the members' days differ from each other. Shares are between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DayVariation {
    /// Share of nights, naps and workouts that arrive late, because the strap uploads them or WHOOP
    /// scores them some hours later.
    pub late_scores: f64,
    /// Share of nights without a record, for example because the member did not wear the strap.
    pub missed_nights: f64,
    /// Share of days on which a member takes a nap.
    pub naps: f64,
    /// Share of days on which one record of a member has to be requested by its id.
    pub deletions: f64,
    /// UTC offsets in hours, which are assigned to the members in turn.
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
    /// Maximum delay of a webhook, including its transport and its time in the webhook inbox.
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

/// Habits of one member: times that are the same every day, within about half an hour.
struct MemberHabits {
    /// Time from local midnight to the moment at which the member wakes.
    wakes_at: TimeDelta,
    first_open_after: TimeDelta,
    /// Time from local midnight to the second app open of a day.
    second_open_at: TimeDelta,
}

/// Times at which WHOOP has the sleep of one night, its first score, and its second score if there
/// is one.
struct NightTimes {
    stored: DateTime<Utc>,
    scored: DateTime<Utc>,
    rescored: Option<DateTime<Utc>>,
}

impl NightTimes {
    /// Delays the upload of the night, or only its score, by some hours. No time moves beyond the
    /// end of the day that begins at `midnight`.
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

/// Time of an event, and the event.
type TimedEvent = (DateTime<Utc>, MemberEvent);

/// Returns the two events of a record: at the time `at`, WHOOP has the record; at the time
/// `at + after`, WHOOP has its score.
fn with_score_event(at: DateTime<Utc>, after: TimeDelta, event: MemberEvent) -> [TimedEvent; 2] {
    [(at, event), (at + after, event)]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduledEvent {
    pub at: DateTime<Utc>,
    pub member: usize,
    pub event: MemberEvent,
}

/// Generator of members and their events. The same seed always gives the same members.
///
/// Some members open the app nearly every day, and others hardly ever. On a day, a member opens the
/// app either not at all or twice: in the first hours after waking, and again in the evening. On
/// average, the active share of the members opens the app on a day.
#[derive(Debug, Clone, Copy)]
pub struct MemberGenerator {
    pub users: usize,
    pub active_share: f64,
    pub day_variation: DayVariation,
    pub seed: u64,
}

impl MemberGenerator {
    /// Returns the events of all members' local days that begin in the 24 hours after `midnight`,
    /// in any order.
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

    /// Returns the events at or after `midnight` that belong to local days that began before
    /// `midnight`.
    pub fn carried_over_events(&self, midnight: DateTime<Utc>) -> Vec<ScheduledEvent> {
        let mut events = self.day_events(midnight - TimeDelta::days(1));
        events.retain(|scheduled| scheduled.at >= midnight);
        events
    }

    fn member_day_events(&self, member: usize, midnight: DateTime<Utc>) -> Vec<TimedEvent> {
        let mut rng = self.rng_for(member, midnight);
        // This number has to be drawn first, because `opens_app_on` draws only this number from the
        // same generator.
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
            // Members wake between 5:00 and 9:00, most of them at about 7:00.
            wakes_at: TimeDelta::hours(5)
                + within(HOUR_SECONDS)
                + within(HOUR_SECONDS)
                + within(2 * HOUR_SECONDS),
            first_open_after: within(3 * HOUR_SECONDS).min(within(3 * HOUR_SECONDS)),
            second_open_at: TimeDelta::hours(17) + within(5 * HOUR_SECONDS),
        }
    }

    /// Returns the days on which a member opened the app in the 28 days before `midnight`.
    pub fn app_opens_before(&self, member: usize, midnight: DateTime<Utc>) -> AppOpenHistory {
        (1..=28)
            .rev()
            .map(|days| midnight - TimeDelta::days(days))
            .filter(|day| self.opens_app_on(member, *day))
            .fold(AppOpenHistory::default(), |history, day| {
                history.with_open(day + TimeDelta::hours(12))
            })
    }

    /// Returns whether WHOOP answers all calls for a member with a 5xx. `share` is the share of the
    /// members for whom this is the case, 0 to 1.
    pub fn always_fails(&self, member: usize, share: f64) -> bool {
        let mut rng = self.rng_for(member, DateTime::UNIX_EPOCH + TimeDelta::days(3));
        rng.random_bool(share)
    }

    /// Returns the average number of records of a data type that a member has on a day. About one
    /// member in a hundred trains more than twice a day.
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

    /// Returns the probability that a member opens the app on a day. Its average over all members
    /// is the active share.
    fn open_probability(&self, member: usize) -> f64 {
        let position: f64 = self.rng_for(member, DateTime::UNIX_EPOCH).random();
        position.powf(1.0 / self.active_share - 1.0)
    }

    /// Returns the time between the last read of a member's data and the beginning of the
    /// simulation.
    pub fn initial_read_age(&self, member: usize) -> TimeDelta {
        let mut rng = self.rng_for(member, DateTime::UNIX_EPOCH + TimeDelta::days(1));
        TimeDelta::seconds(rng.random_range(0..10 * 24 * HOUR_SECONDS))
    }

    /// Returns the time at which the webhook about an event arrives; `None` if the webhook is lost.
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
