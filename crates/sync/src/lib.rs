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

pub use adopt::LegacyImport;
pub use backfill::Backfill;
pub use background_sync::BackgroundSync;
pub use comparison::ReconcileFindings;
pub use confirm::Confirmations;
pub use connect::Connections;
pub use day::Days;
pub use disconnect::{DisconnectResult, RevocationOutcome};
pub use engine::{Engine, EngineSettings};
pub use error::SyncError;
pub use first_sync::FirstSyncs;
pub use inbox::WebhookInbox;
pub use lease::MemberLeases;
pub use member_sync::{DataTypeSync, MemberSync};
pub use quota::{Quota, RemainingQuota};
pub use reconcile::Reconciliation;
pub use record_counters::RecordCount;
pub use report::{MemberOutcome, MemberReport, TypeReport};
pub use retention::RecordRetention;
pub use revoke::Revocations;
pub use run::ScheduledRuns;
pub use status::Operations;
pub use sync_context::SyncContext;
pub use tokens::{MemberCalls, TokenRefresher};
pub use whoop_client::{
    RequestCount, SIGNATURE_HEADER, TIMESTAMP_HEADER, TimestampTolerance, WebhookEnvelope,
    WebhookError,
};
pub use window::RecordReader;
