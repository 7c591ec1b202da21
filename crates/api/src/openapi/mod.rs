use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use whoop_core::day::{Connection, Day, Missing};

use crate::{problem::Problem, routes};

/// The API as OpenAPI 3.1, made from the handlers themselves.
pub fn document() -> Document {
    Api::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "WHOOP, database first",
        description = "Each member's recovery, sleep, workouts and cycles, answered from your own PostgreSQL. \
            Errors are `application/problem+json`; their `type` is stable. Absent is null or an empty list, never zero.",
        license(name = "MIT OR Apache-2.0")
    ),
    paths(
        routes::daily_data::read,
        routes::sync::start,
        routes::sync_status::read,
        routes::connect::begin,
        routes::callback::receive,
        routes::connection::read,
        routes::connection::end,
        routes::changes::read,
        routes::events::read,
        routes::webhooks::take,
        routes::export::read,
        routes::health::alive,
        routes::health::ready,
        routes::health::openapi,
        routes::metrics::read,
    ),
    components(schemas(Day, Problem, Missing, Connection)),
    modifiers(&Bearer),
)]
struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let mut scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        scheme.description =
            Some("The member's own JWT, or a service key that may act for any member".to_owned());
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}
