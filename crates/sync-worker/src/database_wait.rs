//! Retries the first database connection of a run, so that a run that begins while PostgreSQL
//! restarts is only delayed.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use backon::{ExponentialBuilder, Retryable};
use tokio_util::sync::CancellationToken;
use whoop_storage::StorageError;

use crate::{ExitStatus, exit::CommandError};

/// Repeats `ask` until PostgreSQL answers, or fails in a way that waiting does not change.
///
/// # Errors
///
/// The last error once `patience` has passed, or an error that reports the stop if `stop` is
/// cancelled meanwhile.
pub(crate) async fn wait_for_database<T, F>(
    patience: Duration,
    stop: &CancellationToken,
    ask: impl Fn() -> F,
    refused: impl Fn(&StorageError) -> CommandError,
) -> Result<T, CommandError>
where
    F: Future<Output = Result<T, StorageError>>,
{
    let began = Instant::now();
    let pauses = ExponentialBuilder::new()
        .with_min_delay(Duration::from_secs(1))
        .with_max_delay(Duration::from_secs(15))
        .without_max_times();
    let asking = ask
        .retry(pauses)
        // Measured by the clock, because an attempt takes long itself if the server does not
        // respond.
        .when(|error| error.is_transient() && !error.is_auth_error() && began.elapsed() < patience)
        .notify(|error, pause| {
            let reason = error as &dyn std::error::Error;
            tracing::warn!(error = reason, ?pause, "waiting for the database");
        });
    tokio::select! {
        answer = asking => answer.map_err(|error| refused(&error)),
        () = stop.cancelled() => Err(CommandError {
            exit: ExitStatus::Deferred,
            message: "told to stop before the database had answered".to_owned(),
        }),
    }
}
