//! WHOOP's OAuth server: the members' consents and the resulting tokens.

mod authorize;
mod grants;
mod token;

pub(crate) use authorize::{AuthorizationOutcome, AuthorizationRequest};
pub(crate) use grants::{BearerAccess, GrantStore};
pub use grants::{Grant, SimTokenPair};
pub(crate) use token::{answer_token, owner_of_token_request};
