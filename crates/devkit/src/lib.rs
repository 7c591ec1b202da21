//! What tests and the demo stand on: a private PostgreSQL, a database per test.
//!
//! `TestDb::new().await` is all that a test needs. The server behind it is
//! `DATABASE_URL` where that is set, else one that this process starts for
//! itself and that goes when the process goes, however it goes.

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
