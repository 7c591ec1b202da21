//! One simulated member.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    Chance, Life,
    cycle::Cycle,
    itinerary::Itinerary,
    plan::Planner,
    story::{Hero, Story, cycle_id},
    tale::{Change, Tale},
    wire::{BodyMeasurement, Profile},
};
use crate::{data_type::DataType, ledger::Ledger, number::Float, record::Record, records::Records};

/// A newcomer's whole history.
const NEWCOMER_DAYS: u32 = 12;
const DECADE_DAYS: u32 = 3_653;
const LAPSED_DAYS_AGO: i64 = 21;

/// Who somebody is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Role {
    pub(crate) life: Life,
    /// Of history at the simulator's start.
    pub(crate) days: u32,
}

/// A member of WHOOP with all that has happened so far.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) whoop_user_id: i64,
    pub(crate) index: usize,
    pub(crate) life: Life,
    pub(crate) profile: Value,
    /// WHOOP has none for some people and answers 404.
    pub(crate) body_measurement: Option<Value>,
    pub(crate) records: Records,
    /// What was edited by hand, which outlives what happens by itself.
    pub(crate) ledger: Ledger,
    story: Story,
    tale: Tale,
    growing: Option<Box<Cycle>>,
    /// After this, WHOOP hears nothing more of them.
    ends: Option<DateTime<Utc>>,
}

/// A record that WHOOP would tell the app's webhook about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Happening {
    pub(crate) at: DateTime<Utc>,
    pub(crate) data_type: DataType,
    /// A recovery goes by its sleep's.
    pub(crate) id: String,
}

impl Person {
    /// Somebody as they stand at `now`, with a history that begins `role.days`
    /// before `born`, the simulator's start.
    pub(crate) fn new(
        seed: u64,
        index: usize,
        role: Role,
        born: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Self {
        let life = role.life;
        let days = match life {
            Life::Newcomer => role.days.min(NEWCOMER_DAYS),
            Life::Decade => role.days.max(DECADE_DAYS),
            _ => role.days,
        };
        let from = before(born, i64::from(days));
        let ends = (life == Life::MembershipLapsed).then(|| before(born, LAPSED_DAYS_AGO));
        let dice = |die| Chance::new(seed, stream(index, die));
        let itinerary = Itinerary::of(life, dice(Die::Journey), from);
        let planner = Planner::new(life, dice(Die::Plan), itinerary, from, ends);
        let mut chance = dice(Die::Story);
        let physique = Physique::of(life, &mut chance);
        let profile = profile(seed, index);
        let measured = (life != Life::Newcomer).then_some(&physique.measurement);
        let json = |wire| serde_json::to_value(wire).expect("a measurement has string keys");
        let mut person = Self {
            whoop_user_id: profile.user_id,
            index,
            life,
            profile: serde_json::to_value(&profile).expect("a profile has string keys"),
            body_measurement: measured.map(json),
            records: Records::default(),
            ledger: Ledger::default(),
            story: Story::new(
                Hero {
                    life,
                    user_id: profile.user_id,
                    index,
                    physique,
                },
                chance,
                planner,
                ends.map_or(now, |ends| now.min(ends)),
            ),
            tale: Tale::default(),
            growing: None,
            ends,
        };
        person.catch_up(now);
        person
    }

    /// Lets happen what happens until `now`; nothing that has happened is undone
    /// by a clock that is turned back.
    pub(crate) fn catch_up(&mut self, now: DateTime<Utc>) -> Vec<Happening> {
        let now = self.ends.map_or(now, |ends| now.min(ends));
        while self.story.next().is_some_and(|onset| onset <= now) {
            self.story.tell(&mut self.tale);
        }
        let mut happened = Vec::new();
        while let Some((at, change)) = self.tale.take(now) {
            match change {
                Change::Put(data_type, record) => {
                    let id = record.sleep_id.as_ref().unwrap_or(&record.id).clone();
                    if self.put(data_type, record) {
                        happened.push(Happening { at, data_type, id });
                    }
                }
                Change::Open(cycle) => self.growing = Some(cycle),
                Change::Close(record) => self.close(record),
            }
        }
        self.grow(now);
        happened
    }

    /// The id of a cycle of theirs that begins then.
    pub(crate) fn cycle_id(&self, start: DateTime<Utc>) -> i64 {
        cycle_id(self.index, start)
    }

    pub(crate) fn score_a_recovery(&self, chance: &mut Chance) -> Value {
        self.story.score_a_recovery(chance)
    }

    /// Something happens later than what is planned by the story.
    pub(crate) fn expect(&mut self, at: DateTime<Utc>, data_type: DataType, record: Record) {
        self.tale.add(at, Change::Put(data_type, record));
    }

    /// Whether it is there now; what was deleted by hand stays away.
    fn put(&mut self, data_type: DataType, record: Record) -> bool {
        match self.ledger.apply(data_type, record) {
            Some(record) => {
                self.records.put(data_type, record);
                true
            }
            None => false,
        }
    }

    fn close(&mut self, record: Record) {
        let is_it = |cycle: &mut Box<Cycle>| cycle.id.to_string() == record.id;
        self.growing.take_if(is_it);
        let heir = self.ledger.heir(&record.id).map(str::to_owned);
        if let Some(heir) = heir {
            self.records.end_cycle(&heir, &record);
        }
        self.put(DataType::Cycle, record);
    }

    fn grow(&mut self, now: DateTime<Utc>) {
        let Some(cycle) = &self.growing else { return };
        let grown = cycle.grown_at(now);
        let known = self.records.find(DataType::Cycle, &cycle.id.to_string());
        if known.is_some_and(|record| record.grown_at == Some(grown)) {
            return;
        }
        let mut record = cycle.open(now);
        record.grown_at = Some(grown);
        self.put(DataType::Cycle, record);
    }
}

fn before(at: DateTime<Utc>, days: i64) -> DateTime<Utc> {
    at.checked_sub_signed(chrono::TimeDelta::days(days))
        .unwrap_or(at)
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

const FIRST_USER_ID: i64 = 20_000_000;

/// Whose WHOOP id this would be, if there are so many people.
pub(crate) fn index_of(whoop_user_id: i64) -> Option<usize> {
    let nth = whoop_user_id.checked_sub(FIRST_USER_ID)?.div_euclid(1_000);
    usize::try_from(nth).ok()
}

/// Ids and names hang on seed and index alone: a bookmark outlives a restart.
pub(crate) fn profile(seed: u64, index: usize) -> Profile {
    let mut chance = Chance::new(seed, stream(index, Die::Name));
    let first_name = FIRST_NAMES[chance.index(FIRST_NAMES.len())].to_owned();
    let last_name = LAST_NAMES[chance.index(LAST_NAMES.len())].to_owned();
    let nth = i64::try_from(index).unwrap_or(0);
    Profile {
        // Steps of 1000 with a random part below: no two people share an id.
        user_id: FIRST_USER_ID + nth * 1_000 + chance.int(0, 999),
        email: format!("member{}@example.test", index + 1),
        first_name,
        last_name,
    }
}

/// Which dice of a person: a longer journey must not change a night.
#[derive(Debug, Clone, Copy)]
enum Die {
    Story,
    Name,
    Plan,
    Journey,
}

/// Nobody shares dice with anybody.
fn stream(index: usize, die: Die) -> u64 {
    u64::try_from(index).unwrap_or(0).wrapping_mul(4) + die as u64
}
