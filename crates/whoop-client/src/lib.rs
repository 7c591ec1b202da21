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

mod allowance;
mod by_id;
mod call;
mod config;
mod error;
mod gate;
mod made;
mod member;
mod oauth;
mod pace;
mod page;
mod rate_limit;
mod reach;
mod walk;
mod webhook;
mod whoop;

pub use allowance::Allowance;
pub use by_id::Found;
pub use config::{WhoopConfig, check_client_secret};
pub use error::{Advice, WhoopError};
pub use made::Made;
pub use member::{BodyMeasurement, Profile};
pub use oauth::{SCOPES, TokenPair};
pub use pace::Pace;
pub use page::{Listed, Page, PageQuery};
pub use rate_limit::RateLimit;
pub use reach::Reached;
pub use walk::{BrokenList, PageWalker};
pub use webhook::{
    Envelope, SIGNATURE_HEADER, SignedWithin, TIMESTAMP_HEADER, WebhookEvent, WebhookRefused,
};
pub use whoop::Whoop;
