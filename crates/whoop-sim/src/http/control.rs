//! The pages under `/_sim/`, for tests and for the curious.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{protocol, respond, webhooks};
use crate::{
    clock, data_type::DataType, edit::EditError, fault::Fault, handle::WorldHandle, life::Life,
    reply::Reply,
};

type Handle = web::Data<WorldHandle>;

pub(super) fn configure(app: &mut web::ServiceConfig) {
    app.service(
        web::scope("/_sim")
            .route("/openapi.json", web::get().to(describe))
            .route("/people", web::get().to(people))
            .route("/people", web::post().to(add_people))
            .route("/truth", web::get().to(truth))
            .route("/calls", web::get().to(calls))
            .route("/calls", web::delete().to(clear_calls))
            .route("/edit", web::post().to(edit))
            .route("/faults", web::get().to(list_faults))
            .route("/faults", web::post().to(set_faults))
            .route("/faults", web::delete().to(clear_faults))
            .route("/clock", web::get().to(show_clock))
            .route("/clock", web::post().to(set_clock))
            .route("/revoke", web::post().to(revoke))
            .route("/expire", web::post().to(protocol::expire))
            .route("/protocol", web::get().to(protocol::show))
            .route("/protocol", web::post().to(protocol::change))
            .route("/webhooks", web::get().to(webhooks::show))
            .route("/webhooks", web::post().to(webhooks::change))
            .route("/webhooks", web::delete().to(webhooks::forget))
            .default_service(web::to(nowhere)),
    );
}

async fn describe() -> HttpResponse {
    respond(Reply::json(include_str!("control.openapi.json").to_owned()))
}

async fn nowhere() -> HttpResponse {
    respond(Reply::refused(404, "no such page of the simulator"))
}

/// Everybody, or with `offset` and `limit` a part; `total` counts all.
async fn people(world: Handle, request: actix_web::HttpRequest) -> HttpResponse {
    let asked = (
        parameter(&request, "offset").unwrap_or(Ok(0)),
        parameter(&request, "limit").unwrap_or(Ok(usize::MAX)),
    );
    let (offset, limit) = match asked {
        (Ok(offset), Ok(limit)) => (offset, limit),
        (Err(reason), _) | (_, Err(reason)) => return respond(Reply::refused(400, &reason)),
    };
    let world = world.lock();
    let people: Vec<Value> = world
        .people
        .sketches()
        .skip(offset)
        .take(limit)
        .map(|person| {
            json!({
                "whoop_user_id": person.whoop_user_id,
                "life": person.life,
                "profile": person.profile,
                "is_connected": world.grants.is_bound(person.whoop_user_id),
            })
        })
        .collect();
    let page = json!({"people": people, "total": world.people.len()});
    respond(Reply::value(&page))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddPeople {
    life: Life,
    #[serde(default = "one")]
    count: usize,
    #[serde(default)]
    days: Option<u32>,
}

fn one() -> usize {
    1
}

async fn add_people(world: Handle, body: web::Bytes) -> HttpResponse {
    let add: AddPeople = match read(&body) {
        Ok(add) => add,
        Err(reply) => return respond(reply),
    };
    let days = add.days.unwrap_or_else(|| world.lock().config.days);
    respond(match world.add_people(add.life, add.count, days) {
        Ok(ids) => Reply {
            status: 201,
            ..Reply::value(&json!({ "people": ids }))
        },
        Err(error) => Reply::refused(400, &error.to_string()),
    })
}

async fn truth(world: Handle, request: actix_web::HttpRequest) -> HttpResponse {
    let truth = match parameter(&request, "whoop_user_id") {
        None => world.all_truth(),
        Some(Ok(id)) => world.truth(id),
        Some(Err(reason)) => return respond(Reply::refused(400, &reason)),
    };
    respond(match truth {
        Value::Null => Reply::refused(404, &EditError::NoSuchPerson.to_string()),
        truth => Reply::json(crate::key_order::print(&truth)),
    })
}

async fn calls(world: Handle, request: actix_web::HttpRequest) -> HttpResponse {
    let since = match parameter(&request, "since") {
        None => 0,
        Some(Ok(since)) => since,
        Some(Err(reason)) => return respond(Reply::refused(400, &reason)),
    };
    let world = world.lock();
    let calls: Vec<_> = world.calls.since(since).collect();
    let page = json!({"totals": world.calls.totals(since), "calls": calls});
    respond(Reply::value(&page))
}

async fn clear_calls(world: Handle) -> HttpResponse {
    world.reset_calls();
    respond(Reply::empty(204))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    whoop_user_id: i64,
    data_type: DataType,
    op: Op,
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    merge: Option<Value>,
    #[serde(default)]
    record: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Op {
    Patch,
    Delete,
    Insert,
    NapToSleep,
    SleepToNap,
}

async fn edit(world: Handle, body: web::Bytes) -> HttpResponse {
    let edit: Edit = match read(&body) {
        Ok(edit) => edit,
        Err(reply) => return respond(reply),
    };
    let id = match &edit.id {
        Some(Value::String(id)) => Some(id.clone()),
        Some(Value::Number(id)) => Some(id.to_string()),
        _ => None,
    };
    let (person, data_type) = (edit.whoop_user_id, edit.data_type);
    let done = match (edit.op, id) {
        (Op::Insert, _) => world.insert(person, data_type, edit.record.unwrap_or_default()),
        (_, None) => Err(EditError::Invalid("id must be a text or a number")),
        (Op::Patch, Some(id)) => world
            .patch(person, data_type, &id, edit.merge.unwrap_or_default())
            .map(|()| id),
        (Op::Delete, Some(id)) => world.delete(person, data_type, &id).map(|()| id),
        _ if data_type != DataType::Sleep => Err(EditError::Invalid("only a sleep can be a nap")),
        (Op::NapToSleep, Some(id)) => world.nap_to_sleep(person, &id).map(|()| id),
        (Op::SleepToNap, Some(id)) => world.sleep_to_nap(person, &id).map(|()| id),
    };
    respond(match done {
        Ok(id) => Reply::value(&json!({ "id": id })),
        Err(error) => {
            let status = match error {
                EditError::NoSuchPerson | EditError::NoSuchRecord => 404,
                EditError::Taken => 409,
                EditError::Invalid(_) => 400,
            };
            Reply::refused(status, &error.to_string())
        }
    })
}

async fn list_faults(world: Handle) -> HttpResponse {
    let faults = json!({ "faults": world.lock().faults.list() });
    respond(Reply::value(&faults))
}

/// Replaces all faults by the list that is given.
async fn set_faults(world: Handle, body: web::Bytes) -> HttpResponse {
    let faults: Vec<Fault> = match read(&body) {
        Ok(faults) => faults,
        Err(reply) => return respond(reply),
    };
    if let Some(reason) = faults.iter().find_map(|fault| fault.check().err()) {
        return respond(Reply::refused(400, &reason));
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

async fn clear_faults(world: Handle) -> HttpResponse {
    world.clear_faults();
    respond(Reply::empty(204))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetClock {
    #[serde(default)]
    now: Option<DateTime<Utc>>,
    #[serde(default)]
    advance_seconds: Option<i64>,
}

async fn show_clock(world: Handle) -> HttpResponse {
    let now = clock::print(world.now());
    respond(Reply::value(&json!({ "now": now })))
}

async fn set_clock(world: Handle, body: web::Bytes) -> HttpResponse {
    let set: SetClock = match read(&body) {
        Ok(set) => set,
        Err(reply) => return respond(reply),
    };
    let now = match (set.now, set.advance_seconds) {
        (Some(now), None) => Some(now),
        (None, Some(seconds)) => {
            TimeDelta::try_seconds(seconds).and_then(|time| world.now().checked_add_signed(time))
        }
        _ => None,
    };
    // Outside of these years instants no longer print as WHOOP prints them.
    let year = |now: &DateTime<Utc>| (1970..=9_000).contains(&chrono::Datelike::year(now));
    match now.filter(year) {
        Some(now) => world.set_now(now),
        None => {
            let reason = "give either now or advance_seconds, between the years 1970 and 9000";
            return respond(Reply::refused(400, reason));
        }
    }
    show_clock(world).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revoke {
    whoop_user_id: i64,
}

async fn revoke(world: Handle, body: web::Bytes) -> HttpResponse {
    let revoke: Revoke = match read(&body) {
        Ok(revoke) => revoke,
        Err(reply) => return respond(reply),
    };
    if !world.lock().people.knows(revoke.whoop_user_id) {
        let reason = EditError::NoSuchPerson.to_string();
        return respond(Reply::refused(404, &reason));
    }
    let was_connected = world.revoke(revoke.whoop_user_id);
    respond(Reply::value(&json!({ "was_connected": was_connected })))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Reply> {
    serde_json::from_slice(body).map_err(|error| Reply::refused(400, &error.to_string()))
}

fn parameter<T: std::str::FromStr>(
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
