//! Access tokens that work, and the refresh that makes them.
//!
//! WHOOP replaces a member's token pair when it reads the request for a new one, and the old pair
//! is dead from then on. So an answer of WHOOP must never be lost while the process lives:
//!
//! - [`living`]: the stored access token, or a refreshed one, before a sync begins;
//! - [`call`]: one call to WHOOP's API with such a token;
//! - [`under_way`]: the refreshes of this process, which callers of one member share and which no
//!   caller can cut off;
//! - [`exchange`]: one refresh, under a claim that other processes respect;
//! - [`outcome`]: WHOOP's answer stored, with retries on new connections;
//! - [`verdict`]: when refused tokens mean that the member has to connect again;
//! - [`retry`]: pairs of members in `reauth_required`, shown to WHOOP once more.

mod access_token;
mod call;
mod exchange;
mod refresh_outcome;
pub mod retry;
mod shared_refreshes;
mod token_verdict;

pub(crate) use call::PROFILE_SCOPE;
pub(crate) use refresh_outcome::renewed_tokens;
pub(crate) use shared_refreshes::TokenRefreshes;
