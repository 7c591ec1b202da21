//! Provides valid access tokens, and refreshes token pairs.
//!
//! WHOOP replaces a member's token pair when it receives the refresh request. From then on, the old
//! pair is invalid. Therefore this module never loses an answer of WHOOP while the process lives.
//! Its parts are:
//!
//! - [`access_token`]: the stored access token, or a refreshed one, before a sync begins;
//! - [`call`]: one call to WHOOP's API with such a token;
//! - [`shared_refreshes`]: the refreshes of this process, which callers share and cannot interrupt;
//! - [`exchange`]: one refresh, under a claim that other processes respect;
//! - [`refresh_outcome`]: stores WHOOP's answer, with retries on new database connections;
//! - [`token_verdict`]: decides whether refused tokens mean that the member has to connect again;
//! - [`retry`]: retries the token pairs of members with the status `reauth_required`.

mod access_token;
mod call;
mod exchange;
mod refresh_outcome;
pub mod retry;
mod shared_refreshes;
mod token_verdict;

pub(crate) use access_token::is_usable;
pub use call::MemberCalls;
pub(crate) use call::PROFILE_SCOPE;
pub(crate) use refresh_outcome::renewed_tokens;
pub use shared_refreshes::TokenRefresher;
