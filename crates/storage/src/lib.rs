//! PostgreSQL: one file a table, typed rows, and nothing that speaks HTTP.
//!
//! - [`Database`]: the pool, and how to reach a server (TLS included);
//! - [`migrate`]: the one place that changes the schema;
//! - [`records`]: records of any type, and in WHOOP's own shape;
//! - [`follow`]: a member's changes, told in their order and heard of at once;
//! - [`export`]: everything of a member, batch by batch;
//! - [`subject`]: what is stored of the record that an event speaks of;
//! - [`retention`]: what is too old leaves;
//! - [`rotate`]: sealed anew when keys change;
//! - [`serving_role`]: lets a role serve that may not change the schema;
//! - [`seal`]: tokens are sealed before they are written;
//! - [`overview`]: all members at a glance;
//! - [`known`]: what a plan has to know of members;
//! - [`compare`]: what storing a page changed;
//! - [`page`]: a page of records, stored in one transaction, newest wins;
//! - [`day`]: a member's day, read in one round trip;
//! - [`position`]: how far a server is, which tells how far a replica is behind;
//! - [`range`]: a span of days in a few numbers each;
//! - [`erase`](mod@erase): everything of a member who leaves, deleted;
//! - [`table`]: the tables, each with its row and its queries.

mod changes;
pub mod compare;
mod connect;
mod database;
pub mod day;
pub mod erase;
mod error;
pub mod export;
pub mod follow;
pub mod known;
pub mod lease;
pub mod migrate;
pub mod overview;
pub mod page;
pub mod position;
mod prepared;
pub mod range;
pub mod records;
pub mod remove;
pub mod retention;
pub mod rotate;
mod schema;
pub mod seal;
pub mod serving_role;
mod settle;
pub mod standing;
pub mod subject;
pub mod table;
mod tls;
mod tokens;
mod transaction;
mod wire;

pub use database::{Connection, Database, DatabaseConfig, PoolStatus, Pooler};
pub use error::StorageError;
pub use transaction::Transaction;
pub use wire::PgConnection;
