//! WHOOP's OAuth server: who allowed what, and the tokens that prove it.

mod authorize;
mod grants;
mod token;

pub(crate) use authorize::{Authorize, Decision};
pub(crate) use grants::{Access, Grants};
pub use grants::{Grant, TokenPair};
pub(crate) use token::{answer_token, owner};
