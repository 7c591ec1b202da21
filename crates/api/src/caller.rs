//! The caller of a request: asked for once, and noted for the log, the metrics and the audit trail.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_web::{HttpMessage, HttpRequest, web};
use chrono::{DateTime, Utc};
use whoop_core::UserId;
use whoop_storage::{
    service_key::KeyDigest,
    table::{
        audit::Actor,
        service_key::{self, KeyRow, KeyState, USE_RECORDED_EVERY},
    },
};

use crate::{
    auth::{Caller, Claim, KeyHolder},
    problem::Problem,
    reads::Reads,
    request_id::RequestId,
    state::AppState,
};

/// The identified caller of a request, for the log, the metrics and the audit trail.
#[derive(Debug, Clone)]
pub(crate) struct Called {
    /// Name of the service key; `None` for a member.
    pub(crate) key: Option<String>,
    /// The key, if it is good.
    holder: Option<Arc<KeyHolder>>,
    /// The member whom the path names, once the caller may act for them.
    pub(crate) user_id: Option<UserId>,
    /// Reason for refusing a known key, as a label of the metrics.
    pub(crate) outcome: Option<&'static str>,
    /// Whether the route has written the audit trail itself.
    pub(crate) is_audited: bool,
}

impl Called {
    fn new(key: Option<&str>) -> Self {
        Self {
            key: key.map(str::to_owned),
            holder: None,
            user_id: None,
            outcome: None,
            is_audited: false,
        }
    }

    fn by(holder: Arc<KeyHolder>) -> Self {
        let called = Self::new(Some(&holder.name));
        Self {
            holder: Some(holder),
            ..called
        }
    }

    /// `member`, or `key:NAME`.
    fn name(&self) -> String {
        match &self.key {
            Some(name) => format!("key:{name}"),
            None => "member".to_owned(),
        }
    }
}

/// Returns the identified caller; `None` for a stranger.
pub(crate) fn of(request: &HttpRequest) -> Option<Called> {
    request.extensions().get::<Called>().cloned()
}

/// Notes who calls; the request's log lines name the caller from here on.
fn note(request: &HttpRequest, called: Called) {
    tracing::Span::current().record("caller", tracing::field::display(called.name()));
    request.extensions_mut().insert(called);
}

fn change(request: &HttpRequest, with: impl FnOnce(&mut Called)) {
    if let Some(called) = request.extensions_mut().get_mut::<Called>() {
        with(called);
    }
}

/// Notes the member whom the path names. The request's log lines have the member's pseudonym from
/// here on: only a process with the same `TOKEN_KEYS` can match it with an id.
pub(crate) fn note_member(request: &HttpRequest, state: &AppState, user_id: &UserId) {
    let pseudonym = state.engine.log_pseudonym(user_id.as_str());
    tracing::Span::current().record("member", tracing::field::display(pseudonym));
    change(request, |called| called.user_id = Some(user_id.clone()));
}

/// Notes why a known key was refused.
pub(crate) fn note_outcome(request: &HttpRequest, outcome: &'static str) {
    change(request, |called| called.outcome = Some(outcome));
}

/// Notes that the route has written the audit trail itself.
pub(crate) fn note_audited(request: &HttpRequest) {
    change(request, |called| called.is_audited = true);
}

/// The holder of the service key of a request; `None` for a member.
pub(crate) fn holder(request: &HttpRequest) -> Option<Arc<KeyHolder>> {
    request.extensions().get::<Called>()?.holder.clone()
}

/// The caller of a request as the audit trail names them.
pub(crate) fn actor(request: &HttpRequest) -> Actor {
    let extensions = request.extensions();
    let key = extensions
        .get::<Called>()
        .and_then(|one| one.key.as_deref());
    let actor = key.map_or_else(Actor::member, Actor::key);
    let id = extensions.get::<RequestId>().map(RequestId::as_str);
    actor.in_request(id.unwrap_or_default())
}

/// Identifies the sender of a request. A service key is looked up in the database each time, so that a new one and
/// a revoked one take effect at once, in every process.
pub(crate) async fn identify(request: &HttpRequest) -> Result<Caller, Problem> {
    let state = request
        .app_data::<web::Data<AppState>>()
        .ok_or_else(Problem::not_found)?;
    let caller = match state.auth.claim(request.headers()).await? {
        Claim::Known(caller) => caller,
        Claim::Key(digest) => {
            let reads = request.app_data::<web::Data<Reads>>();
            let Some(row) = find(state, reads.map(web::Data::get_ref), digest).await? else {
                return Err(Problem::unknown_key());
            };
            return good(request, state, digest, &row);
        }
    };
    note(
        request,
        match &caller {
            Caller::Service(holder) => Called::by(Arc::clone(holder)),
            Caller::Member(..) => Called::new(None),
        },
    );
    Ok(caller)
}

/// Finds a key on this worker's own connection to the primary, or through the engine.
async fn find(
    state: &AppState,
    reads: Option<&Reads>,
    digest: KeyDigest,
) -> Result<Option<KeyRow>, Problem> {
    if let Some(reads) = reads
        && let Some(mut conn) = reads.primary().await
    {
        match service_key::find(&mut conn, digest).await {
            Ok(found) => return Ok(found),
            Err(error) => Reads::tell(&error),
        }
    }
    let found = state
        .run(|engine| async move {
            let mut conn = engine.database.get().await?;
            service_key::find(&mut conn, digest).await
        })
        .await??;
    Ok(found)
}

fn good(
    request: &HttpRequest,
    state: &AppState,
    digest: KeyDigest,
    row: &KeyRow,
) -> Result<Caller, Problem> {
    note(request, Called::new(Some(&row.name)));
    let now = state.engine.clock().now();
    match row.state(now) {
        KeyState::Active => {}
        refused => {
            note_outcome(request, refused.as_str());
            return Err(Problem::ended_key(refused, &row.name));
        }
    }
    state.key_uses.record(state, digest, row, now);
    let left = |at: DateTime<Utc>| (at - now).to_std().unwrap_or(Duration::ZERO);
    let holder = Arc::new(KeyHolder {
        name: row.name.clone(),
        scopes: row.scopes(),
        good_for: row.expires_at.map(left),
        digest: Some(digest),
    });
    change(request, |called| called.holder = Some(Arc::clone(&holder)));
    Ok(Caller::Service(holder))
}

/// Whether a key that opened a stream is still valid. `true` if the database cannot be asked.
pub(crate) async fn is_still_good(state: &AppState, digest: KeyDigest) -> bool {
    match find(state, None, digest).await {
        Ok(Some(row)) => row.state(state.engine.clock().now()) == KeyState::Active,
        Ok(None) => false,
        Err(_) => true,
    }
}

/// Time of the last recorded use of each key, by this process.
#[derive(Default)]
pub(crate) struct KeyUses(Mutex<HashMap<KeyDigest, DateTime<Utc>>>);

impl fmt::Debug for KeyUses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyUses").finish_non_exhaustive()
    }
}

impl KeyUses {
    /// Records a use, at most once a minute and beside the answer.
    fn record(&self, state: &AppState, digest: KeyDigest, row: &KeyRow, now: DateTime<Utc>) {
        if !row.use_is_due(now) || !self.is_due(digest, now) {
            return;
        }
        let engine = state.engine.clone();
        state.background.spawn(async move {
            let noted = async {
                let mut conn = engine.database.get().await?;
                service_key::note_use(&mut conn, digest, now).await
            };
            if let Err(error) = noted.await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "use of a service key not recorded"
                );
            }
        });
    }

    /// Whether this process has not recorded this key within the last minute. Only keys that are
    /// stored come here, so the map stays small.
    fn is_due(&self, digest: KeyDigest, now: DateTime<Utc>) -> bool {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = sent
            .get(&digest)
            .is_none_or(|at| now - *at >= USE_RECORDED_EVERY);
        if is_due {
            sent.insert(digest, now);
        }
        is_due
    }
}
