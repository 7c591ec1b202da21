//! Tests of the engine between a simulated WHOOP and a PostgreSQL, one law after another.

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
