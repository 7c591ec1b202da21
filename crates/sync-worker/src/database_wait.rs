//! A run whose hour comes while PostgreSQL is restarted is done all the same, a little later.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use backon::{ExponentialBuilder, Retryable};
use tokio_util::sync::CancellationToken;
use whoop_storage::StorageError;

use crate::{ExitStatus, exit::CommandError};

/// Asks until PostgreSQL answers, or says something that waiting does not change.
///
/// # Errors
///
/// Its last answer once `patience` is used up; that it was told to `stop` meanwhile.
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
        // A try takes its time as well, where nobody answers at all.
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
