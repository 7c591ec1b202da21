use std::{future::Future, sync::Arc};

use tokio::sync::Notify;
use whoop_sync::{Engine, SyncError};

use crate::{
    audit::AuditQueue, auth::Authenticator, background::BackgroundTasks, caller::KeyUses,
    capacity::ConnectionCapacity, events::EventHub, export_permits::ExportPermits,
    metrics::ApiMetrics, one_per_member::OnePerMember, pages::WebPages, problem::Problem,
    request_limiter::RequestRateLimiter, return_to::ReturnUrls,
};

/// What every route needs, made once a process.
#[derive(Debug)]
pub(crate) struct AppState {
    pub(crate) engine: Engine,
    pub(crate) auth: Authenticator,
    pub(crate) return_urls: ReturnUrls,
    pub(crate) background: BackgroundTasks,
    pub(crate) metrics: ApiMetrics,
    pub(crate) export_permits: ExportPermits,
    /// Members with a background sync that is queued or running.
    pub(crate) background_syncs: OnePerMember,
    /// Wakes whoever works off webhooks.
    pub(crate) webhook_arrived: Arc<Notify>,
    pub(crate) request_limiter: RequestRateLimiter,
    pub(crate) audit: AuditQueue,
    pub(crate) key_uses: KeyUses,
    /// Open event streams.
    pub(crate) event_hub: Arc<EventHub>,
    pub(crate) pages: WebPages,
    pub(crate) capacity: ConnectionCapacity,
    /// Whether a connect counts only after the app has confirmed it.
    pub(crate) confirms_connects: bool,
}

impl AppState {
    /// Works with the engine, to the end even where the caller hangs up.
    ///
    /// The only way to it: a pooled connection lives on the runtime that opened
    /// it, and the workers' runtimes end before the work does.
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
