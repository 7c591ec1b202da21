//! SIGTERM and SIGINT: a request to stop first, then a forced end.

use std::{io, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::Console;

/// Time to stop, in seconds: Kubernetes, systemd and the contract give ten, of which one is
/// reserved for the exit.
const STOP_TIMEOUT: Duration = Duration::from_secs(9);

/// Cancels `stop` at the first signal. Returns when work that is still running must be aborted:
/// after nine seconds, or at the second signal.
///
/// Aborted work loses only its leases, which expire. Signals are received from the call on,
/// even before the future is polled, because the work may begin first.
pub fn cancel_on_signal(
    stop: CancellationToken,
    console: &Console,
) -> impl Future<Output = ()> + '_ {
    let signals = StopSignals::new().inspect_err(|error| {
        tracing::warn!(%error, "stop signals cannot be received; they end the process at once");
    });
    async move {
        match signals {
            Ok(signals) => cancel_and_wait(signals, stop, console).await,
            Err(_) => std::future::pending().await,
        }
    }
}

async fn cancel_and_wait(mut signals: StopSignals, stop: CancellationToken, console: &Console) {
    signals.next().await;
    stop.cancel();
    if console.is_terminal() {
        console.print_to_stderr(
            "Stopping when the current page is stored; press Ctrl-C again to stop at once.",
        );
    } else {
        tracing::info!("stop signal received; finishing the current page first");
    }
    tokio::select! {
        () = tokio::time::sleep(STOP_TIMEOUT) => {}
        () = signals.next() => {}
    }
}

#[cfg(unix)]
struct StopSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl StopSignals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct StopSignals;

#[cfg(not(unix))]
impl StopSignals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
