use whoop_sync::Engine;

use crate::{auth::Authenticator, return_to::ReturnUrls};

/// What every route needs, made once a process.
#[derive(Debug)]
pub(crate) struct AppState {
    pub(crate) engine: Engine,
    pub(crate) auth: Authenticator,
    pub(crate) return_urls: ReturnUrls,
}
