mod finish;

use utoipa::{OpenApi, openapi::OpenApi as Document};
use whoop_core::day::{ConnectionStatus, Day, MissingReason};

use self::finish::DocumentFinisher;
use crate::{problem::Problem, routes};

/// Returns the OpenAPI 3.1 document, which is generated from the handlers.
pub fn openapi_document() -> Document {
    ApiDescription::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "WHOOP, database first",
        description = "Each member's recovery, sleep, workouts and cycles, answered from your own PostgreSQL. \
            Errors are `application/problem+json`; their `type` is stable. Absent is null or an empty list, never zero.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(
        routes::daily_data::read,
        routes::range::read,
        routes::records::read,
        routes::sync::start,
        routes::sync_status::read,
        routes::connect::begin,
        routes::callback::receive,
        routes::confirm::confirm,
        routes::connection::read,
        routes::connection::end,
        routes::changes::read,
        routes::events::read,
        routes::webhooks::take,
        routes::export::read,
        routes::admin::status,
        routes::admin::doctor,
        routes::admin::webhooks,
        routes::admin::replay,
        routes::health::alive,
        routes::health::ready,
        routes::health::openapi,
        routes::metrics::read,
    ),
    components(schemas(
        Day,
        Problem,
        MissingReason,
        ConnectionStatus,
        routes::daily_data::RefreshSchema,
        routes::export::ExportFormatSchema,
    )),
    servers((url = "/", description = "This server")),
    modifiers(&DocumentFinisher),
)]
struct ApiDescription;
