//! The simulated people, their lives, and the resulting records.
//!
//! `plan` plans a life: the times of sleeps, naps and workouts. `record_generator` generates the
//! records that WHOOP would have of it, with all their versions. `event_timeline` holds the
//! versions until their time. None of these modules has I/O. The same seed, start and days give
//! the same bytes at the same instant, independent of the steps in which the clock was moved.

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
