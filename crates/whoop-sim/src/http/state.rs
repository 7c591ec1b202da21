//! `GET /_sim/state`: a short summary of the simulator's state.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, web};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::to_http_response;
use crate::{
    call_log::{CallSide, LoggedCall},
    clock,
    handle::WorldHandle,
    oauth::Grant,
    reply::HttpReply,
    world::World,
};

/// Number of minutes for which the reply has a number of calls per minute, by the simulator's
/// clock.
const MINUTES: usize = 60;

pub(super) async fn show(world: web::Data<WorldHandle>) -> HttpResponse {
    let state = state_json(&world.lock());
    to_http_response(HttpReply::json_value(&state))
}

fn state_json(world: &World) -> Value {
    let now = world.now();
    let active_grants: Vec<&Grant> = world
        .grants
        .list()
        .iter()
        .filter(|grant| !grant.is_revoked)
        .collect();
    let connected: BTreeSet<i64> = active_grants
        .iter()
        .map(|grant| grant.whoop_user_id)
        .collect();
    let access_tokens = active_grants.iter().filter(|it| now < it.access_expires_at);
    let refresh_tokens = active_grants.iter().filter(|it| it.refresh_token.is_some());
    let (answered, failed) = count_by_minute(world.calls.since(0), now);
    let (minute, day) = world.limiter.usage(now);
    json!({
        "now": clock::format_instant(now),
        "speed": world.config.speed,
        "people": world.people.len(),
        "connected": connected.len(),
        "quota": {
            "minute": {"limit": minute.limit, "used": minute.used},
            "day": {"limit": day.limit, "used": day.used},
        },
        "api_calls_by_minute": {"answered": answered.as_slice(), "failed": failed.as_slice()},
        "tokens": {
            "grants": active_grants.len(),
            "access": access_tokens.count(),
            "refresh": refresh_tokens.count(),
        },
        "faults": world.faults.list(),
    })
}

/// Counts the calls to the API in each of the last 60 minutes, with the oldest minute first.
///
/// Returns two lists of counts: the successful calls (status 200 to 399), and all other calls.
fn count_by_minute<'a>(
    calls: impl Iterator<Item = &'a LoggedCall>,
    now: DateTime<Utc>,
) -> ([u32; MINUTES], [u32; MINUTES]) {
    let (mut answered, mut failed) = ([0; MINUTES], [0; MINUTES]);
    for call in calls.filter(|call| call.side == CallSide::Api) {
        let Ok(age) = usize::try_from((now - call.at).num_minutes()) else {
            continue;
        };
        let counts = if (200..400).contains(&call.status) {
            &mut answered
        } else {
            &mut failed
        };
        let index = (MINUTES - 1).checked_sub(age);
        if let Some(count) = index.and_then(|at| counts.get_mut(at)) {
            *count += 1;
        }
    }
    (answered, failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_per_minute_with_the_newest_minute_last() {
        let now = clock::parse("2026-10-01T12:00:00Z").unwrap();
        let call = |seconds_ago: i64, status: u16, side: CallSide| LoggedCall {
            seq: 0,
            side,
            at: now - chrono::TimeDelta::seconds(seconds_ago),
            method: "GET".to_owned(),
            path: String::new(),
            query: String::new(),
            status,
            whoop_user_id: None,
            millis: 0,
        };
        let calls = [
            call(0, 200, CallSide::Api),
            call(59, 204, CallSide::Api),
            call(60, 429, CallSide::Api),
            call(3_599, 0, CallSide::Api),
            call(3_600, 200, CallSide::Api),
            call(-61, 200, CallSide::Api),
            call(1, 200, CallSide::OAuth),
        ];
        let (answered, failed) = count_by_minute(calls.iter(), now);
        assert_eq!((answered[59], answered.iter().sum::<u32>()), (2, 2));
        assert_eq!((failed[58], failed[0]), (1, 1));
        assert_eq!(failed.iter().sum::<u32>(), 2);
    }
}
