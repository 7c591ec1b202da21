//! Error responses of the API in the format `application/problem+json` (RFC 9457), called problems.
//!
//! The field `type` is stable and intended for programs, the field `detail` is intended for people.
//! A 5xx response does not contain its cause; the cause is written to the log.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use serde::{Serialize, Serializer};
use whoop_storage::StorageError;
use whoop_sync::SyncError;

use crate::cause::{ResponseCause, Severity};

/// Prefix of the field `type`. The values of this field are names, and not addresses that can be
/// opened.
const NAMESPACE: &str = "urn:whoop-backend:problem:";

fn in_namespace<S: Serializer>(name: &&'static str, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{NAMESPACE}{name}"))
}

/// Error response to a request (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct Problem {
    /// Stable name of the kind of error, for programs, such as
    /// `urn:whoop-backend:problem:invalid-date`.
    #[serde(rename = "type", serialize_with = "in_namespace")]
    #[schema(value_type = String, example = "urn:whoop-backend:problem:invalid-date")]
    kind: &'static str,
    /// Short summary of the error. It is the same for all errors with this `type`.
    title: &'static str,
    /// HTTP status of the response.
    status: u16,
    /// Explanation of this error for people. It states what would be correct.
    #[schema(value_type = String)]
    detail: Box<str>,
    /// Name of the invalid parameter or of the invalid field of the body. Absent for other errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    field: Option<Box<str>>,
    /// Sequence number from which the app continues after it has read all data again. Present only
    /// if the requested changes are no longer stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    latest: Option<i64>,
    #[serde(skip)]
    retry_after: Option<u32>,
    #[serde(skip)]
    allow: Option<&'static str>,
    /// Cause of the error for the log. It is never sent to the caller.
    #[serde(skip)]
    cause: Option<Box<ResponseCause>>,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<Box<str>>,
    ) -> Self {
        Self {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            latest: None,
            retry_after: None,
            allow: None,
            cause: None,
        }
    }

    /// Returns the error for an invalid parameter or an invalid field of the body. `name` is the
    /// last part of `type`.
    pub(crate) fn invalid(
        name: &'static str,
        field: impl Into<Box<str>>,
        detail: impl Into<Box<str>>,
    ) -> Self {
        let mut problem = Self::new(
            StatusCode::BAD_REQUEST,
            name,
            "The request is invalid",
            detail,
        );
        problem.field = Some(field.into());
        problem
    }

    pub(crate) fn unauthorized(name: &'static str, detail: impl Into<Box<str>>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            name,
            "The caller is not authenticated",
            detail,
        )
    }

    pub(crate) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no-such-route",
            "The route does not exist",
            "no route at this address has this path",
        )
    }

    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let mut problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "The route does not allow this method",
            format!("this route allows only {allow}"),
        );
        problem.allow = Some(allow);
        problem
    }

    pub(crate) fn quota(retry_after: u64) -> Self {
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "quota-spent",
            "WHOOP's quota is used up",
            format!("no call to WHOOP is allowed now; try again in {retry_after} s"),
        );
        problem.retry_after = Some(retry_after_seconds(retry_after));
        problem
    }

    pub(crate) fn too_many_requests(retry_after: u64) -> Self {
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "Too many requests",
            format!("this member sent too many requests; try again in {retry_after} s"),
        );
        problem.retry_after = Some(retry_after_seconds(retry_after));
        problem
    }

    /// Returns the error for an export of a member while another export of the same member is
    /// running.
    pub(crate) fn export_running(retry_after: u64) -> Self {
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "export-running",
            "An export of this member is running",
            format!(
                "a member can have one export at a time; read the running one to its end or close \
                 it, or try again in {retry_after} s"
            ),
        );
        problem.retry_after = Some(retry_after_seconds(retry_after));
        problem
    }

    pub(crate) fn changes_gone(latest: i64) -> Self {
        let mut problem = Self::new(
            StatusCode::GONE,
            "changes-gone",
            "The changes are no longer stored",
            format!(
                "not all changes after this sequence number are stored: delete the local copy, \
                 read everything again (GET /api/v1/whoop/export/{{user_id}}), then request the \
                 changes since {latest}"
            ),
        );
        problem.latest = Some(latest);
        problem
    }

    pub(crate) fn conflict(name: &'static str, detail: impl Into<Box<str>>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            name,
            "The state of the member's connection does not allow this",
            detail,
        )
    }

    pub(crate) fn unavailable(name: &'static str, detail: impl Into<Box<str>>) -> Self {
        let mut problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            name,
            "Not right now",
            detail,
        );
        problem.retry_after = Some(1);
        problem
    }

    fn internal(error: &dyn std::error::Error) -> Self {
        Self::internal_without_cause().with_cause(ResponseCause::error("internal error", error))
    }

    /// Returns the error for a handler that panicked. The panic has its own log line with its
    /// message and location.
    pub(crate) fn panicked() -> Self {
        Self::internal_without_cause().with_cause(ResponseCause {
            severity: Severity::Error,
            reason: "the handler panicked",
            error: "see the log line of the panic".to_owned(),
        })
    }

    fn internal_without_cause() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "Internal error",
            "the cause is in the log of the service",
        )
    }

    /// Adds the cause, which is then written to the log line of the request.
    pub(crate) fn with_cause(mut self, cause: ResponseCause) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    pub(crate) fn cause(&self) -> Option<&ResponseCause> {
        self.cause.as_deref()
    }

    /// Returns the last part of the field `type`, such as `invalid-date`.
    pub(crate) const fn kind(&self) -> &'static str {
        self.kind
    }

    pub(crate) fn with_field(mut self, field: &'static str) -> Self {
        self.field = Some(field.into());
        self
    }
}

/// Converts a wait in seconds to the value of the header `Retry-After`.
fn retry_after_seconds(wait: u64) -> u32 {
    u32::try_from(wait).unwrap_or(u32::MAX)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.content_type("application/problem+json");
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if let Some(methods) = self.allow {
            response.insert_header((header::ALLOW, methods));
        }
        if self.status == StatusCode::UNAUTHORIZED.as_u16() {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        match serde_json::to_string(self) {
            Ok(body) => response.body(body),
            Err(_) => response.finish(),
        }
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        match &error {
            StorageError::Unavailable(source) => {
                Self::unavailable("database-unavailable", "the database cannot be reached")
                    .with_cause(ResponseCause::warning(
                        "PostgreSQL cannot be reached",
                        source.as_ref(),
                    ))
            }
            StorageError::Busy(source) => {
                tracing::warn!(
                    error = source as &dyn std::error::Error,
                    "a transaction lost a lock conflict in PostgreSQL"
                );
                Self::unavailable(
                    "database-busy",
                    "another transaction locked the data for too long; try again",
                )
            }
            StorageError::DiskFull(_) => {
                Self::unavailable("database-full", "the disk of the database is full").with_cause(
                    ResponseCause::error("the disk of PostgreSQL is full", &error),
                )
            }
            StorageError::NotMigrated(_) => Self::unavailable(
                "not-migrated",
                "the database is not ready for this version; GET /readyz gives the reason",
            )
            .with_cause(ResponseCause::error("the database is not ready", &error)),
            StorageError::NotAllowed(_) => Self::unavailable(
                "database-not-allowed",
                "the database role of this service lacks a privilege; the cause is in the log of \
                 the service",
            )
            .with_cause(ResponseCause::error(
                "the role in DATABASE_URL lacks a privilege",
                &error,
            )),
            StorageError::MemberGone(_) => {
                Self::conflict("member-gone", "the member was erased during this request")
            }
            _ => Self::internal(&error),
        }
    }
}

impl From<SyncError> for Problem {
    fn from(error: SyncError) -> Self {
        if let Some(wait) = error.quota_wait() {
            return Self::quota(wait.as_secs().max(1));
        }
        let message = error.user_message();
        match error {
            SyncError::Storage(error) => error.into(),
            SyncError::NotConnected => Self::conflict(
                "not-connected",
                "the member is not connected to WHOOP; connect with POST \
                 /api/v1/whoop/connect/{user_id}",
            ),
            SyncError::ReauthRequired => Self::conflict("reauth-required", error.to_string()),
            SyncError::ConnectWithdrawn => Self::conflict(
                "member-gone",
                "the member was erased, disconnected or connected again during this request",
            ),
            SyncError::OtherAccount => Self::conflict("other-whoop-account", error.to_string()),
            SyncError::Busy => Self::unavailable("busy", error.to_string()),
            refused if refused.is_app_rejected() => {
                let cause = ResponseCause::error("WHOOP rejects the client id or secret", &refused);
                let mut problem = Self::unavailable("service-refused", message).with_cause(cause);
                // The response has no `Retry-After`, because a retry cannot succeed until the
                // operator has resolved the cause.
                problem.retry_after = None;
                problem
            }
            SyncError::Whoop(error) => Self::unavailable("whoop-unavailable", message)
                .with_cause(ResponseCause::warning("a request to WHOOP failed", &error)),
            SyncError::RefreshFailed(_) | SyncError::RefreshPending | SyncError::TokenRejected => {
                Self::unavailable("whoop-unavailable", message).with_cause(ResponseCause::warning(
                    "the member has no valid access token",
                    &error,
                ))
            }
            other => Self::internal(&other),
        }
    }
}
