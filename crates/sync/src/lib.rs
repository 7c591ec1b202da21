//! The engine that joins WHOOP and PostgreSQL; the API and the worker call it.
//!
//! - [`Engine`]: what every operation needs, made once a process;
//! - [`tokens`]: access tokens that work, and their refresh;
//! - [`connect`]: from a state to stored tokens, and back out again;
//! - [`confirm`]: a connect that counts once the app has confirmed it;
//! - [`member`]: one member's sync, one at a time across processes;
//! - [`day`]: the day an app asks for, fetched first where it must be;
//! - [`inbox`]: WHOOP's webhooks, taken in and worked off;
//! - [`reconcile`]: compares a span with WHOOP and repairs it;
//! - [`run`]: a scheduled run over many members;
//! - [`dry_run`]: what such a run would read;
//! - [`overview`], [`doctor`]: how the service stands, and what is wrong with it;
//! - [`adopt`]: members of an older service taken over;
//! - [`config`]: the flags and variables that every binary shares.

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
