//! Infrastructure of tests and the demo: a private PostgreSQL server, and one database for each
//! test.
//!
//! A test needs only `TestDb::new().await`. If `DATABASE_URL` is set, the database is created on
//! that server. Otherwise this process starts its own server. The server stops when the process
//! ends, even if the process is killed.

#[cfg(not(unix))]
compile_error!("whoop-devkit runs on Linux and macOS; on Windows build inside WSL");

mod account;
mod admin;
mod binaries;
mod cache;
mod cluster;
mod environment;
mod error;
mod fetch;
mod host;
mod migrate;
mod password;
mod pgbouncer;
mod ports;
mod postgres;
pub mod random;
mod server;
mod supervisor;
mod sweep;
mod template;
mod test_db;
mod tree;

pub use binaries::{PostgresBinaries, PostgresVersion};
pub use environment::Environment;
pub use error::PostgresStartError;
pub use fetch::fetch_binaries;
pub use pgbouncer::PgBouncer;
pub use postgres::PrivatePostgres;
pub use server::{DatabaseServer, pooler_mode, server};
pub use test_db::{TestDb, TestDbError};
