//! The people: who they are, how they live, and the records that come of it.
//!
//! A life is planned first (`plan`: when somebody sleeps, naps and trains), then
//! written down as WHOOP would (`story`). Both are pure: the same seed, people,
//! days and now give the same bytes.

mod chance;
mod cycle;
mod habits;
#[cfg(test)]
mod invariants;
mod itinerary;
mod person;
mod plan;
mod recovery;
mod sleep;
mod sport;
mod story;
mod wire;
mod workout;
mod zone;

pub(crate) use chance::Chance;
pub(crate) use habits::Life;
pub(crate) use person::Person;
pub(crate) use story::generate;
