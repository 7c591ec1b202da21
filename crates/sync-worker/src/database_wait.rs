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

/// Repeats `attempt` until PostgreSQL answers, or fails in a way that waiting does not change.
///
/// # Errors
///
/// The last error once `max_wait` has passed, or an error that reports the stop if `stop` is
/// cancelled meanwhile.
pub(crate) async fn wait_for_database<T, F>(
    max_wait: Duration,
    stop: &CancellationToken,
    attempt: impl Fn() -> F,
    to_command_error: impl Fn(&StorageError) -> CommandError,
) -> Result<T, CommandError>
where
    F: Future<Output = Result<T, StorageError>>,
{
    let started = Instant::now();
    let pauses = ExponentialBuilder::new()
        .with_min_delay(Duration::from_secs(1))
        .with_max_delay(Duration::from_secs(15))
        .without_max_times();
    let attempts = attempt
        .retry(pauses)
        // Measured by the clock, because an attempt takes long itself if the server does not
        // respond.
        .when(|error| {
            error.is_transient() && !error.is_auth_error() && started.elapsed() < max_wait
        })
        .notify(|error, pause| {
            let reason = error as &dyn std::error::Error;
            tracing::warn!(error = reason, ?pause, "waiting for the database");
        });
    tokio::select! {
        answer = attempts => answer.map_err(|error| to_command_error(&error)),
        () = stop.cancelled() => Err(CommandError {
            exit: ExitStatus::Deferred,
            message: "stopped before the database answered".to_owned(),
        }),
    }
}
