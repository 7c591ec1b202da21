//! One module per table, with its row types and its queries.

pub mod adopted;
pub mod audit;
pub mod call_budget;
pub mod change;
pub mod cycle;
pub mod erasure;
pub mod oauth_states;
pub(crate) mod record;
pub mod record_denial;
pub mod recovery;
pub mod refresh;
pub mod rejected_record;
pub mod revocation;
pub mod service_key;
pub mod sleep;
pub mod sync_log;
pub mod sync_run;
pub mod tokens;
pub mod unconfirmed_connect;
pub mod users;
pub mod webhook_event;
pub mod webhook_signal;
pub mod workout;

pub use record::{RecordTable, RecordTies};
