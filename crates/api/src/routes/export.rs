use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use whoop_core::UserId;
use whoop_storage::{
    StorageError,
    export::{self, ExportCursor},
};
use whoop_sync::Engine;

use crate::{
    caller,
    export::{ExportFileFormat, ExportWriter},
    export_permits::{ExportPermit, ExportPermitRefusal},
    member::PathMember,
    problem::Problem,
    state::AppState,
};

/// Maximum number of batches that wait in memory for a caller who reads slowly.
const MAX_QUEUED_CHUNKS: usize = 2;

/// Maximum time that a caller may take to read one batch before the export is ended.
const MAX_BATCH_TIME: Duration = Duration::from_secs(60);

/// Maximum duration of a whole export, after which it is ended.
const MAX_EXPORT_TIME: Duration = Duration::from_secs(10 * 60);

/// Value of `Retry-After` in the error for a member who already has a running export, in seconds.
const RETRY_SECONDS: u64 = 10;

/// Format of an export.
///
/// - `ndjson`: one JSON object per line
/// - `csv`: one table for all data types
#[derive(utoipa::ToSchema)]
#[schema(as = ExportFormat, rename_all = "snake_case")]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) enum ExportFormatSchema {
    Ndjson,
    Csv,
}

#[derive(Deserialize)]
pub(crate) struct ExportQuery {
    format: Option<String>,
}

/// All stored data of a member, as a stream.
///
/// `ndjson`: a line of type `member`, one line for each record in WHOOP's own format with its
/// `type` and `local_date`, lines of the types `sync_log`, `rejected` and `audit` (which callers
/// read, exported or changed data of the member), and a last line of type `end` with the number of
/// records. If the last line is missing, the download was interrupted.
///
/// `csv`: the same data as one table with the database's columns of all data types. Rows that are
/// not records have their content as JSON in the column `extra`.
///
/// Neither format contains tokens. A member can have one export at a time. The export ends without
/// the line `end` if the caller takes more than 60 seconds to read one batch, or more than ten
/// minutes for the whole export.
#[utoipa::path(
    get, operation_id = "exportAll", path = "/api/v1/whoop/export/{user_id}", tag = "Data",
    params(
        ("user_id" = String, Path, description = "The app's id of the member"),
        ("format" = Option<ExportFormatSchema>, Query, description = "Format of the export; `ndjson` by default"),
    ),
    responses(
        (status = 200, description = "All stored data of the member", content(
            (String = "application/x-ndjson"),
            (String = "text/csv; charset=utf-8; header=present"),
        )),
        (status = 400, description = "The format or the user id is invalid", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "The caller is not authenticated", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token belongs to another member", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The member never connected", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "An export of this member is running (`export-running`), or too many requests of this member (`too-many-requests`); see `Retry-After`", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many exports are running, or the database is unavailable", body = Problem, content_type = "application/problem+json"),
    ),
    security(("bearer" = [])),
)]
pub(crate) async fn read(
    request: HttpRequest,
    member: PathMember,
    query: web::Query<ExportQuery>,
    state: web::Data<AppState>,
) -> Result<HttpResponse, Problem> {
    let PathMember(user_id) = member;
    let (format, content_type, extension) = match query.format.as_deref() {
        None | Some("ndjson") => (ExportFileFormat::Ndjson, "application/x-ndjson", "ndjson"),
        Some("csv") => (
            ExportFileFormat::Csv,
            "text/csv; charset=utf-8; header=present",
            "csv",
        ),
        Some(_) => {
            return Err(Problem::invalid(
                "invalid-format",
                "format",
                "the format must be ndjson or csv",
            ));
        }
    };
    let permit = state
        .export_permits
        .take(&user_id)
        .map_err(|refused| match refused {
            ExportPermitRefusal::MemberHasExport => Problem::export_running(RETRY_SECONDS),
            ExportPermitRefusal::AllInUse => Problem::unavailable(
                "busy",
                "the maximum number of exports is running; try again in a moment",
            ),
        })?;
    // The first batch is read before the response begins, so that an error can be returned with its
    // own status.
    let mut writer = ExportWriter::new(format);
    let member = user_id.clone();
    let first = state
        .run_on_engine(|engine| async move {
            read_batch(&engine, &member, ExportCursor::default()).await
        })
        .await??;
    let Some((items, cursor)) = first.filter(|(items, _)| !items.is_empty()) else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "never-connected",
            "There is nothing to export",
            "this member has never connected to WHOOP",
        ));
    };
    // The audit row is written before the response begins, so that no data is sent without a row in
    // the audit trail.
    let entry = caller::audit_actor(&request)
        .entry("export", state.engine.clock().now())
        .about(user_id.as_str())
        .with_detail(extension);
    state
        .run_on_engine(|engine| async move { engine.write_audit(&[entry]).await })
        .await??;
    caller::note_audited(&request);
    let text = writer.write(items)?;
    let date = state.engine.clock().now().date_naive();
    let (sender, receiver) = mpsc::channel(MAX_QUEUED_CHUNKS);
    let export = RunningExport {
        engine: state.engine.clone(),
        user_id,
        writer,
        chunks: ChunkSender::new(sender),
        permit,
    };
    state.background.spawn(export.send_all(text, cursor));
    Ok(HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .insert_header((
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"whoop-{date}.{extension}\""),
        ))
        .streaming(response_body(receiver)))
}

async fn read_batch(
    engine: &Engine,
    user_id: &UserId,
    cursor: ExportCursor,
) -> Result<Option<(Vec<export::ExportItem>, ExportCursor)>, StorageError> {
    let mut conn = engine.database.get().await?;
    export::next(&mut conn, user_id, cursor).await
}

/// Part of the text of an export, or the end of the export. If the channel is closed without the
/// end, the export was interrupted.
enum ExportChunk {
    Text(web::Bytes),
    End,
}

/// An export in progress, which is written while the caller reads it.
struct RunningExport {
    engine: Engine,
    user_id: UserId,
    writer: ExportWriter,
    chunks: ChunkSender,
    permit: ExportPermit,
}

impl RunningExport {
    async fn send_all(mut self, first: Vec<u8>, mut cursor: ExportCursor) {
        let mut text = first;
        loop {
            if let Err(undelivered) = self.chunks.send(ExportChunk::Text(text.into())).await {
                tracing::info!(member = %self.user_id, reason = %undelivered, "export ended early");
                return;
            }
            let next = read_batch(&self.engine, &self.user_id, cursor).await;
            let written = next.and_then(|next| match next {
                Some((items, cursor)) => Ok(Some((self.writer.write(items)?, cursor))),
                None => Ok(None),
            });
            match written {
                Ok(Some((next_text, next_cursor))) => (text, cursor) = (next_text, next_cursor),
                Ok(None) => break,
                Err(error) => {
                    // The status of the response was already sent. Only an interrupted body can
                    // report the error.
                    tracing::error!(
                        member = %self.user_id,
                        error = &error as &dyn std::error::Error,
                        "export failed"
                    );
                    return;
                }
            }
        }
        let Self {
            writer,
            chunks,
            permit,
            ..
        } = self;
        if chunks
            .send(ExportChunk::Text(writer.end_line().into()))
            .await
            .is_ok()
        {
            // The permit is given back before the caller receives the end, because the caller may
            // start the next export immediately.
            drop(permit);
            // Sending the end fails only if the caller has disconnected or reads too slowly.
            // Nothing remains to be done in this case.
            let _ = chunks.send(ExportChunk::End).await;
        }
    }
}

/// Sends the parts of an export to the caller. The caller must take each part within
/// [`MAX_BATCH_TIME`], and all parts within [`MAX_EXPORT_TIME`].
struct ChunkSender {
    sender: mpsc::Sender<ExportChunk>,
    ends_at: Instant,
}

/// Reason for which a part of an export could not be sent to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum ChunkSendError {
    #[error("the caller closed the connection")]
    Closed,
    #[error("the caller did not read a batch within {} s", MAX_BATCH_TIME.as_secs())]
    SlowBatch,
    #[error("the export took more than {} s", MAX_EXPORT_TIME.as_secs())]
    SlowExport,
}

impl ChunkSender {
    fn new(sender: mpsc::Sender<ExportChunk>) -> Self {
        let ends_at = Instant::now() + MAX_EXPORT_TIME;
        Self { sender, ends_at }
    }

    async fn send(&self, chunk: ExportChunk) -> Result<(), ChunkSendError> {
        let now = Instant::now();
        if now >= self.ends_at {
            return Err(ChunkSendError::SlowExport);
        }
        let until = self.ends_at.min(now + MAX_BATCH_TIME);
        match timeout_at(until, self.sender.send(chunk)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(ChunkSendError::Closed),
            Err(_) if until == self.ends_at => Err(ChunkSendError::SlowExport),
            Err(_) => Err(ChunkSendError::SlowBatch),
        }
    }
}

fn response_body(
    receiver: mpsc::Receiver<ExportChunk>,
) -> impl Stream<Item = Result<web::Bytes, std::io::Error>> + 'static {
    stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(ExportChunk::Text(text)) => Some((Ok(text), Some(receiver))),
            Some(ExportChunk::End) => None,
            None => {
                let error = std::io::Error::other("the export failed");
                Some((Err(error), None))
            }
        }
    })
    .filter(|part| {
        // An empty chunk would end the body of the response.
        let is_empty = part.as_ref().is_ok_and(web::Bytes::is_empty);
        std::future::ready(!is_empty)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: web::Bytes = web::Bytes::from_static(b"text");

    #[tokio::test(start_paused = true)]
    async fn an_export_to_a_caller_who_reads_nothing_ends_after_a_minute() {
        let (sender, _unread) = mpsc::channel(MAX_QUEUED_CHUNKS);
        let chunks = ChunkSender::new(sender);
        let began = Instant::now();

        for _ in 0..MAX_QUEUED_CHUNKS {
            assert_eq!(chunks.send(ExportChunk::Text(TEXT)).await, Ok(()));
        }
        let refused = chunks.send(ExportChunk::Text(TEXT)).await;

        assert_eq!(refused, Err(ChunkSendError::SlowBatch));
        assert_eq!(began.elapsed(), MAX_BATCH_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn an_export_that_is_read_slowly_ends_after_ten_minutes() {
        let (sender, mut receiver) = mpsc::channel(MAX_QUEUED_CHUNKS);
        let chunks = ChunkSender::new(sender);
        let began = Instant::now();
        let reader = tokio::spawn(async move {
            while receiver.recv().await.is_some() {
                tokio::time::sleep(MAX_BATCH_TIME - Duration::from_secs(5)).await;
            }
        });

        let error = loop {
            if let Err(error) = chunks.send(ExportChunk::Text(TEXT)).await {
                break error;
            }
        };

        assert_eq!(error, ChunkSendError::SlowExport);
        assert_eq!(began.elapsed(), MAX_EXPORT_TIME);
        drop(chunks);
        reader.await.unwrap();
    }

    #[tokio::test]
    async fn a_caller_who_closes_the_connection_ends_the_export_at_once() {
        let (sender, receiver) = mpsc::channel(MAX_QUEUED_CHUNKS);
        let chunks = ChunkSender::new(sender);
        drop(receiver);

        let refused = chunks.send(ExportChunk::Text(TEXT)).await;

        assert_eq!(refused, Err(ChunkSendError::Closed));
    }
}
