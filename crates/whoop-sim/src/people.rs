//! Everybody, most of them asleep: a history is made when it is first asked for.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::{
    config::{MAX_PEOPLE, SimConfig},
    life::{self, Happening, Life, Person, Role},
};

#[derive(Debug)]
pub(crate) struct People {
    seed: u64,
    /// The simulator's start, from which all histories count back.
    born: DateTime<Utc>,
    roles: Vec<Role>,
    awake: HashMap<usize, Person>,
}

/// What is known of somebody without their history.
#[derive(Debug, Serialize)]
pub(crate) struct Sketch {
    pub(crate) whoop_user_id: i64,
    pub(crate) life: Life,
    pub(crate) profile: Value,
}

impl People {
    pub(crate) fn new(config: &SimConfig, born: DateTime<Utc>) -> Self {
        let role = |index| Role {
            life: Life::of(index),
            days: config.days,
        };
        Self {
            seed: config.seed,
            born,
            roles: (0..config.people).map(role).collect(),
            awake: HashMap::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.roles.len()
    }

    /// Adds people of a life and returns their ids; `None` when there is no room.
    pub(crate) fn add(&mut self, role: Role, count: usize) -> Option<Vec<i64>> {
        let first = self.len();
        let end = first.checked_add(count).filter(|end| *end <= MAX_PEOPLE)?;
        self.roles.extend(std::iter::repeat_n(role, count));
        Some((first..end).map(|index| self.id(index)).collect())
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = i64> {
        (0..self.len()).map(|index| self.id(index))
    }

    pub(crate) fn sketches(&self) -> impl Iterator<Item = Sketch> {
        self.roles.iter().enumerate().map(|(index, role)| {
            let profile = life::profile(self.seed, index);
            Sketch {
                whoop_user_id: profile.user_id,
                life: role.life,
                profile: serde_json::to_value(profile).expect("a profile has string keys"),
            }
        })
    }

    pub(crate) fn knows(&self, whoop_user_id: i64) -> bool {
        self.index(whoop_user_id).is_some()
    }

    /// Somebody as they are at `now`, and what has happened since the last look.
    pub(crate) fn at(
        &mut self,
        whoop_user_id: i64,
        now: DateTime<Utc>,
    ) -> Option<(&mut Person, Vec<Happening>)> {
        let index = self.index(whoop_user_id)?;
        let role = *self.roles.get(index)?;
        let (seed, born) = (self.seed, self.born);
        let person = self
            .awake
            .entry(index)
            .or_insert_with(|| Person::new(seed, index, role, born, now));
        let happened = person.catch_up(now);
        Some((person, happened))
    }

    fn id(&self, index: usize) -> i64 {
        life::profile(self.seed, index).user_id
    }

    fn index(&self, whoop_user_id: i64) -> Option<usize> {
        let index = life::index_of(whoop_user_id)?;
        (index < self.len() && self.id(index) == whoop_user_id).then_some(index)
    }
}
