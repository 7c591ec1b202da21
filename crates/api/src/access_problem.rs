//! Errors for callers who may not do what they request: another member's data, a missing scope, an
//! unknown or ended service key.

use actix_web::http::StatusCode;
use whoop_storage::{service_key::Scope, table::service_key::KeyState};

use crate::problem::Problem;

pub(crate) fn not_your_data() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "not-your-data",
        "The data belongs to another member",
        "the token is for another member than the one in the path",
    )
}

pub(crate) fn not_an_operator() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "not-an-operator",
        "Only operators may use this route",
        "a member's token gives access only to the member's own data; this route needs a \
         service key",
    )
}

pub(crate) fn host_not_loopback() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "host-not-loopback",
        "The Host header names another machine",
        "a request without credentials must be sent to a loopback host: `Host: localhost`, \
         `127.0.0.1` or `[::1]`",
    )
}

/// Returns the error for a request with a service key to a route that no scope allows.
pub(crate) fn not_for_service_keys() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "not-for-service-keys",
        "Service keys may not use this route",
        "no scope of a service key allows this route; use the member's own token",
    )
}

pub(crate) fn insufficient_scope(scope: Scope, name: &str) -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "insufficient-scope",
        "The service key lacks a scope",
        format!(
            "this request needs the scope `{scope}`, which the service key {name} does not \
             have; create a key with it: sync-worker service-keys create --name NAME --scope \
             {scope}"
        ),
    )
}

/// Returns the error for a well-formed service key that is not in the database.
pub(crate) fn unknown_key() -> Problem {
    Problem::unauthorized(
        "unknown-key",
        "this service key does not exist; `sync-worker service-keys list` shows the existing \
         keys",
    )
}

/// Returns the error for a service key that was revoked or has expired.
pub(crate) fn ended_key(state: KeyState, name: &str) -> Problem {
    let (kind, reason) = match state {
        KeyState::Revoked => ("revoked-key", "was revoked"),
        KeyState::Expired | KeyState::Active => ("expired-key", "has expired"),
    };
    Problem::unauthorized(
        kind,
        format!("the service key {name} {reason}; ask the operator for a new one"),
    )
}
