//! Builds the actix-web `App` of one listening address: its routes, and the middleware through
//! which every request passes.

use actix_web::{
    App, Error, ResponseError,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    error::InternalError,
    middleware::{Condition, from_fn},
    web,
};
use tracing_actix_web::TracingLogger;

use crate::{
    audit, body, cors,
    log::RequestSpanBuilder,
    metrics, nosniff, panics,
    problem::Problem,
    reads::ReadPool,
    request_id,
    routes::{self, ServedRoutes},
    state::AppState,
};

/// Factory of the actix-web apps of one listening address, with the routes that it serves and the
/// shared state.
#[derive(Clone)]
pub(crate) struct AppFactory {
    pub(crate) routes: ServedRoutes,
    pub(crate) state: web::Data<AppState>,
    /// Origins of the web apps that may send requests from a browser (CORS).
    pub(crate) origins: Vec<String>,
}

impl AppFactory {
    /// Builds the actix-web `App` of one worker thread. Its routes read from the database through
    /// `reads`, a pool that only this worker uses.
    pub(crate) fn build_app(
        &self,
        reads: ReadPool,
    ) -> App<
        impl ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<impl MessageBody + use<>>,
            Error = Error,
            InitError = (),
        > + use<>,
    > {
        let served_routes = self.routes;
        App::new()
            .app_data(web::Data::new(reads))
            // actix-web runs middleware in reverse order: the middleware that is added last sees a
            // request first.
            .wrap(from_fn(body::refuse_encoded))
            .wrap(from_fn(panics::contain))
            .wrap(from_fn(audit::record_request))
            .wrap(from_fn(metrics::observe_request))
            .wrap(Condition::new(
                !self.origins.is_empty(),
                cors::build_cors(&self.origins),
            ))
            .wrap(from_fn(cors::explain_refusal))
            .wrap(TracingLogger::<RequestSpanBuilder>::new())
            .wrap(from_fn(request_id::assign_request_id))
            .wrap(from_fn(nosniff::add_nosniff_header))
            .app_data(self.state.clone())
            .app_data(web::QueryConfig::default().error_handler(|error, _| {
                let problem = Problem::invalid(
                    "invalid-query",
                    "query",
                    format!("the query string is invalid: {error}"),
                );
                let response = problem.error_response();
                InternalError::from_response(error, response).into()
            }))
            .configure(move |config| routes::configure(config, served_routes))
    }
}
