use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use whoop_client::Pace;

use crate::SyncError;

/// On whose behalf calls are made: how patient, how many, until when.
#[derive(Debug, Clone)]
pub struct Job {
    pub pace: Pace,
    /// How long a refresh is tried again while WHOOP is out of order.
    pub refresh_patience: Duration,
    /// How long to wait for somebody else's sync of the same member.
    pub lease_patience: Duration,
    /// Asks for an end after the page in hand.
    pub stop: CancellationToken,
    max_calls: Option<u64>,
    calls: Arc<AtomicU64>,
}

impl Job {
    /// A member waits in the app.
    pub fn interactive() -> Self {
        Self {
            pace: Pace::interactive(),
            refresh_patience: Duration::from_secs(3),
            lease_patience: Duration::from_secs(10),
            stop: CancellationToken::new(),
            max_calls: None,
            calls: Arc::default(),
        }
    }

    /// Nobody waits; a WHOOP outage of half an hour may pass.
    pub fn scheduled(max_calls: Option<u64>, stop: CancellationToken) -> Self {
        Self {
            pace: Pace::scheduled(),
            refresh_patience: Duration::from_secs(30 * 60),
            lease_patience: Duration::from_secs(60),
            stop,
            max_calls,
            calls: Arc::default(),
        }
    }

    /// Calls made so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Takes leave for one call to WHOOP.
    pub(crate) fn spend(&self) -> Result<(), SyncError> {
        if self.stop.is_cancelled() {
            return Err(SyncError::Stopped);
        }
        let Some(max) = self.max_calls else {
            self.calls.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        };
        self.calls
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |made| {
                (made < max).then_some(made + 1)
            })
            .map(|_| ())
            .map_err(|_| SyncError::CallsSpent)
    }

    /// Replaces the one call that was taken leave for by those really sent:
    /// none where a gate was closed, several where WHOOP had to be asked again.
    pub(crate) fn correct(&self, sent: u64) {
        match sent.checked_sub(1) {
            Some(more) => self.calls.fetch_add(more, Ordering::Relaxed),
            None => self.calls.fetch_sub(1, Ordering::Relaxed),
        };
    }
}
