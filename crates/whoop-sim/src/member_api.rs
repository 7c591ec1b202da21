//! The member endpoints under `/developer`, as a pure function of the world.

use chrono::{DateTime, Utc};

use crate::{
    data_type::DataType,
    key_order,
    life::{Life, Person},
    oauth::Access,
    page::{PageQuery, write_token},
    protocol::{EmptyCollection, LastPage, Protocol},
    record::Record,
    reply::Reply,
    world::World,
};

/// One request, without the parts that HTTP needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    /// What follows `/developer/`.
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    pub(crate) access: Option<&'a Access>,
}

/// Where a request leads, found before anything is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route<'a> {
    Profile,
    Body,
    Access,
    Collection(DataType),
    ById(DataType, &'a str),
    CycleSleep(&'a str),
    CycleRecovery(&'a str),
    /// Not generally available; it tells of a membership that has lapsed.
    Stream,
    /// v1 and its activity mapping are among these.
    Nowhere,
}

impl<'a> Route<'a> {
    fn find(method: &str, path: &'a str) -> Self {
        let parts: Vec<&str> = path.split('/').collect();
        // The server leaves the body of an answer to HEAD out.
        let method = if method == "HEAD" { "GET" } else { method };
        match (method, parts.as_slice()) {
            ("DELETE", ["v2", "user", "access"]) => Self::Access,
            ("GET", ["v2", "user", "profile", "basic"]) => Self::Profile,
            ("GET", ["v2", "user", "measurement", "body"]) => Self::Body,
            ("GET", ["v2", "cycle"]) => Self::Collection(DataType::Cycle),
            ("GET", ["v2", "recovery"]) => Self::Collection(DataType::Recovery),
            ("GET", ["v2", "activity", "sleep"]) => Self::Collection(DataType::Sleep),
            ("GET", ["v2", "activity", "workout"]) => Self::Collection(DataType::Workout),
            ("GET", ["v2", "cycle", id]) => Self::ById(DataType::Cycle, id),
            ("GET", ["v2", "activity", "sleep", id]) => Self::ById(DataType::Sleep, id),
            ("GET", ["v2", "activity", "workout", id]) => Self::ById(DataType::Workout, id),
            ("GET", ["v2", "activity", "sleep", _, "stream"]) => Self::Stream,
            ("GET", ["v2", "cycle", id, "sleep"]) => Self::CycleSleep(id),
            ("GET", ["v2", "cycle", id, "recovery"]) => Self::CycleRecovery(id),
            _ => Self::Nowhere,
        }
    }

    fn scope(self) -> Option<&'static str> {
        match self {
            Self::Profile => Some("read:profile"),
            Self::Body => Some("read:body_measurement"),
            Self::Collection(DataType::Cycle) | Self::ById(DataType::Cycle, _) => {
                Some("read:cycles")
            }
            Self::Collection(DataType::Recovery)
            | Self::ById(DataType::Recovery, _)
            | Self::CycleRecovery(_) => Some("read:recovery"),
            Self::Collection(DataType::Sleep)
            | Self::ById(DataType::Sleep, _)
            | Self::CycleSleep(_) => Some("read:sleep"),
            Self::Collection(DataType::Workout) | Self::ById(DataType::Workout, _) => {
                Some("read:workout")
            }
            Self::Access | Self::Stream | Self::Nowhere => None,
        }
    }
}

/// The name by which faults know a request; empty for what leads nowhere.
pub(crate) fn fault_route(method: &str, path: &str) -> &'static str {
    match Route::find(method, path) {
        Route::Profile => "profile",
        Route::Body => "body",
        Route::Access => "access",
        Route::Collection(DataType::Cycle) | Route::ById(DataType::Cycle, _) => "cycle",
        Route::Collection(DataType::Sleep)
        | Route::ById(DataType::Sleep, _)
        | Route::CycleSleep(_)
        | Route::Stream => "sleep",
        Route::Collection(DataType::Recovery)
        | Route::ById(DataType::Recovery, _)
        | Route::CycleRecovery(_) => "recovery",
        Route::Collection(DataType::Workout) | Route::ById(DataType::Workout, _) => "workout",
        Route::Nowhere => "",
    }
}

pub(crate) fn answer(world: &mut World, request: Request<'_>) -> Reply {
    let route = Route::find(request.method, request.path);
    if route == Route::Nowhere {
        return Reply::empty(404);
    }
    let Some(access) = request.access else {
        return Reply::unauthorized(401);
    };
    let lacks = |scope: &str| !access.scopes.iter().any(|it| it == scope);
    if route.scope().is_some_and(lacks) {
        return Reply::unauthorized(world.config.protocol.missing_scope_status);
    }
    if route == Route::Access {
        world.grants.revoke(access.whoop_user_id);
        return Reply::empty(204);
    }
    let (now, protocol) = (world.now(), world.config.protocol);
    match world.person(access.whoop_user_id) {
        Some(person) => read(person, route, request.query, now, protocol),
        None => Reply::empty(404),
    }
}

fn read(
    person: &Person,
    route: Route<'_>,
    query: &str,
    now: DateTime<Utc>,
    protocol: Protocol,
) -> Reply {
    match route {
        Route::Profile => Reply::json(key_order::print(&person.profile)),
        Route::Body => match &person.body_measurement {
            Some(body) => Reply::json(key_order::print(body)),
            None => Reply::empty(404),
        },
        Route::Collection(data_type) => match PageQuery::parse(query, protocol.limit_over_max) {
            Some(page) => collection(person.records.newest_first(data_type), &page, now, protocol),
            None => Reply::empty(400),
        },
        Route::ById(data_type, id) => {
            if !is_id(data_type, id) {
                return Reply::empty(400);
            }
            one(person.records.newest_first(data_type), |record| {
                record.id.eq_ignore_ascii_case(id)
            })
        }
        Route::CycleSleep(id) => of_cycle(person, DataType::Sleep, id),
        Route::CycleRecovery(id) => of_cycle(person, DataType::Recovery, id),
        Route::Stream if person.life == Life::MembershipLapsed => Reply {
            status: 403,
            ..Reply::json(r#"{"error":"deactivated_user"}"#.to_owned())
        },
        Route::Stream | Route::Access | Route::Nowhere => Reply::empty(404),
    }
}

fn is_id(data_type: DataType, id: &str) -> bool {
    match data_type {
        DataType::Cycle | DataType::Recovery => id.parse::<i64>().is_ok(),
        DataType::Sleep | DataType::Workout => uuid::Uuid::try_parse(id).is_ok(),
    }
}

fn of_cycle(person: &Person, data_type: DataType, id: &str) -> Reply {
    match id.parse::<i64>() {
        Ok(id) => one(person.records.newest_first(data_type), |record| {
            record.cycle_id == Some(id) && !record.nap
        }),
        Err(_) => Reply::empty(400),
    }
}

fn one<'a>(
    mut records: impl Iterator<Item = &'a Record>,
    is_it: impl Fn(&Record) -> bool,
) -> Reply {
    match records.find(|record| is_it(record)) {
        Some(record) => Reply::json(record.body.clone()),
        None => Reply::empty(404),
    }
}

/// The offset counts from the newest record of the moment: what is inserted
/// between two pages shifts the second, as it does at WHOOP.
fn collection<'a>(
    records: impl Iterator<Item = &'a Record>,
    page: &PageQuery,
    now: DateTime<Utc>,
    protocol: Protocol,
) -> Reply {
    let mut found = records
        .filter(|record| page.covers(record.start, record.end, now))
        .skip(page.offset);
    let bodies: Vec<&str> = found
        .by_ref()
        .take(page.limit)
        .map(|record| record.body.as_str())
        .collect();
    if bodies.is_empty() && protocol.empty_collection == EmptyCollection::NotFound {
        return Reply::empty(404);
    }
    let next_token = match (found.next(), protocol.last_page) {
        (Some(_), _) => format!(
            r#","next_token":"{}""#,
            write_token(page.offset + page.limit)
        ),
        (None, LastPage::Null) => r#","next_token":null"#.to_owned(),
        (None, LastPage::Empty) => r#","next_token":"""#.to_owned(),
        (None, LastPage::Absent) => String::new(),
    };
    let records = bodies.join(",");
    Reply::json(format!(r#"{{"records":[{records}]{next_token}}}"#))
}
