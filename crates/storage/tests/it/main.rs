//! Tests of the storage with a real PostgreSQL database per test.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod app_open_days;
mod assigned_dates;
mod audit;
mod daily_summary;
mod erase;
mod full_records;
mod generate;
mod legacy_tables;
mod limits;
mod log;
mod member_calls;
mod member_lease;
mod migrations;
mod newest_wins;
mod odd_values;
mod real_shapes;
mod round_trips;
mod row_level_security;
mod schema;
mod seal;
mod service_keys;
mod set_aside;
mod shared_connections;
mod table_locks;
mod test_env;
mod tls;
mod transaction;
mod translation;
mod upgrade;
mod values;
