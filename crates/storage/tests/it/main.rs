//! Tests of the storage with a real PostgreSQL database per test.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

mod audit;
mod daily_summary;
mod days_settle;
mod erase;
mod generate;
mod member_lease;
mod limits;
mod log;
mod member_share;
mod migrations;
mod newest_wins;
mod odd_values;
mod predecessor;
mod real_shapes;
mod round_trips;
mod row_level_security;
mod schema;
mod seal;
mod service_keys;
mod set_aside;
mod shared_connections;
mod stand;
mod table_locks;
mod tls;
mod transaction;
mod translation;
mod upgrade;
mod values;
mod visits;
mod whole;
