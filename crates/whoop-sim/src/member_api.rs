//! The member endpoints under `/developer`, as a pure function of the world.

use chrono::{DateTime, Utc};

use crate::{
    data_type::SimDataType,
    key_order,
    life::{LifePattern, Person},
    oauth::BearerAccess,
    page::{CollectionQuery, encode_page_token},
    protocol::{EmptyCollection, LastPage, ProtocolOptions},
    record::SimRecord,
    reply::HttpReply,
    world::World,
};

/// One request to the API, independent of the HTTP library.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemberApiRequest<'a> {
    pub(crate) method: &'a str,
    /// Path after `/developer/`.
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) access: Option<&'a BearerAccess>,
}

/// Route of a request, by its method and path, before its token and its parameters are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MemberApiRoute<'a> {
    Profile,
    BodyMeasurement,
    RevokeAccess,
    Collection(SimDataType),
    ById(SimDataType, &'a str),
    CycleSleep(&'a str),
    CycleRecovery(&'a str),
    /// Detailed stream of a sleep, which WHOOP does not offer to every app.
    ///
    /// The answer is 403 for a member whose membership has lapsed, otherwise 404.
    SleepStream,
    /// Any other path, including v1 and its activity mapping.
    Unknown,
}

impl<'a> MemberApiRoute<'a> {
    fn resolve(method: &str, path: &'a str) -> Self {
        let parts: Vec<&str> = path.split('/').collect();
        // GET handles HEAD too: the HTTP server omits the body of the answer.
        let method = if method == "HEAD" { "GET" } else { method };
        match (method, parts.as_slice()) {
            ("DELETE", ["v2", "user", "access"]) => Self::RevokeAccess,
            ("GET", ["v2", "user", "profile", "basic"]) => Self::Profile,
            ("GET", ["v2", "user", "measurement", "body"]) => Self::BodyMeasurement,
            ("GET", ["v2", "cycle"]) => Self::Collection(SimDataType::Cycle),
            ("GET", ["v2", "recovery"]) => Self::Collection(SimDataType::Recovery),
            ("GET", ["v2", "activity", "sleep"]) => Self::Collection(SimDataType::Sleep),
            ("GET", ["v2", "activity", "workout"]) => Self::Collection(SimDataType::Workout),
            ("GET", ["v2", "cycle", id]) => Self::ById(SimDataType::Cycle, id),
            ("GET", ["v2", "activity", "sleep", id]) => Self::ById(SimDataType::Sleep, id),
            ("GET", ["v2", "activity", "workout", id]) => Self::ById(SimDataType::Workout, id),
            ("GET", ["v2", "activity", "sleep", _, "stream"]) => Self::SleepStream,
            ("GET", ["v2", "cycle", id, "sleep"]) => Self::CycleSleep(id),
            ("GET", ["v2", "cycle", id, "recovery"]) => Self::CycleRecovery(id),
            _ => Self::Unknown,
        }
    }

    fn scope(self) -> Option<&'static str> {
        match self {
            Self::Profile => Some("read:profile"),
            Self::BodyMeasurement => Some("read:body_measurement"),
            Self::Collection(SimDataType::Cycle) | Self::ById(SimDataType::Cycle, _) => {
                Some("read:cycles")
            }
            Self::Collection(SimDataType::Recovery)
            | Self::ById(SimDataType::Recovery, _)
            | Self::CycleRecovery(_) => Some("read:recovery"),
            Self::Collection(SimDataType::Sleep)
            | Self::ById(SimDataType::Sleep, _)
            | Self::CycleSleep(_) => Some("read:sleep"),
            Self::Collection(SimDataType::Workout) | Self::ById(SimDataType::Workout, _) => {
                Some("read:workout")
            }
            Self::RevokeAccess | Self::SleepStream | Self::Unknown => None,
        }
    }
}

/// Returns the name that `Fault::route` has for a request's route; empty for an unknown route.
pub(crate) fn fault_route(method: &str, path: &str) -> &'static str {
    match MemberApiRoute::resolve(method, path) {
        MemberApiRoute::Profile => "profile",
        MemberApiRoute::BodyMeasurement => "body",
        MemberApiRoute::RevokeAccess => "access",
        MemberApiRoute::Collection(SimDataType::Cycle)
        | MemberApiRoute::ById(SimDataType::Cycle, _) => "cycle",
        MemberApiRoute::Collection(SimDataType::Sleep)
        | MemberApiRoute::ById(SimDataType::Sleep, _)
        | MemberApiRoute::CycleSleep(_)
        | MemberApiRoute::SleepStream => "sleep",
        MemberApiRoute::Collection(SimDataType::Recovery)
        | MemberApiRoute::ById(SimDataType::Recovery, _)
        | MemberApiRoute::CycleRecovery(_) => "recovery",
        MemberApiRoute::Collection(SimDataType::Workout)
        | MemberApiRoute::ById(SimDataType::Workout, _) => "workout",
        MemberApiRoute::Unknown => "",
    }
}

pub(crate) fn answer_request(world: &mut World, request: MemberApiRequest<'_>) -> HttpReply {
    let route = MemberApiRoute::resolve(request.method, request.path);
    if route == MemberApiRoute::Unknown {
        return HttpReply::empty(404);
    }
    let Some(access) = request.access else {
        return HttpReply::unauthorized(401);
    };
    let lacks = |scope: &str| !access.scopes.iter().any(|it| it == scope);
    if route.scope().is_some_and(lacks) {
        return HttpReply::unauthorized(world.config.protocol.missing_scope_status);
    }
    if route == MemberApiRoute::RevokeAccess {
        world.grants.revoke(access.whoop_user_id);
        return HttpReply::empty(204);
    }
    let (now, protocol) = (world.now(), world.config.protocol);
    match world.person(access.whoop_user_id) {
        Some(person) => answer_read(person, route, request.query, now, protocol),
        None => HttpReply::empty(404),
    }
}

fn answer_read(
    person: &Person,
    route: MemberApiRoute<'_>,
    query: &str,
    now: DateTime<Utc>,
    protocol: ProtocolOptions,
) -> HttpReply {
    match route {
        MemberApiRoute::Profile => HttpReply::json(key_order::to_ordered_json(&person.profile)),
        MemberApiRoute::BodyMeasurement => match &person.body_measurement {
            Some(body) => HttpReply::json(key_order::to_ordered_json(body)),
            None => HttpReply::empty(404),
        },
        MemberApiRoute::Collection(data_type) => {
            match CollectionQuery::parse(query, protocol.limit_over_max) {
                Some(page) => {
                    collection_reply(person.records.newest_first(data_type), &page, now, protocol)
                }
                None => HttpReply::empty(400),
            }
        }
        MemberApiRoute::ById(data_type, id) => {
            if !is_valid_id(data_type, id) {
                return HttpReply::empty(400);
            }
            single_record_reply(person.records.newest_first(data_type), |record| {
                record.id.eq_ignore_ascii_case(id)
            })
        }
        MemberApiRoute::CycleSleep(id) => cycle_record_reply(person, SimDataType::Sleep, id),
        MemberApiRoute::CycleRecovery(id) => cycle_record_reply(person, SimDataType::Recovery, id),
        MemberApiRoute::SleepStream if person.life == LifePattern::MembershipLapsed => HttpReply {
            status: 403,
            ..HttpReply::json(r#"{"error":"deactivated_user"}"#.to_owned())
        },
        MemberApiRoute::SleepStream | MemberApiRoute::RevokeAccess | MemberApiRoute::Unknown => {
            HttpReply::empty(404)
        }
    }
}

fn is_valid_id(data_type: SimDataType, id: &str) -> bool {
    match data_type {
        SimDataType::Cycle | SimDataType::Recovery => id.parse::<i64>().is_ok(),
        SimDataType::Sleep | SimDataType::Workout => uuid::Uuid::try_parse(id).is_ok(),
    }
}

fn cycle_record_reply(person: &Person, data_type: SimDataType, id: &str) -> HttpReply {
    match id.parse::<i64>() {
        Ok(id) => single_record_reply(person.records.newest_first(data_type), |record| {
            record.cycle_id == Some(id) && !record.nap
        }),
        Err(_) => HttpReply::empty(400),
    }
}

fn single_record_reply<'a>(
    mut records: impl Iterator<Item = &'a SimRecord>,
    is_it: impl Fn(&SimRecord) -> bool,
) -> HttpReply {
    match records.find(|record| is_it(record)) {
        Some(record) => HttpReply::json(record.body.clone()),
        None => HttpReply::empty(404),
    }
}

/// Returns one page of a collection.
///
/// The page's offset counts from the newest record at the time of the request. A record that is
/// inserted between two requests therefore shifts the second page, as at WHOOP.
fn collection_reply<'a>(
    records: impl Iterator<Item = &'a SimRecord>,
    page: &CollectionQuery,
    now: DateTime<Utc>,
    protocol: ProtocolOptions,
) -> HttpReply {
    let mut found = records
        .filter(|record| page.covers(record.start, record.end, now))
        .skip(page.offset);
    let bodies: Vec<&str> = found
        .by_ref()
        .take(page.limit)
        .map(|record| record.body.as_str())
        .collect();
    if bodies.is_empty() && protocol.empty_collection == EmptyCollection::NotFound {
        return HttpReply::empty(404);
    }
    let next_token = match (found.next(), protocol.last_page) {
        (Some(_), _) => format!(
            r#","next_token":"{}""#,
            encode_page_token(page.offset + page.limit)
        ),
        (None, LastPage::Null) => r#","next_token":null"#.to_owned(),
        (None, LastPage::Empty) => r#","next_token":"""#.to_owned(),
        (None, LastPage::Absent) => String::new(),
    };
    let records = bodies.join(",");
    HttpReply::json(format!(r#"{{"records":[{records}]{next_token}}}"#))
}
