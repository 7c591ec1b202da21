use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use whoop_core::UserId;

use crate::{problem::Problem, state::AppState};

/// The member in the path, on whose behalf the caller may act.
///
/// A route that takes one cannot forget to ask who is calling.
#[derive(Debug, Clone)]
pub(crate) struct Member(pub(crate) UserId);

impl FromRequest for Member {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(authorise(request))
    }
}

fn authorise(request: &HttpRequest) -> Result<Member, Problem> {
    let state = request
        .app_data::<web::Data<AppState>>()
        .ok_or_else(Problem::not_found)?;
    // First who calls, then what they ask: a stranger learns nothing.
    let caller = state.auth.caller(request.headers())?;
    let path = web::Path::<String>::extract(request)
        .into_inner()
        .map_err(|_| {
            Problem::invalid(
                "invalid-user-id",
                "user_id",
                "the path is not percent-encoded UTF-8",
            )
        })?;
    let user_id = UserId::try_from(path.into_inner())
        .map_err(|error| Problem::invalid("invalid-user-id", "user_id", error.to_string()))?;
    if !caller.may_act_for(&user_id) {
        return Err(Problem::forbidden());
    }
    Ok(Member(user_id))
}
