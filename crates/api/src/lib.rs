//! The HTTP API of the service: its routes, the authentication of callers, and error responses that
//! state what to do.
//!
//! All lasting state is in the database, so several processes can serve the API at the same time.
//! The routes read and change this state mainly through [`whoop_sync::Engine`].

mod access_problem;
mod app_factory;
mod application;
mod audit;
mod auth;
mod background;
mod body;
mod caller;
mod capacity;
mod cause;
mod config;
mod cors;
mod cursor;
mod events;
mod export;
mod export_permits;
mod first_syncs;
mod healthcheck;
mod json;
mod line_limit;
mod log;
mod member;
mod metrics;
mod nosniff;
mod one_per_member;
mod open_files;
mod openapi;
mod pages;
mod panics;
mod parameters;
mod problem;
mod query;
mod reads;
mod request_id;
mod request_limiter;
mod return_to;
mod revocations;
mod routes;
mod scope;
mod self_checks;
mod serve;
mod start_error;
mod state;
mod static_file;
mod unread_limit;
mod webhook_drain;

pub use application::{Application, RunningApplication, StopHandle};
pub use config::ApiCli;
pub use healthcheck::healthcheck;
pub use openapi::openapi_document;
pub use serve::serve;
pub use start_error::ApiStartError;
