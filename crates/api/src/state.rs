use std::{future::Future, sync::Arc};

use tokio::sync::Notify;
use whoop_sync::{Engine, SyncError};

use crate::{
    audit::AuditQueue, auth::Authenticator, background::BackgroundTasks, caller::KeyUses,
    capacity::ConnectionCapacity, events::EventHub, export_permits::ExportPermits,
    metrics::ApiMetrics, one_per_member::OnePerMember, pages::WebPages, problem::Problem,
    request_limiter::RequestRateLimiter, return_to::ReturnUrls,
};

/// State that all routes share. It is created once per process.
#[derive(Debug)]
pub(crate) struct AppState {
    pub(crate) engine: Engine,
    pub(crate) auth: Authenticator,
    pub(crate) return_urls: ReturnUrls,
    pub(crate) background: BackgroundTasks,
    pub(crate) metrics: ApiMetrics,
    pub(crate) export_permits: ExportPermits,
    /// Members who have a background sync that is queued or running.
    pub(crate) background_syncs: OnePerMember,
    /// Wakes the background task that processes webhook events.
    pub(crate) webhook_arrived: Arc<Notify>,
    pub(crate) request_limiter: RequestRateLimiter,
    pub(crate) audit: AuditQueue,
    pub(crate) key_uses: KeyUses,
    /// The open event streams of this process.
    pub(crate) event_hub: Arc<EventHub>,
    pub(crate) pages: WebPages,
    pub(crate) capacity: ConnectionCapacity,
    /// Whether a member is connected only after the app has confirmed this (`CONNECT_CONFIRM`).
    pub(crate) confirms_connects: bool,
}

impl AppState {
    /// Runs `work` with the engine as a background task, and returns its result. The work runs to
    /// its end even if the caller disconnects.
    ///
    /// Work that uses the engine's database connections must run here: a pooled connection belongs
    /// to the runtime that opened it, and the runtimes of the server's workers may end before the
    /// work.
    pub(crate) async fn run_on_engine<T, F>(
        &self,
        work: impl FnOnce(Engine) -> F,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let work = self.background.spawn(work(self.engine.clone()));
        Ok(work.await.map_err(SyncError::from)?)
    }
}
