//! Domain logic without I/O: WHOOP's records, the member's day, and the planning of reads.
//!
//! This crate performs no I/O, has no async code and reads no clock. Its parts:
//!
//! - [`record`]: the four data types as WHOOP sends them, parsed leniently and kept without loss of
//!   digits;
//! - [`local_date`] and [`date_assignment`]: the date of each record, and the cycle that a date
//!   shows;
//! - [`coverage`] and [`plan`]: the time spans that were read, and the calls that are still
//!   necessary;
//! - [`quota`]: the quota ledger: permits for calls to WHOOP, by priority class;
//! - [`difference`]: differences between the stored records and WHOOP's;
//! - [`day`]: the day that an app shows;
//! - [`Clock`]: the only source of the current time, passed in by the caller.

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
