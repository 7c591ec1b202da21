//! The pure heart: WHOOP's records, the member's day, and what to ask next.
//!
//! Nothing here does I/O, awaits, or reads a clock. The parts:
//!
//! - [`record`]: the four records as WHOOP sends them, read leniently and
//!   kept to the last digit;
//! - [`local_date`] and [`days`]: which date a record belongs to, and which cycle a date shows;
//! - [`coverage`] and [`plan`]: what is known of a member, and which calls
//!   that leaves to make;
//! - [`quota`]: the quota ledger: permits for calls to WHOOP, by priority class;
//! - [`difference`]: differences between the stored records and WHOOP's;
//! - [`day`]: the one-call day that an app shows;
//! - [`Clock`]: the only door to the present, passed in by the caller.

mod clock;
pub mod coverage;
mod data_type;
pub mod date_assignment;
pub mod day;
pub mod difference;
mod ids;
pub mod instant;
pub mod local_date;
pub mod offset;
pub mod plan;
pub mod quota;
pub mod record;
pub mod retention;

pub use clock::{Clock, FixedClock, SystemClock};
pub use data_type::DataType;
pub use ids::{CycleId, InvalidUserId, SleepId, UserId, WorkoutId};
