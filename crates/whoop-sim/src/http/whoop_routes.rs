//! Handlers of WHOOP's routes. Each handler applies the faults and the quota, answers the call and
//! logs it.

use std::time::{Duration, Instant};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderName, HeaderValue},
    web,
};

use chrono::TimeDelta;

use super::{broken_reply, to_http_response};
use crate::{
    call_log::{CallSide, LoggedCall},
    clock::system_now,
    fault::{Fault, FaultKind, FaultTarget, break_record, shorten_page, skew_timestamps},
    handle::WorldHandle,
    http::consent,
    member_api::{self, MemberApiRequest},
    oauth::{answer_token, owner_of_token_request},
    rate_limit::RateLimitDecision,
    reply::HttpReply,
    world::World,
};

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(web::resource("/developer/{path:.*}").to(handle_api))
        .service(web::resource("/oauth/oauth2/token").to(handle_token))
        .service(web::resource("/oauth/oauth2/auth").to(handle_authorize));
}

async fn handle_api(world: web::Data<WorldHandle>, request: HttpRequest) -> HttpResponse {
    let path = request.match_info().query("path");
    let route = member_api::fault_route(request.method().as_str(), path);
    let began = Instant::now();
    let fault = {
        let mut world = world.lock();
        let now = world.now();
        let access =
            bearer_token(&request).and_then(|token| world.grants.bearer_access(token, now));
        let whoop_user_id = access.map(|access| access.whoop_user_id);
        world.trigger_fault(&FaultTarget {
            route,
            whoop_user_id,
            path,
        })
    };
    apply_delay(fault.as_ref(), FaultKind::Latency).await;

    let (reply, quota, member) = answer_api(&mut world.lock(), &request, path, fault.as_ref());
    apply_delay(fault.as_ref(), FaultKind::LateAnswer).await;
    log_call(
        &world,
        &request,
        &AnsweredCall {
            side: CallSide::Api,
            began,
            reply: &reply,
            whoop_user_id: member,
            fault: fault.as_ref(),
        },
    );
    let mut response = spoil_reply(reply, fault);
    set_quota_headers(&mut response, &quota);
    response
}

fn answer_api(
    world: &mut World,
    request: &HttpRequest,
    path: &str,
    fault: Option<&Fault>,
) -> (HttpReply, RateLimitDecision, Option<i64>) {
    let now = world.now();
    let mut quota = world.limiter.take(now);
    let access = bearer_token(request).and_then(|token| world.grants.bearer_access(token, now));
    let member = access.as_ref().map(|access| access.whoop_user_id);
    if !quota.allowed {
        return (HttpReply::empty(429), quota, member);
    }
    let replaced = fault.and_then(replacement_reply);
    let mut reply = replaced.unwrap_or_else(|| {
        let request = MemberApiRequest {
            method: request.method().as_str(),
            path,
            query: request.query_string(),
            access: access.as_ref(),
        };
        member_api::answer_request(world, request)
    });
    let hides_empty = fault.is_some_and(|fault| fault.kind == FaultKind::EmptyNotFound);
    if hides_empty && reply.body.starts_with(r#"{"records":[]"#) {
        reply = HttpReply::empty(404);
    }
    if reply.status == 429 {
        // A 429 because of a fault must have the same headers as a 429 because of the quota.
        quota.remaining = 0;
    }
    (reply, quota, member)
}

async fn handle_token(
    world: web::Data<WorldHandle>,
    request: HttpRequest,
    form: web::Bytes,
) -> HttpResponse {
    let began = Instant::now();
    let fault = {
        let mut world = world.lock();
        let whoop_user_id = owner_of_token_request(&world.grants, &form);
        world.trigger_fault(&FaultTarget {
            route: "token",
            whoop_user_id,
            path: "",
        })
    };
    apply_delay(fault.as_ref(), FaultKind::Latency).await;

    let (reply, member) = {
        let mut world = world.lock();
        let now = world.now();
        let World { config, grants, .. } = &mut *world;
        match fault.as_ref().and_then(replacement_reply) {
            Some(reply) => (reply, None),
            None if request.method() != "POST" => (HttpReply::empty(405), None),
            None => answer_token(config, grants, &form, now),
        }
    };
    apply_delay(fault.as_ref(), FaultKind::LateAnswer).await;
    log_call(
        &world,
        &request,
        &AnsweredCall {
            side: CallSide::OAuth,
            began,
            reply: &reply,
            whoop_user_id: member,
            fault: fault.as_ref(),
        },
    );
    spoil_reply(reply, fault)
}

async fn handle_authorize(
    world: web::Data<WorldHandle>,
    request: HttpRequest,
    form: web::Bytes,
) -> HttpResponse {
    let began = Instant::now();
    let fault = world.lock().trigger_fault(&FaultTarget {
        route: "auth",
        whoop_user_id: None,
        path: "",
    });
    apply_delay(fault.as_ref(), FaultKind::Latency).await;

    let reply = fault
        .as_ref()
        .and_then(replacement_reply)
        .unwrap_or_else(|| {
            let mut world = world.lock();
            match request.method().as_str() {
                "GET" => consent::handle_get(&mut world, request.query_string()),
                "POST" => consent::handle_post(&mut world, &form),
                _ => HttpReply::empty(405),
            }
        });
    log_call(
        &world,
        &request,
        &AnsweredCall {
            side: CallSide::OAuth,
            began,
            reply: &reply,
            whoop_user_id: None,
            fault: fault.as_ref(),
        },
    );
    spoil_reply(reply, fault)
}

fn bearer_token(request: &HttpRequest) -> Option<&str> {
    let header = request.headers().get("Authorization")?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Waits for the fault's `millis` if the fault is of this kind.
async fn apply_delay(fault: Option<&Fault>, kind: FaultKind) {
    if let Some(fault) = fault.filter(|fault| fault.kind == kind) {
        tokio::time::sleep(Duration::from_millis(fault.millis.unwrap_or_default())).await;
    }
}

/// Returns the reply that a fault sends instead of WHOOP's answer; `None` if the fault sends none.
///
/// With such a reply, the call is not processed. For example, a refresh that fails with 500 does
/// not spend the refresh token.
fn replacement_reply(fault: &Fault) -> Option<HttpReply> {
    match fault.kind {
        FaultKind::Status => Some(HttpReply {
            body: fault.body.clone().unwrap_or_default(),
            ..HttpReply::empty(fault.status.unwrap_or(500))
        }),
        FaultKind::RateLimited => Some(HttpReply::empty(429)),
        FaultKind::InvalidRequest => Some(HttpReply::oauth_error(
            400,
            "invalid_request",
            "The request is missing a required parameter or is otherwise malformed",
        )),
        FaultKind::ExpiredToken => Some(HttpReply::unauthorized(401)),
        FaultKind::NotJson => Some(HttpReply::html(
            200,
            "<html><head><title>Just a moment</title></head><body></body></html>".to_owned(),
        )),
        _ => None,
    }
}

/// Converts the reply to an HTTP response, and damages it as the fault requires.
///
/// The call itself was already processed.
fn spoil_reply(mut reply: HttpReply, fault: Option<Fault>) -> HttpResponse {
    let Some(fault) = fault else {
        return to_http_response(reply);
    };
    match fault.kind {
        FaultKind::Reset => broken_reply::reset(),
        FaultKind::Truncate => broken_reply::truncated(reply),
        FaultKind::Stall => broken_reply::stalled(reply, fault.millis),
        FaultKind::ClockSkew => {
            let by = TimeDelta::milliseconds(fault.skew_millis.unwrap_or_default());
            reply.body = skew_timestamps(&reply.body, by);
            let mut response = to_http_response(reply);
            let date = (system_now() + by).format("%a, %d %b %Y %H:%M:%S GMT");
            if let Ok(date) = HeaderValue::from_str(&date.to_string()) {
                response.headers_mut().insert(header::DATE, date);
            }
            response
        }
        FaultKind::WrongContentType => {
            reply.content_type = Some("text/html; charset=utf-8");
            to_http_response(reply)
        }
        FaultKind::EmptyPage | FaultKind::NoNextToken if reply.status == 200 => {
            reply.body = shorten_page(fault.kind, &reply.body);
            to_http_response(reply)
        }
        FaultKind::BrokenRecord if reply.status == 200 => {
            reply.body = break_record(&fault, &reply.body);
            to_http_response(reply)
        }
        _ => to_http_response(reply),
    }
}

fn set_quota_headers(response: &mut HttpResponse, quota: &RateLimitDecision) {
    let values = [
        ("x-ratelimit-limit", quota.limit.clone()),
        ("x-ratelimit-remaining", quota.remaining.to_string()),
        ("x-ratelimit-reset", quota.reset_seconds.to_string()),
    ];
    for (name, value) in values {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
    }
}

/// An answered call, for the log.
struct AnsweredCall<'a> {
    side: CallSide,
    began: Instant,
    reply: &'a HttpReply,
    whoop_user_id: Option<i64>,
    fault: Option<&'a Fault>,
}

fn log_call(world: &WorldHandle, request: &HttpRequest, answered: &AnsweredCall<'_>) {
    let AnsweredCall {
        side,
        began,
        reply,
        whoop_user_id,
        fault,
    } = *answered;
    let is_reset = fault.is_some_and(|fault| fault.kind == FaultKind::Reset);
    let mut world = world.lock();
    let call = LoggedCall {
        seq: 0,
        side,
        at: world.now(),
        method: request.method().to_string(),
        path: request.path().to_owned(),
        query: request.query_string().to_owned(),
        status: if is_reset { 0 } else { reply.status },
        whoop_user_id,
        millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    tracing::debug!(
        method = %call.method,
        path = %call.path,
        status = call.status,
        "call received"
    );
    world.calls.push(call);
}
