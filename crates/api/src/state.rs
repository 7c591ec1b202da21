use std::{future::Future, sync::Arc};

use tokio::sync::Notify;
use whoop_sync::{Engine, SyncError};

use crate::{
    allowance::Allowance, audit::AuditQueue, auth::Authenticator, background::Background,
    caller::KeyUses, capacity::Capacity, events::Hub, export_permits::ExportPermits,
    metrics::Metrics, one_per_member::OnePerMember, pages::Pages, problem::Problem,
    return_to::ReturnUrls,
};

/// What every route needs, made once a process.
#[derive(Debug)]
pub(crate) struct AppState {
    pub(crate) engine: Engine,
    pub(crate) auth: Authenticator,
    pub(crate) return_urls: ReturnUrls,
    pub(crate) background: Background,
    pub(crate) metrics: Metrics,
    pub(crate) exports: ExportPermits,
    /// Members with a background sync that is queued or running.
    pub(crate) background_syncs: OnePerMember,
    /// Wakes whoever works off webhooks.
    pub(crate) inbox: Arc<Notify>,
    pub(crate) allowance: Allowance,
    pub(crate) audit: AuditQueue,
    pub(crate) key_uses: KeyUses,
    /// Open event streams.
    pub(crate) hub: Arc<Hub>,
    pub(crate) pages: Pages,
    pub(crate) capacity: Capacity,
    /// Whether a connect counts only after the app has confirmed it.
    pub(crate) confirms_connects: bool,
}

impl AppState {
    /// Works with the engine, to the end even where the caller hangs up.
    ///
    /// The only way to it: a pooled connection lives on the runtime that opened
    /// it, and the workers' runtimes end before the work does.
    pub(crate) async fn run<T, F>(&self, work: impl FnOnce(Engine) -> F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let work = self.background.spawn(work(self.engine.clone()));
        Ok(work.await.map_err(SyncError::from)?)
    }
}
