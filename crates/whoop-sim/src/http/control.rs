//! Routes under `/_sim/`, with which tests and developers control the simulator.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{protocol, to_http_response, webhooks};
use crate::{
    clock, data_type::SimDataType, edit::EditError, fault::Fault, handle::WorldHandle,
    life::LifePattern, reply::HttpReply,
};

type WorldData = web::Data<WorldHandle>;

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(
        web::scope("/_sim")
            .route("/openapi.json", web::get().to(show_openapi))
            .route("/people", web::get().to(list_people))
            .route("/people", web::post().to(add_people))
            .route("/truth", web::get().to(show_truth))
            .route("/calls", web::get().to(list_calls))
            .route("/calls", web::delete().to(clear_calls))
            .route("/edit", web::post().to(edit_record))
            .route("/faults", web::get().to(list_faults))
            .route("/faults", web::post().to(set_faults))
            .route("/faults", web::delete().to(clear_faults))
            .route("/clock", web::get().to(show_clock))
            .route("/clock", web::post().to(set_clock))
            .route("/revoke", web::post().to(revoke_grants))
            .route("/expire", web::post().to(protocol::expire_tokens))
            .route("/protocol", web::get().to(protocol::show))
            .route("/protocol", web::post().to(protocol::change))
            .route("/webhooks", web::get().to(webhooks::show))
            .route("/webhooks", web::post().to(webhooks::change))
            .route("/webhooks", web::delete().to(webhooks::clear))
            .default_service(web::to(unknown_route)),
    );
}

async fn show_openapi() -> HttpResponse {
    to_http_response(HttpReply::json(
        include_str!("control.openapi.json").to_owned(),
    ))
}

async fn unknown_route() -> HttpResponse {
    to_http_response(HttpReply::sim_error(404, "the simulator has no such route"))
}

/// Answers with the list of all people, or with a part of the list as `offset` and `limit` select
/// it.
///
/// `total` always counts all people.
async fn list_people(world: WorldData, request: actix_web::HttpRequest) -> HttpResponse {
    let parameters = (
        query_parameter(&request, "offset").unwrap_or(Ok(0)),
        query_parameter(&request, "limit").unwrap_or(Ok(usize::MAX)),
    );
    let (offset, limit) = match parameters {
        (Ok(offset), Ok(limit)) => (offset, limit),
        (Err(reason), _) | (_, Err(reason)) => {
            return to_http_response(HttpReply::sim_error(400, &reason));
        }
    };
    let world = world.lock();
    let people: Vec<Value> = world
        .people
        .summaries()
        .skip(offset)
        .take(limit)
        .map(|person| {
            json!({
                "whoop_user_id": person.whoop_user_id,
                "life": person.life,
                "profile": person.profile,
                "is_connected": world.grants.is_connected(person.whoop_user_id),
            })
        })
        .collect();
    let page = json!({"people": people, "total": world.people.len()});
    to_http_response(HttpReply::json_value(&page))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddPeopleRequest {
    life: LifePattern,
    #[serde(default = "one")]
    count: usize,
    #[serde(default)]
    days: Option<u32>,
}

fn one() -> usize {
    1
}

async fn add_people(world: WorldData, body: web::Bytes) -> HttpResponse {
    let add: AddPeopleRequest = match parse_body(&body) {
        Ok(add) => add,
        Err(reply) => return to_http_response(reply),
    };
    let days = add.days.unwrap_or_else(|| world.lock().config.days);
    to_http_response(match world.add_people(add.life, add.count, days) {
        Ok(ids) => HttpReply {
            status: 201,
            ..HttpReply::json_value(&json!({ "people": ids }))
        },
        Err(error) => HttpReply::sim_error(400, &error.to_string()),
    })
}

async fn show_truth(world: WorldData, request: actix_web::HttpRequest) -> HttpResponse {
    let truth = match query_parameter(&request, "whoop_user_id") {
        None => world.records().all_truth(),
        Some(Ok(id)) => world.records().truth(id),
        Some(Err(reason)) => return to_http_response(HttpReply::sim_error(400, &reason)),
    };
    to_http_response(match truth {
        Value::Null => HttpReply::sim_error(404, &EditError::NoSuchPerson.to_string()),
        truth => HttpReply::json(crate::key_order::to_ordered_json(&truth)),
    })
}

async fn list_calls(world: WorldData, request: actix_web::HttpRequest) -> HttpResponse {
    let since = match query_parameter(&request, "since") {
        None => 0,
        Some(Ok(since)) => since,
        Some(Err(reason)) => return to_http_response(HttpReply::sim_error(400, &reason)),
    };
    let world = world.lock();
    let calls: Vec<_> = world.calls.since(since).collect();
    let page = json!({"totals": world.calls.totals(since), "calls": calls});
    to_http_response(HttpReply::json_value(&page))
}

async fn clear_calls(world: WorldData) -> HttpResponse {
    world.reset_calls();
    to_http_response(HttpReply::empty(204))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EditRequest {
    whoop_user_id: i64,
    data_type: SimDataType,
    op: EditOperation,
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    merge: Option<Value>,
    #[serde(default)]
    record: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum EditOperation {
    Patch,
    Delete,
    Insert,
    NapToSleep,
    SleepToNap,
}

async fn edit_record(world: WorldData, body: web::Bytes) -> HttpResponse {
    let edit: EditRequest = match parse_body(&body) {
        Ok(edit) => edit,
        Err(reply) => return to_http_response(reply),
    };
    let id = match &edit.id {
        Some(Value::String(id)) => Some(id.clone()),
        Some(Value::Number(id)) => Some(id.to_string()),
        _ => None,
    };
    let (person, data_type) = (edit.whoop_user_id, edit.data_type);
    let edited = match (edit.op, id) {
        (EditOperation::Insert, _) => {
            world
                .records()
                .insert(person, data_type, edit.record.unwrap_or_default())
        }
        (_, None) => Err(EditError::Invalid("id must be a string or a number")),
        (EditOperation::Patch, Some(id)) => world
            .records()
            .patch(person, data_type, &id, edit.merge.unwrap_or_default())
            .map(|()| id),
        (EditOperation::Delete, Some(id)) => {
            world.records().delete(person, data_type, &id).map(|()| id)
        }
        _ if data_type != SimDataType::Sleep => Err(EditError::Invalid(
            "nap_to_sleep and sleep_to_nap need data_type sleep",
        )),
        (EditOperation::NapToSleep, Some(id)) => {
            world.records().nap_to_sleep(person, &id).map(|()| id)
        }
        (EditOperation::SleepToNap, Some(id)) => {
            world.records().sleep_to_nap(person, &id).map(|()| id)
        }
    };
    to_http_response(match edited {
        Ok(id) => HttpReply::json_value(&json!({ "id": id })),
        Err(error) => {
            let status = match error {
                EditError::NoSuchPerson | EditError::NoSuchRecord => 404,
                EditError::IdTaken => 409,
                EditError::Invalid(_) => 400,
            };
            HttpReply::sim_error(status, &error.to_string())
        }
    })
}

async fn list_faults(world: WorldData) -> HttpResponse {
    let faults = json!({ "faults": world.lock().faults.list() });
    to_http_response(HttpReply::json_value(&faults))
}

/// Replaces all faults by the given list.
async fn set_faults(world: WorldData, body: web::Bytes) -> HttpResponse {
    let faults: Vec<Fault> = match parse_body(&body) {
        Ok(faults) => faults,
        Err(reply) => return to_http_response(reply),
    };
    if let Some(reason) = faults.iter().find_map(|fault| fault.validate().err()) {
        return to_http_response(HttpReply::sim_error(400, &reason));
    }
    {
        let mut world = world.lock();
        world.faults.clear();
        for fault in faults {
            world.faults.add(fault);
        }
    }
    list_faults(world).await
}

async fn clear_faults(world: WorldData) -> HttpResponse {
    world.clear_faults();
    to_http_response(HttpReply::empty(204))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetClockRequest {
    #[serde(default)]
    now: Option<DateTime<Utc>>,
    #[serde(default)]
    advance_seconds: Option<i64>,
}

async fn show_clock(world: WorldData) -> HttpResponse {
    let now = clock::format_instant(world.now());
    to_http_response(HttpReply::json_value(&json!({ "now": now })))
}

async fn set_clock(world: WorldData, body: web::Bytes) -> HttpResponse {
    let set: SetClockRequest = match parse_body(&body) {
        Ok(set) => set,
        Err(reply) => return to_http_response(reply),
    };
    let now = match (set.now, set.advance_seconds) {
        (Some(now), None) => Some(now),
        (None, Some(seconds)) => {
            TimeDelta::try_seconds(seconds).and_then(|time| world.now().checked_add_signed(time))
        }
        _ => None,
    };
    // WHOOP's time format cannot show instants outside of these years.
    let year = |now: &DateTime<Utc>| (1970..=9_000).contains(&chrono::Datelike::year(now));
    match now.filter(year) {
        Some(now) => world.set_now(now),
        None => {
            let reason =
                "give either now or advance_seconds, for a time between the years 1970 and 9000";
            return to_http_response(HttpReply::sim_error(400, reason));
        }
    }
    show_clock(world).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevokeRequest {
    whoop_user_id: i64,
}

async fn revoke_grants(world: WorldData, body: web::Bytes) -> HttpResponse {
    let revoke: RevokeRequest = match parse_body(&body) {
        Ok(revoke) => revoke,
        Err(reply) => return to_http_response(reply),
    };
    if !world.lock().people.contains(revoke.whoop_user_id) {
        let reason = EditError::NoSuchPerson.to_string();
        return to_http_response(HttpReply::sim_error(404, &reason));
    }
    let was_connected = world.oauth().revoke_grants(revoke.whoop_user_id);
    to_http_response(HttpReply::json_value(
        &json!({ "was_connected": was_connected }),
    ))
}

fn parse_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, HttpReply> {
    serde_json::from_slice(body).map_err(|error| HttpReply::sim_error(400, &error.to_string()))
}

fn query_parameter<T: std::str::FromStr>(
    request: &actix_web::HttpRequest,
    name: &str,
) -> Option<Result<T, String>> {
    let (_, value) = url::form_urlencoded::parse(request.query_string().as_bytes())
        .find(|(key, _)| key == name)?;
    Some(
        value
            .parse()
            .map_err(|_| format!("{name} must be a number")),
    )
}
