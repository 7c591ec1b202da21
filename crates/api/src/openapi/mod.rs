mod examples;
mod finish;

use utoipa::{OpenApi, openapi::OpenApi as Document};
use whoop_core::day::{ConnectionStatus, Day, MissingReason};

use self::finish::DocumentFinisher;
use crate::{problem::Problem, routes};

/// Returns the OpenAPI 3.1 description of the API, which is generated from the handlers of the
/// routes.
pub fn openapi_document() -> Document {
    ApiDescription::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "WHOOP, database first",
        description = "Recovery, sleep, workouts and cycles of each member, from the operator's own \
            PostgreSQL. Errors are `application/problem+json` with a stable `type`. An absent value is \
            null or an empty list, never zero. Instants are in UTC. Figures are as WHOOP sent them; \
            only kilocalories are rounded.",
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
    tags(
        (name = "Connection", description = "Connect a member to WHOOP, and end the connection"),
        (name = "Data", description = "Read the stored data of a member, and follow its changes"),
        (name = "Sync", description = "Read from WHOOP now, and show the sync status"),
        (name = "WHOOP", description = "Requests that WHOOP sends; not for apps"),
        (name = "Operations", description = "Routes for operation and monitoring; not for apps"),
    ),
    modifiers(&DocumentFinisher),
)]
struct ApiDescription;
