use std::{sync::Arc, time::Duration};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use futures::{FutureExt, future::LocalBoxFuture};
use whoop_core::UserId;
use whoop_storage::service_key::Scope;

use crate::{
    access_problem,
    auth::{KeyHolder, VerifiedCaller},
    caller,
    problem::Problem,
    query, scope,
    state::AppState,
};

/// The member in the path of a request. Extracting it checks that the caller may access the data of
/// this member.
///
/// A handler with this argument therefore cannot forget to authenticate the caller.
#[derive(Debug, Clone)]
pub(crate) struct PathMember(pub(crate) UserId);

impl FromRequest for PathMember {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        async move { Ok(authorize_member(&request, 0).await?.0) }.boxed_local()
    }
}

/// Like [`PathMember`], for routes that have one more path segment after the user id.
#[derive(Debug, Clone)]
pub(crate) struct PathMemberBeforeLast(pub(crate) UserId);

impl FromRequest for PathMemberBeforeLast {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        async move {
            let (PathMember(user_id), _) = authorize_member(&request, 1).await?;
            Ok(Self(user_id))
        }
        .boxed_local()
    }
}

/// Like [`PathMember`], with the time until the caller's token or key expires. A streamed response
/// must end at that time.
#[derive(Debug, Clone)]
pub(crate) struct PathMemberWithExpiry {
    pub(crate) user_id: UserId,
    /// Time until the token or key of the caller expires; `None` if it does not expire.
    pub(crate) remaining_lifetime: Option<Duration>,
    /// Holder of the service key; `None` if the caller is a member.
    pub(crate) key_holder: Option<Arc<KeyHolder>>,
}

impl FromRequest for PathMemberWithExpiry {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        async move {
            let (PathMember(user_id), caller) = authorize_member(&request, 0).await?;
            Ok(Self {
                user_id,
                remaining_lifetime: caller.remaining_lifetime(),
                key_holder: match caller {
                    VerifiedCaller::Service(holder) => Some(holder),
                    VerifiedCaller::Member(..) => None,
                },
            })
        }
        .boxed_local()
    }
}

/// Proof that the caller has a service key with the scope that the route needs. It is for routes
/// without a member in the path.
///
/// A handler with this argument cannot forget to authenticate the caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OperatorAccess;

impl FromRequest for OperatorAccess {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        async move {
            match caller::identify(&request).await? {
                VerifiedCaller::Service(holder) => {
                    scope::require_route_scope(&request, &holder)?;
                    query::refuse_unknown_parameters(&request)?;
                    Ok(Self)
                }
                VerifiedCaller::Member(..) => Err(access_problem::not_an_operator()),
            }
        }
        .boxed_local()
    }
}

/// Refuses a request with a service key that lacks `scope`. A member's request is accepted.
///
/// This is for a scope that only some requests to a route need. The scope that all requests to the
/// route need was checked before.
pub(crate) fn require_scope(request: &HttpRequest, scope: Scope) -> Result<(), Problem> {
    match caller::key_holder(request) {
        Some(holder) => scope::require_scope(request, &holder, scope),
        None => Ok(()),
    }
}

/// Authenticates the caller, reads the member from the path, and checks that the caller may access
/// this member.
///
/// The user id is the path segment that is followed by `segments_after` other segments.
async fn authorize_member(
    request: &HttpRequest,
    segments_after: usize,
) -> Result<(PathMember, VerifiedCaller), Problem> {
    let state = request
        .app_data::<web::Data<AppState>>()
        .ok_or_else(Problem::not_found)?;
    // The caller is authenticated first, so that an unknown caller learns nothing from the other
    // errors.
    let caller = caller::identify(request).await?;
    if let VerifiedCaller::Service(holder) = &caller {
        scope::require_route_scope(request, holder)?;
    }
    let invalid = |reason: &str| Problem::invalid("invalid-user-id", "user_id", reason);
    let user_id = decode_path_segment(request.uri().path(), segments_after)
        .ok_or_else(|| invalid("the user id in the path is not percent-encoded UTF-8"))?;
    if matches!(user_id.as_str(), "." | "..") {
        // Clients and proxies would resolve such a segment, and the request would have another
        // path.
        return Err(invalid("a user id must not be `.` or `..`"));
    }
    let user_id = UserId::try_from(user_id).map_err(|error| invalid(&error.to_string()))?;
    if !caller.may_act_for(&user_id) {
        return Err(access_problem::not_your_data());
    }
    caller::note_member(request, state, &user_id);
    if let VerifiedCaller::Member(own, _) = &caller {
        state.request_limiter.take(own)?;
    }
    query::refuse_unknown_parameters(request)?;
    Ok((PathMember(user_id), caller))
}

/// Decodes the percent-encoding of one path segment, which is counted from the end of the path.
/// Returns `None` if the encoding is invalid.
///
/// The decoding of actix-web is not used. It reads invalid UTF-8 as `\u{FFFD}` and accepts a lone
/// `%`, so that two different paths could name the same member.
fn decode_path_segment(path: &str, segments_after: usize) -> Option<String> {
    let segment = path.rsplit('/').nth(segments_after)?;
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?,
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

fn hex_digit(letter: u8) -> Option<u8> {
    let digit = char::from(letter).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_decoded_once_and_strictly() {
        for (path, expected) in [
            ("/a/alice", Some("alice")),
            ("/a/%61lic%65", Some("alice")),
            ("/a/b%2Fc", Some("b/c")),
            ("/a/%252F", Some("%2F")),
            ("/a/x+y", Some("x+y")),
            ("/a/", Some("")),
            ("/a/%", None),
            ("/a/%4", None),
            ("/a/%+4", None),
            ("/a/%zz", None),
            ("/a/%FF", None),
        ] {
            assert_eq!(decode_path_segment(path, 0).as_deref(), expected, "{path}");
            let longer = format!("{path}/confirm");
            assert_eq!(
                decode_path_segment(&longer, 1).as_deref(),
                expected,
                "{path}"
            );
        }
    }
}
