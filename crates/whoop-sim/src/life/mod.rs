//! The people: who they are, how they live, and the records that come of it.
//!
//! A life is planned first (`plan`: when somebody sleeps, naps and trains), then
//! told as WHOOP would learn of it (`story`): what appears when, and what becomes
//! of it (`tale`). All are pure. The same seed, start and days give the same
//! bytes at the same instant, however the clock got there.

mod chance;
mod cycle;
mod habits;
#[cfg(test)]
mod invariants;
mod itinerary;
#[cfg(test)]
mod over_time;
mod person;
mod plan;
mod recovery;
mod sleep;
mod sport;
mod story;
mod tale;
mod wire;
mod workout;
mod zone;

pub(crate) use chance::Chance;
pub use habits::Life;
pub(crate) use person::{Happening, Person, Role, index_of, profile};
