//! Domain logic: WHOOP's records, a member's day, and the planning of the requests to WHOOP.
//!
//! This crate performs no I/O, contains no async code and never reads the system clock itself. Its
//! modules and types:
//!
//! - [`record`]: the four data types as WHOOP sends them. Parsing is lenient, and no digit of a
//!   number is lost.
//! - [`local_date`] and [`date_assignment`]: rules that assign each record to a local date, and
//!   that choose the cycle that is displayed for a date.
//! - [`coverage`]: the time span of each data type that was read from WHOOP completely (coverage).
//! - [`plan`]: the reads that are still necessary, and the members that a scheduled run syncs.
//! - [`quota`]: the quota ledger, which grants permits for calls to WHOOP by priority class.
//! - [`difference`]: differences between the stored records and WHOOP's records.
//! - [`day`]: the day that an app displays for a member.
//! - [`Clock`]: the only source of the current time. The caller passes it in.

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
