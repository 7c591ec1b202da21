//! One simulated person: a member of WHOOP with their records.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    LifePattern, SeededRng,
    cycle::OpenCycle,
    event_timeline::{EventTimeline, TimelineEvent},
    itinerary::Itinerary,
    plan::CyclePlanner,
    record_generator::{PersonSeed, RecordGenerator, cycle_id},
    wire::{BodyMeasurementJson, ProfileJson},
};
use crate::{
    data_type::SimDataType, edit_overlay::EditOverlay, number::SinglePrecision, record::SimRecord,
    records::RecordStore,
};

/// Maximum number of days of a newcomer's history.
const NEWCOMER_DAYS: u32 = 12;
const DECADE_DAYS: u32 = 3_653;
const LAPSED_DAYS_AGO: i64 = 21;

/// The specification of a person: life pattern and days of history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PersonSpec {
    pub(crate) life: LifePattern,
    /// Days of history at the simulator's start.
    pub(crate) days: u32,
}

/// A member of WHOOP, with all records up to the time of the last call of [`Self::advance_to`].
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) whoop_user_id: i64,
    pub(crate) index: usize,
    pub(crate) life: LifePattern,
    pub(crate) profile: Value,
    /// Body measurement. `None` if WHOOP has no measurement and answers 404.
    pub(crate) body_measurement: Option<Value>,
    pub(crate) records: RecordStore,
    /// Edits of tests. They are applied again to every newer version of an edited record.
    pub(crate) edits: EditOverlay,
    generator: RecordGenerator,
    timeline: EventTimeline,
    open_cycle: Option<Box<OpenCycle>>,
    /// Time after which WHOOP receives no more data from this person; `None` if there is no such
    /// time.
    ends_at: Option<DateTime<Utc>>,
}

/// A new or changed record, which WHOOP announces with a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordUpdate {
    pub(crate) at: DateTime<Utc>,
    pub(crate) data_type: SimDataType,
    /// Id of the record. For a recovery, this is the id of its sleep.
    pub(crate) id: String,
}

impl Person {
    /// Creates a person with all records up to `now`. The history begins `spec.days` before
    /// `sim_start`, the start of the simulator.
    pub(crate) fn new(
        seed: u64,
        index: usize,
        spec: PersonSpec,
        sim_start: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Self {
        let life = spec.life;
        let days = match life {
            LifePattern::Newcomer => spec.days.min(NEWCOMER_DAYS),
            LifePattern::Decade => spec.days.max(DECADE_DAYS),
            _ => spec.days,
        };
        let from = days_before(sim_start, i64::from(days));
        let ends = (life == LifePattern::MembershipLapsed)
            .then(|| days_before(sim_start, LAPSED_DAYS_AGO));
        let stream_rng = |stream| SeededRng::new(seed, stream_id(index, stream));
        let itinerary = Itinerary::for_life(life, stream_rng(RngStream::Travel), from);
        let planner = CyclePlanner::new(life, stream_rng(RngStream::Plan), itinerary, from, ends);
        let mut rng = stream_rng(RngStream::Records);
        let body = BodyBaseline::for_life(life, &mut rng);
        let profile = make_profile(seed, index);
        let measured = (life != LifePattern::Newcomer).then_some(&body.measurement);
        let json = |wire| serde_json::to_value(wire).expect("a measurement has string keys");
        let mut person = Self {
            whoop_user_id: profile.user_id,
            index,
            life,
            profile: serde_json::to_value(&profile).expect("a profile has string keys"),
            body_measurement: measured.map(json),
            records: RecordStore::default(),
            edits: EditOverlay::default(),
            generator: RecordGenerator::new(
                PersonSeed {
                    life,
                    user_id: profile.user_id,
                    index,
                    body,
                },
                rng,
                planner,
                ends.map_or(now, |ends| now.min(ends)),
            ),
            timeline: EventTimeline::default(),
            open_cycle: None,
            ends_at: ends,
        };
        person.advance_to(now);
        person
    }

    /// Applies all events up to `now` and returns the records that they added or changed.
    ///
    /// If the clock is set back, events that were already applied are not undone.
    pub(crate) fn advance_to(&mut self, now: DateTime<Utc>) -> Vec<RecordUpdate> {
        let now = self.ends_at.map_or(now, |ends| now.min(ends));
        while self
            .generator
            .next_start()
            .is_some_and(|start| start <= now)
        {
            self.generator.generate_cycle(&mut self.timeline);
        }
        let mut updates = Vec::new();
        while let Some((at, change)) = self.timeline.take_due(now) {
            match change {
                TimelineEvent::Put(data_type, record) => {
                    let id = record.sleep_id.as_ref().unwrap_or(&record.id).clone();
                    if self.put_record(data_type, record) {
                        updates.push(RecordUpdate { at, data_type, id });
                    }
                }
                TimelineEvent::Open(cycle) => self.open_cycle = Some(cycle),
                TimelineEvent::Close(record) => self.close_cycle(record),
            }
        }
        self.update_open_cycle(now);
        updates
    }

    /// Returns the id of this person's cycle that begins at `start`.
    pub(crate) fn cycle_id(&self, start: DateTime<Utc>) -> i64 {
        cycle_id(self.index, start)
    }

    pub(crate) fn draw_recovery_score(&self, rng: &mut SeededRng) -> Value {
        self.generator.draw_recovery_score(rng)
    }

    /// Schedules a version of a record in addition to those that the generator schedules.
    pub(crate) fn schedule_record(
        &mut self,
        at: DateTime<Utc>,
        data_type: SimDataType,
        record: SimRecord,
    ) {
        self.timeline.add(at, TimelineEvent::Put(data_type, record));
    }

    /// Applies the edits to a record and stores it. Returns false if an edit has deleted the
    /// record.
    fn put_record(&mut self, data_type: SimDataType, record: SimRecord) -> bool {
        match self.edits.apply(data_type, record) {
            Some(record) => {
                self.records.put(data_type, record);
                true
            }
            None => false,
        }
    }

    fn close_cycle(&mut self, record: SimRecord) {
        let is_same = |cycle: &mut Box<OpenCycle>| cycle.id.to_string() == record.id;
        self.open_cycle.take_if(is_same);
        let replacement = self.edits.replacement_of(&record.id).map(str::to_owned);
        if let Some(replacement) = replacement {
            self.records.end_cycle(&replacement, &record);
        }
        self.put_record(SimDataType::Cycle, record);
    }

    fn update_open_cycle(&mut self, now: DateTime<Utc>) {
        let Some(cycle) = &self.open_cycle else {
            return;
        };
        let updated_at = cycle.last_update(now);
        let known = self.records.find(SimDataType::Cycle, &cycle.id.to_string());
        if known.is_some_and(|record| record.grown_at == Some(updated_at)) {
            return;
        }
        let mut record = cycle.open_record(now);
        record.grown_at = Some(updated_at);
        self.put_record(SimDataType::Cycle, record);
    }
}

fn days_before(at: DateTime<Utc>, days: i64) -> DateTime<Utc> {
    at.checked_sub_signed(chrono::TimeDelta::days(days))
        .unwrap_or(at)
}

/// A person's average physical values, around which the measured values vary.
pub(crate) struct BodyBaseline {
    pub(crate) resting_heart_rate: f64,
    pub(crate) hrv_milli: f64,
    pub(crate) max_heart_rate: i64,
    pub(crate) need_milli: i64,
    pub(crate) respiratory_rate: f64,
    pub(crate) kilojoule_per_hour: f64,
    /// Whether the strap measures skin temperature and oxygen, which older straps do not.
    pub(crate) has_new_strap: bool,
    measurement: BodyMeasurementJson,
}

impl BodyBaseline {
    pub(crate) fn for_life(life: LifePattern, rng: &mut SeededRng) -> Self {
        let fit = if life == LifePattern::Athlete {
            8.0
        } else {
            0.0
        };
        let max_heart_rate = rng.int_between(176, 203);
        Self {
            resting_heart_rate: rng.float_between(48.0, 63.0) - fit,
            hrv_milli: rng.float_between(38.0, 90.0) + 3.0 * fit,
            max_heart_rate,
            need_milli: rng.int_between(25_600_000, 29_300_000),
            respiratory_rate: rng.float_between(13.2, 17.4),
            kilojoule_per_hour: rng.float_between(300.0, 390.0),
            has_new_strap: life != LifePattern::Napper,
            measurement: BodyMeasurementJson {
                height_meter: SinglePrecision::rounded(rng.float_between(1.55, 1.98), 4),
                weight_kilogram: SinglePrecision::rounded(rng.float_between(51.0, 98.0), 1),
                max_heart_rate,
            },
        }
    }
}

const FIRST_NAMES: [&str; 12] = [
    "Ada", "Björn", "Chiara", "Dmitri", "Émilie", "Farid", "Greta", "Hana", "Ivo", "Jún", "Kofi",
    "Lena",
];
const LAST_NAMES: [&str; 11] = [
    "Ahlberg",
    "Brandt",
    "Castellano",
    "Duarte",
    "Eriksen",
    "Fontaine",
    "García",
    "Hoshino",
    "Iversen",
    "Jankowski",
    "O'Neill",
];

const FIRST_USER_ID: i64 = 20_000_000;

/// Returns the index of the person to whom this WHOOP user id would belong.
///
/// The person may not exist, which the caller has to check.
pub(crate) fn index_of_user(whoop_user_id: i64) -> Option<usize> {
    let number = whoop_user_id.checked_sub(FIRST_USER_ID)?.div_euclid(1_000);
    usize::try_from(number).ok()
}

/// Creates a person's profile. Ids and names depend only on the seed and the index, so that they
/// are the same after a restart.
pub(crate) fn make_profile(seed: u64, index: usize) -> ProfileJson {
    let mut rng = SeededRng::new(seed, stream_id(index, RngStream::Name));
    let first_name = FIRST_NAMES[rng.index(FIRST_NAMES.len())].to_owned();
    let last_name = LAST_NAMES[rng.index(LAST_NAMES.len())].to_owned();
    let number = i64::try_from(index).unwrap_or(0);
    ProfileJson {
        // Each person has a range of 1000 ids, so no two people share an id.
        user_id: FIRST_USER_ID + number * 1_000 + rng.int_between(0, 999),
        email: format!("member{}@example.test", index + 1),
        first_name,
        last_name,
    }
}

/// Purposes of a person's random numbers.
///
/// Each purpose has its own stream of random numbers. For example, a longer journey then does not
/// change the nights.
#[derive(Debug, Clone, Copy)]
enum RngStream {
    Records,
    Name,
    Plan,
    Travel,
}

/// Returns the id of a random number stream. Each person has one stream per purpose.
fn stream_id(index: usize, stream: RngStream) -> u64 {
    u64::try_from(index).unwrap_or(0).wrapping_mul(4) + stream as u64
}
