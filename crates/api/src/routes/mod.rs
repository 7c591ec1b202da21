//! The routes of the API: one module per route, or per group of related routes.

pub(crate) mod admin;
pub(crate) mod callback;
pub(crate) mod changes;
pub(crate) mod confirm;
pub(crate) mod connect;
pub(crate) mod connection;
pub(crate) mod daily_data;
pub(crate) mod docs;
pub(crate) mod events;
pub(crate) mod export;
pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod pages;
pub(crate) mod range;
pub(crate) mod records;
pub(crate) mod sync;
pub(crate) mod sync_status;
pub(crate) mod webhooks;

use actix_web::{
    HttpResponse, ResponseError, Route, dev::HttpServiceFactory, guard, middleware::Compress, web,
};

use crate::problem::Problem;

/// The groups of routes that one listening address serves. Every address also serves the health
/// checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServedRoutes {
    /// Whether the address serves the routes for members, the Health page, the callback and the
    /// webhook receiver.
    pub(crate) members: bool,
    /// Whether the address serves the metrics, the operator's page and the operator's routes.
    pub(crate) operations: bool,
    /// Whether the address serves the OpenAPI description and the documentation page.
    pub(crate) docs: bool,
}

const API_PREFIX: &str = "/api/v1/whoop";

fn api_path(tail: &str) -> String {
    format!("{API_PREFIX}/{tail}")
}

/// Adds the routes of a listening address. A request with a wrong method is answered with the
/// allowed methods.
pub(crate) fn configure(config: &mut web::ServiceConfig, served: ServedRoutes) {
    if served.members {
        config.configure(configure_members);
    }
    if served.operations {
        config.configure(configure_operations);
    }
    if served.docs {
        config.configure(docs::configure).service(
            web::resource("/openapi.json")
                .route(get_or_head().to(health::openapi))
                .default_service(web::to(|| wrong_method("GET, HEAD"))),
        );
    }
    config
        .service(read_resource("/healthz", get_or_head().to(health::alive)))
        .service(read_resource("/readyz", get_or_head().to(health::ready)))
        .configure(|config| pages::configure(config, served))
        .default_service(web::to(no_such_route));
}

fn configure_members(config: &mut web::ServiceConfig) {
    config
        .service(read_resource(
            &api_path("daily-data/{user_id}"),
            get_or_head().to(daily_data::read),
        ))
        .service(read_resource(
            &api_path("range/{user_id}"),
            get_or_head().to(range::read),
        ))
        .service(read_resource(
            &api_path("records/{data_type}/{user_id}"),
            get_or_head().to(records::read),
        ))
        .service(read_resource(
            &api_path("sync-status/{user_id}"),
            get_or_head().to(sync_status::read),
        ))
        .service(read_resource(
            &api_path("changes/{user_id}"),
            get_or_head().to(changes::read),
        ))
        .service(
            web::resource(api_path("events/{user_id}"))
                // HEAD is not supported, because the response consists only of its body.
                .route(web::get().to(events::read))
                .default_service(web::to(|| wrong_method("GET"))),
        )
        .service(
            web::resource("/webhooks/whoop")
                .route(web::post().to(webhooks::take))
                .default_service(web::to(|| wrong_method("POST"))),
        )
        .service(
            web::resource(api_path("export/{user_id}"))
                .wrap(Compress::default())
                // HEAD is not supported, because it would read all data without sending them.
                .route(web::get().to(export::read))
                .default_service(web::to(|| wrong_method("GET"))),
        )
        .service(
            web::resource(api_path("callback"))
                // HEAD is not supported, because a link preview would use up the state in the
                // address.
                .route(web::get().to(callback::receive))
                .default_service(web::to(|| wrong_method("GET"))),
        )
        .service(
            web::resource(api_path("sync/{user_id}"))
                .route(web::post().to(sync::start))
                .default_service(web::to(|| wrong_method("POST"))),
        )
        .service(
            web::resource(api_path("connect/{user_id}"))
                .route(web::post().to(connect::begin))
                .default_service(web::to(|| wrong_method("POST"))),
        )
        .service(
            web::resource(api_path("connect/{user_id}/confirm"))
                .route(web::post().to(confirm::confirm))
                .default_service(web::to(|| wrong_method("POST"))),
        )
        .service(
            web::resource(api_path("connection/{user_id}"))
                .route(get_or_head().to(connection::read))
                .route(web::delete().to(connection::end))
                .default_service(web::to(|| wrong_method("GET, HEAD, DELETE"))),
        );
}

fn configure_operations(config: &mut web::ServiceConfig) {
    config
        .service(read_resource(
            &api_path("admin/status"),
            get_or_head().to(admin::status),
        ))
        .service(
            web::resource(api_path("admin/doctor"))
                .route(web::post().to(admin::doctor))
                .default_service(web::to(|| wrong_method("POST"))),
        )
        .service(read_resource(
            &api_path("admin/webhooks"),
            get_or_head().to(admin::webhooks),
        ))
        .service(
            web::resource(api_path("admin/webhooks/replay"))
                .route(web::post().to(admin::replay))
                .default_service(web::to(|| wrong_method("POST"))),
        )
        .service(read_resource("/metrics", get_or_head().to(metrics::read)));
}

/// Returns the resource at `path`. It serves only `route`, which handles GET and HEAD, and
/// compresses the responses.
fn read_resource(path: &str, route: Route) -> impl HttpServiceFactory + 'static {
    web::resource(path.to_owned())
        .wrap(Compress::default())
        .route(route)
        .default_service(web::to(|| wrong_method("GET, HEAD")))
}

/// Returns a route for GET and HEAD. The response to HEAD is the response to GET without the body.
fn get_or_head() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn wrong_method(allow: &'static str) -> HttpResponse {
    Problem::method_not_allowed(allow).error_response()
}

async fn no_such_route() -> HttpResponse {
    Problem::not_found().error_response()
}
