//! PostgreSQL storage: one file per table, typed rows, no HTTP.
//!
//! - [`Database`]: the connection pool, and connections to the server (TLS included);
//! - [`migrate`]: the only module that changes the schema;
//! - [`records`]: records of any data type, as rows and in WHOOP's format;
//! - [`change_feed`]: a member's changes in order, and notifications about new changes;
//! - [`export`]: all stored data of a member, in batches;
//! - [`event_record`]: the stored records that a webhook event refers to;
//! - [`retention`]: deletes records that are older than the retention period;
//! - [`rotate`]: encrypts stored tokens with another key after the operator changed the keys;
//! - [`service_key`]: the text, the digest and the scopes of a service key;
//! - [`pseudonym`]: keyed pseudonyms of members;
//! - [`serving_role`]: grants for the database role of the running service, which cannot change the
//!   schema;
//! - [`seal`]: encryption of tokens before they are stored;
//! - [`overview`]: summaries of all members for operators;
//! - [`member_snapshot`]: the stored state of members from which a sync is planned;
//! - [`compare`]: stores a page of records and returns the changed rows before and after;
//! - [`page`]: stores a page of records in one transaction; a newer stored record is never replaced
//!   by an older one;
//! - [`day`]: a member's day, read in one round trip;
//! - [`replication_lag`]: write-ahead log positions of the primary and of a replica;
//! - [`day_range`]: the main numbers of each day in a date range;
//! - [`erase`](mod@erase): deletes all data of a member;
//! - [`table`]: the tables, each with its rows and queries.

pub mod acceptance;
mod change_batch;
pub mod change_feed;
pub mod compare;
mod connect;
mod database;
mod date_assignment;
pub mod day;
pub mod day_range;
pub mod erase;
mod error;
pub mod event_record;
pub mod export;
pub mod legacy;
mod lock_retry;
pub mod member_calls;
pub mod member_lease;
pub mod member_snapshot;
pub mod member_states;
pub mod migrate;
pub mod overview;
pub mod page;
mod prepared;
pub mod pseudonym;
pub mod reassign_local_dates;
pub mod records;
pub mod remove;
pub mod replication_lag;
pub mod retention;
pub mod rotate;
mod schema;
pub mod seal;
pub mod service_key;
pub mod serving_role;
mod sqlstate;
pub mod table;
mod tls;
mod tokens;
mod transaction;
mod wire;

pub use connect::ServerVerification;
pub use database::{Database, DatabaseConfig, PoolStatus, PooledConnection, PoolerMode};
pub use error::StorageError;
pub use transaction::Transaction;
pub use wire::PgConnection;
