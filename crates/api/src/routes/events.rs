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

/// One event of the stream.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) struct ServerSentEvent {
    /// `day`, `connection` or `reset`.
    event: Option<String>,
    /// The number of the member's latest change.
    id: Option<String>,
    /// JSON, by the kind of event.
    data: String,
}

/// What happens to a member's days, as it happens: server-sent events.
///
/// `day` with `{"date", "seq"}` when anything of a day changed, within a second of
/// the change; read the day, or the changes. `connection` with `{"connection"}` at
/// the beginning and when it changed. `reset` with `{"latest"}` where the number
/// to resume from is too old: read everything anew. Each has the number of the
/// latest change as its id, and a browser that lost the stream resumes by it.
/// A comment every 15 s shows that the stream is alive; it ends when the token or the service key
/// does that it was opened with. A member has eight of them; one more ends the
/// oldest.
#[utoipa::path(
    get, operation_id = "followEvents", path = "/api/v1/whoop/events/{user_id}", tag = "Data",
    params(
        ("user_id" = String, Path, description = "The app's id of the member"),
        ("Last-Event-ID" = Option<i64>, Header, minimum = 0, description = "The id of the last event that was read; what came after it is told first"),
        ("since" = Option<i64>, Query, minimum = 0, description = "The same, for clients that cannot set the header"),
    ),
    responses(
        (status = 200, description = "Events, without an end", body = ServerSentEvent, content_type = "text/event-stream"),
        (status = 400, description = "A parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not known", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token is another member's", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database is away, or too many streams are open", body = Problem, content_type = "application/problem+json"),
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
    let sent = request.headers().get("Last-Event-ID");
    let sent = sent.map(|value| value.to_str().unwrap_or("?").to_owned());
    let number = |field, text: Option<&str>| {
        text.map(|text| parameters::parse_number(field, Some(text), 0, 0..=i64::MAX))
            .transpose()
    };
    let since = number("since", query.since.as_deref())?;
    let last_event_id = number("Last-Event-ID", sent.as_deref())?.or(since);
    let hub = Arc::clone(&state.event_hub);
    let subscription = hub.subscribe(&user_id).map_err(|TooManyStreams| {
        Problem::unavailable(
            "busy",
            "this server has as many event streams open as it carries",
        )
    })?;
    // What is wrong is told as such, before a stream begins that says nothing.
    let name = user_id.to_string();
    state
        .run_on_engine(|engine| async move {
            let mut conn = engine.database.get().await?;
            change::list_feed_states(&mut conn, &[name]).await
        })
        .await??;
    let opening = EventStreamRequest {
        user_id,
        subscription,
        last_event_id,
        remaining_lifetime,
        key: key_holder.and_then(|holder| holder.digest),
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // nginx would hold the events back to send them together.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(open_stream(state.clone(), opening)))
}
