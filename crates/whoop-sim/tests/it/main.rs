//! The simulator from the outside, over HTTP, as a client meets it.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod control;
mod description;
mod faults;
mod oauth;
mod paging;
mod protocol;
mod quota;
mod schema;
mod support;
mod webhooks;
