//! Integration tests of the API, with real HTTP requests, a real PostgreSQL and a simulated WHOOP.
//!
//! Some modules test a “law”: one of the numbered rules that the service must always obey.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod harness;

mod admin;
mod any_caller;
mod any_path;
mod any_query;
mod any_request;
mod bodies;
mod callback;
mod changes;
mod claims;
mod connect_confirm;
mod custody;
mod day_json;
mod described;
mod encoded_bodies;
mod events;
mod every_statement;
mod export;
mod jwt_attacks;
mod key_sets;
mod killed;
mod log_lines;
mod metrics;
mod on_the_wire;
mod open_files;
mod operations;
mod operators_own;
mod pages;
mod pending_connects;
mod quota;
mod return_to;
mod rollout;
mod service_keys;
mod serving_role;
mod spans;
mod speed;
mod start;
mod stop;
mod story;
mod webhooks;
mod without_database;
