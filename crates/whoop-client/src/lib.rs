//! WHOOP over HTTP.
//!
//! [`Whoop`] is the door: OAuth, the four lists, single records, the member's
//! profile. What it takes care of:
//!
//! - one gate for the whole process: after a 429, or a reply that says that
//!   nothing is left, no call goes out before WHOOP's limit has turned;
//! - [`Pace`]: how long a call may wait and how often it is tried again, which
//!   differs between a member who waits and a run at night;
//! - one broken record does not take its page along;
//! - no token, code or secret in an error, a log line or a debug output.
//!
//! [`Whoop::open_webhook`] checks that WHOOP signed a webhook, and reads it.
//!
//! [`PageWalker`] is the state of reading one list to its end. It does no I/O: ask
//! it for the next query, hand it the page.
//!
//! What it leaves to the caller: the budget shared between processes, which it
//! asks before every request ([`Allowance`]), and the row lock around a refresh. A 401 is reported, not repaired.

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
