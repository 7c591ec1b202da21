//! The simulated people, their lives, and the resulting records.
//!
//! `plan` plans a life: the times of sleeps, naps and workouts. `record_generator` generates the
//! records that WHOOP would have of this life, with all versions of each record. `event_timeline`
//! stores each version until the time at which WHOOP would show it. None of these modules does I/O.
//!
//! The same seed, start and days result in the same bytes at the same time, in whatever steps the
//! clock was moved to that time.

mod cycle;
mod event_timeline;
#[cfg(test)]
mod invariants;
mod itinerary;
mod life_pattern;
#[cfg(test)]
mod over_time;
mod person;
mod plan;
mod record_generator;
mod recovery;
mod seeded_rng;
mod sleep;
mod sport;
mod time_zone;
mod wire;
mod workout;

pub use life_pattern::LifePattern;
pub(crate) use person::{Person, PersonSpec, RecordUpdate, index_of_user, make_profile};
pub(crate) use seeded_rng::SeededRng;
