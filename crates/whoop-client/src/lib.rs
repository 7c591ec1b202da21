//! Client of WHOOP's HTTP API.
//!
//! [`WhoopClient`] is the entry point. It implements OAuth and fetches the lists of the four data
//! types, single records, and the member's profile. Its responsibilities:
//!
//! - One rate-limit gate per process: after a reply with status 429, or with no remaining calls,
//!   the process sends no call before WHOOP's limit resets.
//! - [`RetryPolicy`] limits the wait and the number of retries of a call. App requests and
//!   scheduled runs have different policies.
//! - An invalid record does not prevent the other records of its page from being read.
//! - Errors, logs and debug output contain no token, authorization code or secret.
//!
//! [`WhoopClient::verify_webhook`] checks that WHOOP signed a webhook, and parses the webhook.
//!
//! [`PageWalker`] holds the state of reading one list to its end. It does no I/O: the caller gets
//! the next query from the page walker, fetches the page, and passes the page to the page walker.
//!
//! Responsibilities of the caller:
//!
//! - The caller provides the quota ledger that all processes share. The client takes a permit from
//!   it before every request ([`QuotaGate`]).
//! - The caller locks the member's row during a token refresh. The client reports status 401 as an
//!   error and does not refresh the token itself.

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
