//! One log line per request, with the pattern of the route instead of the path and the query.
//!
//! Path and query are not logged, because the path contains a user id, and the query of the
//! callback contains an authorization code.

use std::sync::LazyLock;

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::StatusCode,
};
use tracing::Span;
use tracing_actix_web::RootSpanBuilder;

use crate::{
    cause::{ResponseCause, Severity},
    line_limit::LineLimit,
    problem::Problem,
    request_id::RequestId,
};

/// Rate limit for the log lines of refused requests, which any caller can cause without
/// credentials.
static REFUSAL_LINE_LIMIT: LazyLock<LineLimit> = LazyLock::new(LineLimit::new);

/// Rate limit for the log lines of failed requests. Without it, every request would write a line
/// during an outage.
static FAILURE_LINE_LIMIT: LazyLock<LineLimit> = LazyLock::new(LineLimit::new);

/// Creates the tracing span of each request, and writes the log line of the request at its end.
pub(crate) struct RequestSpanBuilder;

impl RootSpanBuilder for RequestSpanBuilder {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let extensions = request.extensions();
        let id = extensions.get::<RequestId>().map(RequestId::as_str);
        tracing::info_span!(
            "request",
            id = id.unwrap_or_default(),
            method = %request.method(),
            route = request.match_pattern().as_deref().unwrap_or("none"),
            // Filled with `member` or `key:NAME` when the caller was identified.
            caller = tracing::field::Empty,
            // Filled with the member's pseudonym when the caller's access to the member was
            // checked.
            member = tracing::field::Empty,
        )
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        span.in_scope(|| match outcome {
            Ok(response) => {
                let problem = response
                    .response()
                    .error()
                    .and_then(|error| error.as_error::<Problem>());
                let extensions = response.response().extensions();
                let cause = problem.and_then(Problem::cause);
                RequestLogLine {
                    status: response.status(),
                    problem: problem.map(Problem::kind),
                    cause: cause.or_else(|| extensions.get::<ResponseCause>()),
                    needs_credential: needs_credential(response),
                }
                .write();
            }
            Err(error) => {
                let problem = error.as_error::<Problem>();
                RequestLogLine {
                    status: error.as_response_error().status_code(),
                    problem: problem.map(Problem::kind),
                    cause: problem.and_then(Problem::cause),
                    needs_credential: false,
                }
                .write();
            }
        });
    }
}

/// Returns whether the route requires credentials or a signature. Successful requests to the other
/// routes are logged only at debug level.
///
/// The other routes are pages, descriptions and health checks, which are public.
fn needs_credential<B>(response: &ServiceResponse<B>) -> bool {
    let pattern = response.request().match_pattern();
    pattern.is_some_and(|route| route.starts_with("/api/") || route.starts_with("/webhooks/"))
}

struct RequestLogLine<'a> {
    status: StatusCode,
    problem: Option<&'static str>,
    cause: Option<&'a ResponseCause>,
    needs_credential: bool,
}

impl RequestLogLine<'_> {
    fn write(&self) {
        let status = self.status.as_u16();
        if self.status.is_client_error() {
            self.write_refusal(status);
        } else if self.status.is_server_error() || self.cause.is_some() {
            self.write_failure(status);
        } else if self.needs_credential {
            tracing::info!(status, "answered");
        } else {
            tracing::debug!(status, "answered");
        }
    }

    fn write_refusal(&self, status: u16) {
        let problem = self.problem;
        let error = self.cause.map(|cause| cause.error.as_str());
        match REFUSAL_LINE_LIMIT.admit() {
            Some(suppressed) => {
                let suppressed = nonzero_count(suppressed);
                tracing::info!(status, problem, error, suppressed, "request refused");
            }
            None => tracing::debug!(status, problem, error, "request refused"),
        }
    }

    fn write_failure(&self, status: u16) {
        let problem = self.problem;
        let reason = self.cause.map(|cause| cause.reason);
        let error = self.cause.map(|cause| cause.error.as_str());
        let severity = self.cause.map(|cause| cause.severity);
        let Some(suppressed) = FAILURE_LINE_LIMIT.admit() else {
            tracing::debug!(status, problem, reason, error, "request failed");
            return;
        };
        let suppressed = nonzero_count(suppressed);
        let is_error = match severity {
            Some(severity) => severity == Severity::Error,
            None => self.status == StatusCode::INTERNAL_SERVER_ERROR,
        };
        if is_error {
            tracing::error!(status, problem, reason, error, suppressed, "request failed");
        } else {
            tracing::warn!(status, problem, reason, error, suppressed, "request failed");
        }
    }
}

fn nonzero_count(suppressed: u64) -> Option<u64> {
    Some(suppressed).filter(|lines| *lines > 0)
}
