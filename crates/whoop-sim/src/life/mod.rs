//! The people: who they are, how they live, and the records that come of it.
//!
//! A life is planned first (`plan`: when somebody sleeps, naps and trains), then
//! told as WHOOP would learn of it (`story`): what appears when, and what becomes
//! of it (`tale`). All are pure. The same seed, start and days give the same
//! bytes at the same instant, however the clock got there.

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
