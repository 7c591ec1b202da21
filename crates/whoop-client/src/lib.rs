//! Client of WHOOP's HTTP API.
//!
//! [`WhoopClient`] is the entry point: OAuth, the four lists, single records and the member's
//! profile. Its responsibilities:
//!
//! - one rate-limit gate per process: after a 429, or after a reply without remaining calls, no
//!   call is sent before WHOOP's limit resets;
//! - [`RetryPolicy`]: maximum wait and number of retries of a call, which differ between app
//!   requests and scheduled runs;
//! - an invalid record does not prevent the rest of its page from being read;
//! - no token, code or secret appears in errors, logs or debug output.
//!
//! [`WhoopClient::verify_webhook`] checks that WHOOP signed a webhook, and parses it.
//!
//! [`PageWalker`] is the state of reading one list to its end. It does no I/O: the caller gets the
//! next query from it and passes the page to it.
//!
//! Responsibilities of the caller: the quota ledger that all processes share, from which the client
//! takes a permit before every request ([`QuotaGate`]), and the row lock during a refresh. A 401 is
//! reported as an error; the client does not refresh the token.

mod call;
mod client;
mod config;
mod error;
mod member;
mod oauth;
mod page;
mod page_walker;
mod ping;
mod quota_gate;
mod rate_limit;
mod rate_limit_gate;
mod record_lookup;
mod request_count;
mod retry_policy;
mod webhook;

pub use client::WhoopClient;
pub use config::{WhoopConfig, check_client_secret};
pub use error::{ErrorAction, WhoopError};
pub use member::{BodyMeasurement, MemberProfile};
pub use oauth::{SCOPES, TokenPair};
pub use page::{ListPage, ListedRecord, PageQuery};
pub use page_walker::{BrokenList, PageWalker};
pub use ping::PingResult;
pub use quota_gate::QuotaGate;
pub use rate_limit::RateLimit;
pub use record_lookup::RecordLookup;
pub use request_count::RequestCount;
pub use retry_policy::RetryPolicy;
pub use webhook::{
    SIGNATURE_HEADER, TIMESTAMP_HEADER, TimestampTolerance, WebhookEnvelope, WebhookError,
    WebhookEvent,
};
