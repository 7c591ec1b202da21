//! Tests of the real binary against a real PostgreSQL and the simulator.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod adopt;
mod audit;
mod backfill;
mod capacity;
mod changes;
mod crash;
mod doctor;
mod dry_run;
mod exit_codes;
mod house;
mod keys;
mod migrate;
mod output;
mod patience;
mod reconcile;
mod refresh;
mod retention;
mod selection;
mod service_keys;
mod serving_role;
mod stop;
mod truth;
mod usage;
mod users;
mod webhooks;
mod whole_history;
