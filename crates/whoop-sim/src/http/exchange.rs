//! The one way in for WHOOP's routes: fault, quota, answer, log.

use std::time::{Duration, Instant};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderName, HeaderValue},
    web,
};

use chrono::TimeDelta;

use super::{respond, upstream};
use crate::{
    call_log::{Call, CallSide},
    clock::system_now,
    fault::{Fault, FaultKind, FaultTarget, break_record, shorten_page, skew},
    handle::WorldHandle,
    http::consent,
    member_api::{self, Request},
    oauth::{answer_token, owner},
    rate_limit::Quota,
    reply::Reply,
    world::World,
};

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(web::resource("/developer/{path:.*}").to(api))
        .service(web::resource("/oauth/oauth2/token").to(token))
        .service(web::resource("/oauth/oauth2/auth").to(authorize));
}

async fn api(world: web::Data<WorldHandle>, request: HttpRequest) -> HttpResponse {
    let path = request.match_info().query("path");
    let route = member_api::fault_route(request.method().as_str(), path);
    let began = Instant::now();
    let fault = {
        let mut world = world.lock();
        let now = world.now();
        let access = bearer(&request).and_then(|token| world.grants.access(token, now));
        let whoop_user_id = access.map(|access| access.whoop_user_id);
        world.strike(&FaultTarget {
            route,
            whoop_user_id,
            path,
        })
    };
    delay(fault.as_ref(), FaultKind::Latency).await;

    let (reply, quota, member) = answer_api(&mut world.lock(), &request, path, fault.as_ref());
    delay(fault.as_ref(), FaultKind::LateAnswer).await;
    log(
        &world,
        &request,
        CallSide::Api,
        &reply,
        member,
        began,
        fault.as_ref(),
    );
    let mut response = finish(reply, fault);
    quota_headers(&mut response, &quota);
    response
}

fn answer_api(
    world: &mut World,
    request: &HttpRequest,
    path: &str,
    fault: Option<&Fault>,
) -> (Reply, Quota, Option<i64>) {
    let now = world.now();
    let mut quota = world.limiter.take(now);
    let access = bearer(request).and_then(|token| world.grants.access(token, now));
    let member = access.as_ref().map(|access| access.whoop_user_id);
    if !quota.allowed {
        return (Reply::empty(429), quota, member);
    }
    let replaced = fault.and_then(replacement);
    let mut reply = replaced.unwrap_or_else(|| {
        let request = Request {
            method: request.method().as_str(),
            path,
            query: request.query_string(),
            access: access.as_ref(),
        };
        member_api::answer(world, request)
    });
    let hides_empty = fault.is_some_and(|fault| fault.kind == FaultKind::EmptyNotFound);
    if hides_empty && reply.body.starts_with(r#"{"records":[]"#) {
        reply = Reply::empty(404);
    }
    if reply.status == 429 {
        // A 429 that was switched on must read like a true one.
        quota.remaining = 0;
    }
    (reply, quota, member)
}

async fn token(
    world: web::Data<WorldHandle>,
    request: HttpRequest,
    form: web::Bytes,
) -> HttpResponse {
    let began = Instant::now();
    let fault = {
        let mut world = world.lock();
        let whoop_user_id = owner(&world.grants, &form);
        world.strike(&FaultTarget {
            route: "token",
            whoop_user_id,
            path: "",
        })
    };
    delay(fault.as_ref(), FaultKind::Latency).await;

    let (reply, member) = {
        let mut world = world.lock();
        let now = world.now();
        let World { config, grants, .. } = &mut *world;
        match fault.as_ref().and_then(replacement) {
            Some(reply) => (reply, None),
            None if request.method() != "POST" => (Reply::empty(405), None),
            None => answer_token(config, grants, &form, now),
        }
    };
    delay(fault.as_ref(), FaultKind::LateAnswer).await;
    log(
        &world,
        &request,
        CallSide::OAuth,
        &reply,
        member,
        began,
        fault.as_ref(),
    );
    finish(reply, fault)
}

async fn authorize(
    world: web::Data<WorldHandle>,
    request: HttpRequest,
    form: web::Bytes,
) -> HttpResponse {
    let began = Instant::now();
    let fault = world.lock().strike(&FaultTarget {
        route: "auth",
        whoop_user_id: None,
        path: "",
    });
    delay(fault.as_ref(), FaultKind::Latency).await;

    let reply = fault.as_ref().and_then(replacement).unwrap_or_else(|| {
        let mut world = world.lock();
        match request.method().as_str() {
            "GET" => consent::ask(&mut world, request.query_string()),
            "POST" => consent::decide(&mut world, &form),
            _ => Reply::empty(405),
        }
    });
    log(
        &world,
        &request,
        CallSide::OAuth,
        &reply,
        None,
        began,
        fault.as_ref(),
    );
    finish(reply, fault)
}

fn bearer(request: &HttpRequest) -> Option<&str> {
    let header = request.headers().get("Authorization")?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Waits if the fault is a delay of this kind.
async fn delay(fault: Option<&Fault>, kind: FaultKind) {
    if let Some(fault) = fault.filter(|fault| fault.kind == kind) {
        tokio::time::sleep(Duration::from_millis(fault.millis.unwrap_or_default())).await;
    }
}

/// What stands in for an answer. The call then changes nothing: a token is not
/// spent by a refresh that fails with 500.
fn replacement(fault: &Fault) -> Option<Reply> {
    match fault.kind {
        FaultKind::Status => Some(Reply {
            body: fault.body.clone().unwrap_or_default(),
            ..Reply::empty(fault.status.unwrap_or(500))
        }),
        FaultKind::RateLimited => Some(Reply::empty(429)),
        FaultKind::InvalidRequest => Some(Reply::oauth_error(
            400,
            "invalid_request",
            "The request is missing a required parameter or is otherwise malformed",
        )),
        FaultKind::ExpiredToken => Some(Reply::unauthorized(401)),
        FaultKind::NotJson => Some(Reply::page(
            200,
            "<html><head><title>Just a moment</title></head><body></body></html>".to_owned(),
        )),
        _ => None,
    }
}

/// Faults that spoil the answer on its way. The call has had its effect.
fn finish(mut reply: Reply, fault: Option<Fault>) -> HttpResponse {
    let Some(fault) = fault else {
        return respond(reply);
    };
    match fault.kind {
        FaultKind::Reset => upstream::reset(),
        FaultKind::Truncate => upstream::truncated(reply),
        FaultKind::Stall => upstream::stalled(reply, fault.millis),
        FaultKind::ClockSkew => {
            let by = TimeDelta::milliseconds(fault.skew_millis.unwrap_or_default());
            reply.body = skew(&reply.body, by);
            let mut response = respond(reply);
            let date = (system_now() + by).format("%a, %d %b %Y %H:%M:%S GMT");
            if let Ok(date) = HeaderValue::from_str(&date.to_string()) {
                response.headers_mut().insert(header::DATE, date);
            }
            response
        }
        FaultKind::WrongContentType => {
            reply.content_type = Some("text/html; charset=utf-8");
            respond(reply)
        }
        FaultKind::EmptyPage | FaultKind::NoNextToken if reply.status == 200 => {
            reply.body = shorten_page(fault.kind, &reply.body);
            respond(reply)
        }
        FaultKind::BrokenRecord if reply.status == 200 => {
            reply.body = break_record(&fault, &reply.body);
            respond(reply)
        }
        _ => respond(reply),
    }
}

fn quota_headers(response: &mut HttpResponse, quota: &Quota) {
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

fn log(
    world: &WorldHandle,
    request: &HttpRequest,
    side: CallSide,
    reply: &Reply,
    whoop_user_id: Option<i64>,
    began: Instant,
    fault: Option<&Fault>,
) {
    let is_reset = fault.is_some_and(|fault| fault.kind == FaultKind::Reset);
    let mut world = world.lock();
    let call = Call {
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
    tracing::debug!(method = %call.method, path = %call.path, status = call.status, "call");
    world.calls.push(call);
}
