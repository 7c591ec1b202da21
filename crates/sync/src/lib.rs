//! The engine that joins WHOOP and PostgreSQL; the API and the worker call it.
//!
//! - [`Engine`]: the resources that every operation needs, created once per process;
//! - [`tokens`]: valid access tokens, and their refresh;
//! - [`connect`]: connects a member, from a random state to stored tokens;
//! - [`confirm`]: connects that the app has to confirm;
//! - [`member_sync`]: the sync of one member, one at a time across processes;
//! - [`day`]: the day that an app requests, read from WHOOP first if necessary;
//! - [`inbox`]: receives and processes WHOOP's webhooks;
//! - [`reconcile`]: compares a span with WHOOP and repairs it;
//! - [`run`]: a scheduled run over many members;
//! - [`dry_run`]: the windows that such a run would read;
//! - [`overview`], [`doctor`]: the state of the service, and its problems;
//! - [`adopt`]: imports the members of the legacy service;
//! - [`config`]: the flags and variables that all programs share.

pub mod adopt;
mod backfill;
mod background_sync;
mod comparison;
pub mod config;
pub mod confirm;
pub mod connect;
pub mod day;
mod deletions;
mod disconnect;
pub mod doctor;
pub mod dry_run;
mod engine;
mod error;
mod first_sync;
mod held_pair;
mod identify;
pub mod inbox;
mod lease;
pub mod member_sync;
pub mod overview;
mod pending_scores;
mod quota;
pub mod reconcile;
mod record_by_id;
mod record_counters;
mod report;
mod retention;
mod revoke;
pub mod run;
mod run_report;
mod run_selection;
mod set_aside;
pub mod status;
mod sync_context;
pub mod tokens;
mod window;

pub use comparison::ReconcileFindings;
pub use disconnect::{DisconnectResult, RevocationOutcome};
pub use engine::{Engine, EngineSettings, RemainingQuota};
pub use error::SyncError;
pub use record_counters::RecordCount;
pub use report::{MemberOutcome, MemberReport, TypeReport};
pub use sync_context::SyncContext;
pub use whoop_client::{
    RequestCount, SIGNATURE_HEADER, TIMESTAMP_HEADER, TimestampTolerance, WebhookEnvelope,
    WebhookError,
};
