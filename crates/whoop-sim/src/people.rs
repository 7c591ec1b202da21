//! All simulated people. The history of a person is generated when the person is used for the first
//! time.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::{
    config::{MAX_PEOPLE, SimConfig},
    life::{self, LifePattern, Person, PersonSpec, RecordUpdate},
};

#[derive(Debug)]
pub(crate) struct PersonRegistry {
    seed: u64,
    /// Time of the simulator's start. Each person's history begins a number of days before it.
    started_at: DateTime<Utc>,
    specs: Vec<PersonSpec>,
    generated: HashMap<usize, Person>,
}

/// Data of a person that is available before the person's history was generated.
#[derive(Debug, Serialize)]
pub(crate) struct PersonSummary {
    pub(crate) whoop_user_id: i64,
    pub(crate) life: LifePattern,
    pub(crate) profile: Value,
}

impl PersonRegistry {
    pub(crate) fn new(config: &SimConfig, sim_start: DateTime<Utc>) -> Self {
        let spec = |index| PersonSpec {
            life: LifePattern::for_index(index),
            days: config.days,
        };
        Self {
            seed: config.seed,
            started_at: sim_start,
            specs: (0..config.people).map(spec).collect(),
            generated: HashMap::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.specs.len()
    }

    /// Adds `count` people and returns their ids; `None` if there would be more than `MAX_PEOPLE`
    /// people.
    pub(crate) fn add(&mut self, spec: PersonSpec, count: usize) -> Option<Vec<i64>> {
        let first = self.len();
        let end = first.checked_add(count).filter(|end| *end <= MAX_PEOPLE)?;
        self.specs.extend(std::iter::repeat_n(spec, count));
        Some((first..end).map(|index| self.id(index)).collect())
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = i64> {
        (0..self.len()).map(|index| self.id(index))
    }

    pub(crate) fn summaries(&self) -> impl Iterator<Item = PersonSummary> {
        self.specs.iter().enumerate().map(|(index, spec)| {
            let profile = life::make_profile(self.seed, index);
            PersonSummary {
                whoop_user_id: profile.user_id,
                life: spec.life,
                profile: serde_json::to_value(profile).expect("a profile has string keys"),
            }
        })
    }

    pub(crate) fn contains(&self, whoop_user_id: i64) -> bool {
        self.index(whoop_user_id).is_some()
    }

    /// Returns a person with the records at the time `now`, and the records that were updated since
    /// the last call for this person.
    pub(crate) fn person_at(
        &mut self,
        whoop_user_id: i64,
        now: DateTime<Utc>,
    ) -> Option<(&mut Person, Vec<RecordUpdate>)> {
        let index = self.index(whoop_user_id)?;
        let spec = *self.specs.get(index)?;
        let (seed, sim_start) = (self.seed, self.started_at);
        let person = self
            .generated
            .entry(index)
            .or_insert_with(|| Person::new(seed, index, spec, sim_start, now));
        let updates = person.advance_to(now);
        Some((person, updates))
    }

    fn id(&self, index: usize) -> i64 {
        life::make_profile(self.seed, index).user_id
    }

    fn index(&self, whoop_user_id: i64) -> Option<usize> {
        let index = life::index_of_user(whoop_user_id)?;
        (index < self.len() && self.id(index) == whoop_user_id).then_some(index)
    }
}
