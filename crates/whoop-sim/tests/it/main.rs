//! Tests of the simulator over HTTP, as a client uses it.
#![expect(clippy::unwrap_used, reason = "a failure here fails the test")]

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
