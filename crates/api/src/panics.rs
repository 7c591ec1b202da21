//! Containment of panics: a panic during one request does not affect other requests.

use std::panic::AssertUnwindSafe;

use actix_web::{
    Error,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
};
use futures::FutureExt;

use crate::problem::Problem;

/// Middleware that answers 500 if a handler panicked. The message of the panic is already in the
/// log.
pub(crate) async fn contain<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(response) => Ok(response?.map_into_boxed_body()),
        Err(_) => Err(Problem::panicked().into()),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::{
        App, HttpResponse,
        middleware::from_fn,
        test::{TestRequest, call_service, init_service},
        web,
    };

    use super::*;

    #[actix_web::test]
    async fn a_panic_is_answered_with_500_and_the_next_request_is_served() {
        async fn broken() -> HttpResponse {
            panic!("deliberate panic of this test");
        }
        let app = App::new()
            .wrap(from_fn(contain))
            .route("/broken", web::get().to(broken))
            .route("/intact", web::get().to(HttpResponse::NoContent));
        let app = init_service(app).await;

        for _ in 0..3 {
            let broken = TestRequest::get().uri("/broken").to_request();
            let error = actix_web::dev::Service::call(&app, broken)
                .await
                .err()
                .unwrap();
            let answer = error.error_response();
            assert_eq!(answer.status(), 500);
            let intact = TestRequest::get().uri("/intact").to_request();
            assert_eq!(call_service(&app, intact).await.status(), 204);
        }
    }
}
