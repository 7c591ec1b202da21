use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderMap},
    },
    web,
};
use whoop_sync::{
    SIGNATURE_HEADER, TIMESTAMP_HEADER, WebhookEnvelope, WebhookError, inbox::WebhookReceiveError,
};

use crate::{body, cause::ResponseCause, problem::Problem, state::AppState};

/// Event that WHOOP sends after a record has changed. Additional fields are accepted and ignored.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) struct WhoopEvent {
    /// WHOOP's id of the member.
    user_id: i64,
    /// Id of the record. The event of a recovery contains the id of its sleep.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]+$"
    )]
    id: String,
    /// Type of the event, such as `sleep.updated`.
    #[schema(
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]+$",
        example = "sleep.updated"
    )]
    r#type: String,
    /// WHOOP's id of the event. It is the same if WHOOP sends the event again.
    trace_id: Option<String>,
}

/// Receives an event from WHOOP after a record was created, updated or deleted.
///
/// The response is sent after the event was stored; the event is processed later. Apps cannot use
/// this route: only WHOOP can sign an event, with the client secret of the WHOOP app.
#[utoipa::path(
    post, operation_id = "receiveWebhook", path = "/webhooks/whoop", tag = "WHOOP",
    params(
        ("X-WHOOP-Signature" = String, Header, description = "Signature: the HMAC-SHA256 of the timestamp's text followed by the raw body, in Base64. The key is the client secret"),
        ("X-WHOOP-Signature-Timestamp" = String, Header, description = "Time of the signature in milliseconds since 1970"),
    ),
    request_body(content = WhoopEvent, description = "The event"),
    responses(
        (status = 204, description = "The event is stored, or was stored before"),
        (status = 400, description = "The signature is valid, but the event is not", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The signature is invalid, or the timestamp is too old or too far in the future", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The body has more than 16 KB", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The body is not JSON, or is encoded", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The event could not be stored; WHOOP has to send it again", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn take(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    require_json(request.headers())?;
    let mut payload = payload.into_inner();
    let body = body::read_body(&mut payload).await?;
    let header = |name| {
        let mut values = request.headers().get_all(name);
        // A header that occurs twice is treated as missing, because it is not clear which of its
        // values WHOOP has sent.
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok().map(str::to_owned),
            _ => None,
        }
    };
    let (signature, timestamp) = (header(SIGNATURE_HEADER), header(TIMESTAMP_HEADER));
    let received = state
        .run_on_engine(|engine| async move {
            let envelope = WebhookEnvelope {
                signature: signature.as_deref(),
                timestamp: timestamp.as_deref(),
                body: &body,
            };
            engine.inbox.receive_webhook(envelope).await
        })
        .await?;
    match received {
        Ok(is_new) => {
            if is_new {
                state.webhook_arrived.notify_one();
            }
            Ok(HttpResponse::NoContent().finish())
        }
        Err(WebhookReceiveError::Storage(error)) => Err(error.into()),
        Err(WebhookReceiveError::Refused(refused)) => Err(refusal_problem(&refused)),
    }
}

fn refusal_problem(refused: &WebhookError) -> Problem {
    let problem = if refused.is_signature_error() {
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "bad-signature",
            "The webhook has no valid signature",
            refused.to_string(),
        )
    } else {
        Problem::invalid("invalid-event", "body", refused.to_string())
    };
    problem.with_cause(ResponseCause::warning("webhook refused", refused))
}

/// Refuses a request with a content type other than JSON. A request without a content type is
/// accepted.
fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = value
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "not-json",
        "The body is not JSON",
        "the content type of a webhook must be application/json",
    )
    .with_field("body"))
}
