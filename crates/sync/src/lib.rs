//! The sync engine: reads members' data from WHOOP and stores it in PostgreSQL. The API and the
//! worker call it.
//!
//! - [`Engine`]: all services of a process, created once;
//! - [`tokens`]: provides valid access tokens, and refreshes them;
//! - [`connect`]: connects a WHOOP account to a member, from the random OAuth state to the stored
//!   token pair;
//! - [`confirm`]: connection requests that the member's app has to confirm;
//! - [`member_sync`]: syncs one member; a lease ensures that only one process at a time does this;
//! - [`day`]: answers an app's request for one day, and reads the day from WHOOP first if
//!   necessary;
//! - [`inbox`]: receives and processes WHOOP's webhooks;
//! - [`reconcile`]: compares the stored records of a time span with WHOOP's, and repairs the
//!   differences;
//! - [`run`]: runs that sync, reconcile or backfill many members;
//! - [`dry_run`]: lists the windows that a run would read, without calling WHOOP;
//! - [`overview`], [`doctor`]: the state of the whole service in numbers, and checks that find
//!   problems;
//! - [`adopt`]: imports the members of the legacy service;
//! - [`config`]: the flags and environment variables that the API and the worker share.

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
