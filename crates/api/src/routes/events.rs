use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde::Deserialize;
use whoop_storage::table::change;

use crate::{
    events::{EventStreamRequest, TooManyStreams, open_stream},
    member::PathMemberWithExpiry,
    parameters,
    problem::Problem,
    state::AppState,
};

#[derive(Debug, Deserialize)]
pub(crate) struct EventsQuery {
    since: Option<String>,
}

/// One event of an event stream.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) struct ServerSentEvent {
    /// Kind of the event: `day`, `connection` or `reset`.
    #[schema(nullable = false, example = "day")]
    event: Option<String>,
    /// Sequence number of the latest change that the caller has received. After a lost connection,
    /// the stream can be resumed from this number.
    #[schema(nullable = false, example = "1207")]
    id: Option<String>,
    /// JSON object; its fields depend on the kind of the event.
    data: String,
}

/// Changes to a member's days as they happen, as server-sent events.
///
/// Event `day` with `{"date", "seq"}`: data of the day changed. It is sent within one second of the
/// change; the app then reads the day or the changes. Event `connection` with `{"connection"}`: the
/// status of the connection. It is sent at the beginning of the stream, and when the status
/// changes. Event `reset` with `{"latest"}`: the number to resume from is too old, and the app has
/// to read everything again.
///
/// The id of each event is a sequence number, from which a browser resumes after it has lost the
/// stream. A comment every 15 seconds shows that the stream is alive. The stream ends when the
/// token or the service key that opened it is no longer valid. A member can have eight open
/// streams; a ninth one ends the oldest.
#[utoipa::path(
    get, operation_id = "followEvents", path = "/api/v1/whoop/events/{user_id}", tag = "Data",
    params(
        ("user_id" = String, Path, description = "The app's id of the member"),
        ("Last-Event-ID" = Option<i64>, Header, minimum = 0, description = "Id of the last event that the caller received; later changes are sent first"),
        ("since" = Option<i64>, Query, minimum = 0, description = "The same number, for clients that cannot set the header"),
    ),
    responses(
        (status = 200, description = "The events as they occur", body = ServerSentEvent, content_type = "text/event-stream"),
        (status = 400, description = "A parameter is invalid; `field` names it", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not authenticated", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token belongs to another member", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is unavailable, or too many streams are open", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn read(
    request: HttpRequest,
    member: PathMemberWithExpiry,
    query: web::Query<EventsQuery>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let PathMemberWithExpiry {
        user_id,
        remaining_lifetime,
        key_holder,
    } = member;
    let resume_header = request.headers().get("Last-Event-ID");
    let resume_header = resume_header.map(|value| value.to_str().unwrap_or("?").to_owned());
    let number = |field, text: Option<&str>| {
        text.map(|text| parameters::parse_number(field, Some(text), 0, 0..=i64::MAX))
            .transpose()
    };
    let since = number("since", query.since.as_deref())?;
    let last_event_id = number("Last-Event-ID", resume_header.as_deref())?.or(since);
    let hub = Arc::clone(&state.event_hub);
    let subscription = hub.subscribe(&user_id).map_err(|TooManyStreams| {
        Problem::unavailable(
            "busy",
            "this server has the maximum number of event streams open; try again later",
        )
    })?;
    // The member's state is read before the response begins, so that an error can be returned with
    // its own status. An open stream could not report it.
    let name = user_id.to_string();
    state
        .run_on_engine(|engine| async move {
            let mut conn = engine.database.get().await?;
            change::list_feed_states(&mut conn, &[name]).await
        })
        .await??;
    let stream_request = EventStreamRequest {
        user_id,
        subscription,
        last_event_id,
        remaining_lifetime,
        key: key_holder.and_then(|holder| holder.digest),
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // Without this header, nginx would buffer the events and send several of them together.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(open_stream(state.clone(), stream_request)))
}
