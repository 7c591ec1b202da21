//! Scopes that service keys need, by method and path of the route.
//!
//! One table contains the rules for all routes. A route without a rule cannot be used with a
//! service key, so a forgotten rule gives no access. The OpenAPI description takes the scopes from
//! the same table.

use actix_web::{HttpRequest, http::Method};
use whoop_storage::service_key::Scope;

use crate::{access_problem, auth::KeyHolder, caller, problem::Problem};

/// The scope for each method and path prefix. The first rule that matches a request applies; `None`
/// as the method matches all methods.
const RULES: [(Option<Method>, &str, Scope); 5] = [
    (None, "/api/v1/whoop/admin/", Scope::Operate),
    (Some(Method::POST), "/api/v1/whoop/sync/", Scope::Sync),
    // This rule also matches the path `connect/{user_id}/confirm`.
    (Some(Method::POST), "/api/v1/whoop/connect/", Scope::Sync),
    (
        Some(Method::DELETE),
        "/api/v1/whoop/connection/",
        Scope::Erase,
    ),
    (Some(Method::GET), "/api/v1/whoop/", Scope::Read),
];

/// Returns the scope that a service key needs for a route, or `None` if no service key may use the
/// route.
pub(crate) fn scope_of_route(method: &Method, pattern: &str) -> Option<Scope> {
    // HEAD needs the same scope as GET, because it is a GET without a body in the response.
    let method = match *method {
        Method::HEAD => &Method::GET,
        _ => method,
    };
    RULES
        .iter()
        .find(|(of, prefix, _)| {
            of.as_ref().is_none_or(|of| of == method) && pattern.starts_with(prefix)
        })
        .map(|(_, _, scope)| *scope)
}

/// Refuses a service key that lacks the scope for the route of the request.
pub(crate) fn require_route_scope(
    request: &HttpRequest,
    holder: &KeyHolder,
) -> Result<(), Problem> {
    let scope = request
        .match_pattern()
        .and_then(|pattern| scope_of_route(request.method(), &pattern))
        .ok_or_else(access_problem::not_for_service_keys)?;
    require_scope(request, holder, scope)
}

/// Refuses a service key that lacks `scope`, and stores this reason in the request for the metrics.
pub(crate) fn require_scope(
    request: &HttpRequest,
    holder: &KeyHolder,
    scope: Scope,
) -> Result<(), Problem> {
    if holder.scopes.contains(scope) {
        return Ok(());
    }
    caller::note_outcome(request, "insufficient_scope");
    Err(access_problem::insufficient_scope(scope, &holder.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_has_its_scope_and_an_unknown_one_has_none() {
        let whoop = |tail: &str| format!("/api/v1/whoop/{tail}");
        for (method, tail, scope) in [
            (Method::GET, "daily-data/{user_id}", Some(Scope::Read)),
            (Method::HEAD, "range/{user_id}", Some(Scope::Read)),
            (Method::GET, "connection/{user_id}", Some(Scope::Read)),
            (Method::POST, "sync/{user_id}", Some(Scope::Sync)),
            (Method::POST, "connect/{user_id}", Some(Scope::Sync)),
            (Method::POST, "connect/{user_id}/confirm", Some(Scope::Sync)),
            (Method::DELETE, "connection/{user_id}", Some(Scope::Erase)),
            (Method::GET, "admin/status", Some(Scope::Operate)),
            (Method::POST, "admin/webhooks/replay", Some(Scope::Operate)),
            (Method::POST, "of-tomorrow/{user_id}", None),
            (Method::DELETE, "daily-data/{user_id}", None),
        ] {
            assert_eq!(
                scope_of_route(&method, &whoop(tail)),
                scope,
                "{method} {tail}"
            );
        }
        assert_eq!(scope_of_route(&Method::GET, "/metrics"), None);
    }
}
