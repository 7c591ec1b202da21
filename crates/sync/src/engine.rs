use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use whoop_client::Whoop;
use whoop_core::{Clock, retention::Retention};
use whoop_storage::{
    Database, StorageError,
    seal::{SealError, TokenKeys},
};

use crate::refresh_turn::RefreshTurns;

/// What can be set of the engine.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How old today's data may be before a request asks WHOOP.
    pub freshness: TimeDelta,
    /// How long records are kept; `None` for ever.
    pub retention: Option<Retention>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            freshness: TimeDelta::minutes(15),
            retention: None,
        }
    }
}

/// Everything a sync needs; cheap to clone, made once a process.
#[derive(Debug, Clone)]
pub struct Engine {
    pub database: Database,
    pub whoop: Whoop,
    pub settings: Settings,
    pub(crate) keys: Arc<TokenKeys>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) refresh_turns: Arc<RefreshTurns>,
}

impl Engine {
    pub fn new(
        database: Database,
        whoop: Whoop,
        keys: TokenKeys,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        Self {
            refresh_turns: Arc::new(RefreshTurns::new(database.most_connections())),
            database,
            whoop,
            settings,
            keys: Arc::new(keys),
            clock,
        }
    }

    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }
}

/// 256 random bits that fit into a URL.
pub(crate) fn random_text() -> Result<String, StorageError> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|_| SealError::NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
