//! One simulated member.

use serde_json::Value;

use super::{
    Chance, Life,
    wire::{BodyMeasurement, Profile},
};
use crate::{data_type::DataType, number::Float, record::Record};

/// A member of WHOOP with a complete history.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) whoop_user_id: i64,
    pub(crate) life: Life,
    pub(crate) profile: Value,
    /// WHOOP has none for some people and answers 404.
    pub(crate) body_measurement: Option<Value>,
    cycles: Vec<Record>,
    recoveries: Vec<Record>,
    sleeps: Vec<Record>,
    workouts: Vec<Record>,
}

impl Person {
    pub(crate) fn new(life: Life, body: &Physique, profile: &Profile) -> Self {
        let measured = (life != Life::Newcomer).then_some(&body.measurement);
        let json = |wire| serde_json::to_value(wire).expect("a measurement has string keys");
        Self {
            whoop_user_id: profile.user_id,
            life,
            profile: serde_json::to_value(profile).expect("a profile has string keys"),
            body_measurement: measured.map(json),
            cycles: Vec::new(),
            recoveries: Vec::new(),
            sleeps: Vec::new(),
            workouts: Vec::new(),
        }
    }

    /// Newest first, as the collections are listed.
    pub(crate) fn records(&self, data_type: DataType) -> &[Record] {
        match data_type {
            DataType::Cycle => &self.cycles,
            DataType::Recovery => &self.recoveries,
            DataType::Sleep => &self.sleeps,
            DataType::Workout => &self.workouts,
        }
    }

    /// To change records in place; call `sort` after it.
    pub(crate) fn records_mut(&mut self, data_type: DataType) -> &mut Vec<Record> {
        match data_type {
            DataType::Cycle => &mut self.cycles,
            DataType::Recovery => &mut self.recoveries,
            DataType::Sleep => &mut self.sleeps,
            DataType::Workout => &mut self.workouts,
        }
    }

    pub(crate) fn sort(&mut self) {
        for data_type in DataType::ALL {
            // The id decides ties, so that pages never depend on chance.
            self.records_mut(data_type)
                .sort_by(|a, b| (b.start, &b.id).cmp(&(a.start, &a.id)));
        }
    }
}

/// What somebody's body is like; nights and days vary around it.
pub(crate) struct Physique {
    pub(crate) resting_heart_rate: f64,
    pub(crate) hrv_milli: f64,
    pub(crate) max_heart_rate: i64,
    pub(crate) need_milli: i64,
    pub(crate) respiratory_rate: f64,
    pub(crate) kilojoule_per_hour: f64,
    /// Older straps measure neither skin temperature nor oxygen.
    pub(crate) has_new_strap: bool,
    measurement: BodyMeasurement,
}

impl Physique {
    pub(crate) fn of(life: Life, chance: &mut Chance) -> Self {
        let fit = if life == Life::Athlete { 8.0 } else { 0.0 };
        let max_heart_rate = chance.int(176, 203);
        Self {
            resting_heart_rate: chance.real(48.0, 63.0) - fit,
            hrv_milli: chance.real(38.0, 90.0) + 3.0 * fit,
            max_heart_rate,
            need_milli: chance.int(25_600_000, 29_300_000),
            respiratory_rate: chance.real(13.2, 17.4),
            kilojoule_per_hour: chance.real(300.0, 390.0),
            has_new_strap: life != Life::Napper,
            measurement: BodyMeasurement {
                height_meter: Float::rounded(chance.real(1.55, 1.98), 4),
                weight_kilogram: Float::rounded(chance.real(51.0, 98.0), 1),
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

/// Ids and names hang on seed and index alone: a bookmark outlives a restart.
pub(crate) fn profile(seed: u64, index: usize) -> Profile {
    let mut chance = Chance::new(seed, stream(index) + 1);
    let first_name = FIRST_NAMES[chance.index(FIRST_NAMES.len())].to_owned();
    let last_name = LAST_NAMES[chance.index(LAST_NAMES.len())].to_owned();
    let nth = i64::try_from(index).unwrap_or(0);
    Profile {
        // Steps of 1000 with a random part below: no two people share an id.
        user_id: 20_000_000 + nth * 1_000 + chance.int(0, 999),
        email: format!("member{}@example.test", index + 1),
        first_name,
        last_name,
    }
}

/// Two streams a person, one for who they are and one for how they live.
pub(crate) fn stream(index: usize) -> u64 {
    u64::try_from(index).unwrap_or(0).wrapping_mul(2)
}
