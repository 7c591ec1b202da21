//! Tests of the engine with a simulated WHOOP and a PostgreSQL server, one law after another.
//!
//! The laws are the guarantees of the service. Comments refer to their numbers:
//!
//! - 1: nothing is lost in translation between WHOOP and the database.
//! - 2: newest wins, whatever the order of arrival.
//! - 3: late changes arrive.
//! - 4: deleted means deleted, and absence needs proof.
//! - 5: a day is the member's day (local dates).
//! - 6: the sync log is correct, including the coverage (the time span that was read completely).
//! - 7: the quota is never exceeded and never wasted.
//! - 8: one token refresh at a time, and no refresh is lost.
//! - 9: one sync per member at a time, and background work yields to the app.
//! - 10: always a reason, never a guess.
//! - 11: a member sees only their own data.
//! - 12: a webhook is a hint and is never lost.
//! - 13: bad input gets a clear error and changes nothing.
//! - 14: every change can be followed.
//! - 15: no caller and no member can harm the others.
//! - 16: connecting never fails because of the quota.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod harness;

mod absence;
mod access;
mod broken_records;
mod capacity;
mod connect;
mod convergence;
mod crash;
mod day;
mod day_without_whoop;
mod deletions;
mod disconnect;
mod first_sync;
mod following;
mod granted;
mod inbox;
mod late_changes;
mod long_absence;
mod lost_pairs;
mod moving_lists;
mod one_at_a_time;
mod patience;
mod quota;
mod read_back;
mod reconcile;
mod refresh_survives;
mod refused_tokens;
mod revocation;
mod secrets;
mod translation;
mod webhook_signals;
