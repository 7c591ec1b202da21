//! The caller of a request. It is identified once, and is then stored in the request for the log,
//! the metrics and the audit trail.

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
    access_problem,
    auth::{ClaimedCaller, KeyHolder, VerifiedCaller},
    problem::Problem,
    reads::ReadPool,
    request_id::RequestId,
    state::AppState,
};

/// The caller that was identified for a request, with everything that the log, the metrics and the
/// audit trail need.
#[derive(Debug, Clone)]
pub(crate) struct RequestCaller {
    /// Name of the service key; `None` for a member.
    pub(crate) key_name: Option<String>,
    /// Holder of the service key, if the key is valid.
    holder: Option<Arc<KeyHolder>>,
    /// The member in the path. `None` until the caller's access to this member was checked.
    pub(crate) user_id: Option<UserId>,
    /// Reason for which a known service key was refused, as a label of the metrics; `None` if it
    /// was not refused.
    pub(crate) outcome: Option<&'static str>,
    /// Whether the route has written its own row to the audit trail.
    pub(crate) is_audited: bool,
}

impl RequestCaller {
    fn new(key: Option<&str>) -> Self {
        Self {
            key_name: key.map(str::to_owned),
            holder: None,
            user_id: None,
            outcome: None,
            is_audited: false,
        }
    }

    fn with_key_holder(holder: Arc<KeyHolder>) -> Self {
        let caller = Self::new(Some(&holder.name));
        Self {
            holder: Some(holder),
            ..caller
        }
    }

    /// Returns the name of the caller for the log: `member` or `key:NAME`.
    fn log_name(&self) -> String {
        match &self.key_name {
            Some(name) => format!("key:{name}"),
            None => "member".to_owned(),
        }
    }
}

/// Returns the caller that is stored in a request, or `None` if the caller could not be identified.
pub(crate) fn request_caller(request: &HttpRequest) -> Option<RequestCaller> {
    request.extensions().get::<RequestCaller>().cloned()
}

/// Stores the caller in the request. All later log lines of the request name the caller.
fn set_caller(request: &HttpRequest, caller: RequestCaller) {
    tracing::Span::current().record("caller", tracing::field::display(caller.log_name()));
    request.extensions_mut().insert(caller);
}

fn update_caller(request: &HttpRequest, update: impl FnOnce(&mut RequestCaller)) {
    if let Some(caller) = request.extensions_mut().get_mut::<RequestCaller>() {
        update(caller);
    }
}

/// Stores the member in the path as the member that the request concerns.
///
/// All later log lines of the request contain the member's pseudonym. Only a process with the same
/// `TOKEN_KEYS` can find out the user id that belongs to a pseudonym.
pub(crate) fn note_member(request: &HttpRequest, state: &AppState, user_id: &UserId) {
    let pseudonym = state.engine.log_pseudonym(user_id.as_str());
    tracing::Span::current().record("member", tracing::field::display(pseudonym));
    update_caller(request, |caller| caller.user_id = Some(user_id.clone()));
}

/// Stores the reason for which a known service key was refused.
pub(crate) fn note_outcome(request: &HttpRequest, outcome: &'static str) {
    update_caller(request, |caller| caller.outcome = Some(outcome));
}

/// Records that the route has written its own row to the audit trail.
pub(crate) fn note_audited(request: &HttpRequest) {
    update_caller(request, |caller| caller.is_audited = true);
}

/// Returns the holder of the service key that the request was sent with, or `None` if the caller is
/// a member.
pub(crate) fn key_holder(request: &HttpRequest) -> Option<Arc<KeyHolder>> {
    request.extensions().get::<RequestCaller>()?.holder.clone()
}

/// Returns the caller and the id of a request in the form that the audit trail stores.
pub(crate) fn audit_actor(request: &HttpRequest) -> Actor {
    let extensions = request.extensions();
    let key = extensions
        .get::<RequestCaller>()
        .and_then(|caller| caller.key_name.as_deref());
    let actor = key.map_or_else(Actor::member, Actor::key);
    let id = extensions.get::<RequestId>().map(RequestId::as_str);
    actor.in_request(id.unwrap_or_default())
}

/// Identifies the caller of a request, and stores the caller in the request.
///
/// A service key is looked up in the database for each request, so that new and revoked keys take
/// effect immediately in every process.
pub(crate) async fn identify(request: &HttpRequest) -> Result<VerifiedCaller, Problem> {
    let state = request
        .app_data::<web::Data<AppState>>()
        .ok_or_else(Problem::not_found)?;
    let caller = match state.auth.identify_by_headers(request.headers()).await? {
        ClaimedCaller::Verified(caller) => caller,
        ClaimedCaller::UnverifiedKey(digest) => {
            let reads = request.app_data::<web::Data<ReadPool>>();
            let Some(row) = find_key(state, reads.map(web::Data::get_ref), digest).await? else {
                return Err(access_problem::unknown_key());
            };
            return accept_key(request, state, digest, &row);
        }
    };
    set_caller(
        request,
        match &caller {
            VerifiedCaller::Service(holder) => RequestCaller::with_key_holder(Arc::clone(holder)),
            VerifiedCaller::Member(..) => RequestCaller::new(None),
        },
    );
    Ok(caller)
}

/// Looks up a service key in the database by its digest.
///
/// Uses this worker's own connection to the primary, or the engine if the worker has no such
/// connection or the query fails.
async fn find_key(
    state: &AppState,
    reads: Option<&ReadPool>,
    digest: KeyDigest,
) -> Result<Option<KeyRow>, Problem> {
    if let Some(reads) = reads
        && let Some(mut conn) = reads.primary_connection().await
    {
        match service_key::find(&mut conn, digest).await {
            Ok(found) => return Ok(found),
            Err(error) => ReadPool::log_fallback(&error),
        }
    }
    let found = state
        .run_on_engine(|engine| async move {
            let mut conn = engine.database.get().await?;
            service_key::find(&mut conn, digest).await
        })
        .await??;
    Ok(found)
}

fn accept_key(
    request: &HttpRequest,
    state: &AppState,
    digest: KeyDigest,
    row: &KeyRow,
) -> Result<VerifiedCaller, Problem> {
    set_caller(request, RequestCaller::new(Some(&row.name)));
    let now = state.engine.clock().now();
    match row.state(now) {
        KeyState::Active => {}
        refused => {
            note_outcome(request, refused.as_str());
            return Err(access_problem::ended_key(refused, &row.name));
        }
    }
    state.key_uses.record(state, digest, row, now);
    let time_until = |at: DateTime<Utc>| (at - now).to_std().unwrap_or(Duration::ZERO);
    let holder = Arc::new(KeyHolder {
        name: row.name.clone(),
        scopes: row.scopes(),
        remaining_lifetime: row.expires_at.map(time_until),
        digest: Some(digest),
    });
    update_caller(request, |caller| caller.holder = Some(Arc::clone(&holder)));
    Ok(VerifiedCaller::Service(holder))
}

/// Returns whether the service key that opened an event stream is still valid. Also returns true if
/// the database is unavailable.
pub(crate) async fn is_key_active(state: &AppState, digest: KeyDigest) -> bool {
    match find_key(state, None, digest).await {
        Ok(Some(row)) => row.state(state.engine.clock().now()) == KeyState::Active,
        Ok(None) => false,
        Err(_) => true,
    }
}

/// For each service key, the time of its last use that this process has recorded in the database.
#[derive(Default)]
pub(crate) struct KeyUses(Mutex<HashMap<KeyDigest, DateTime<Utc>>>);

impl fmt::Debug for KeyUses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyUses").finish_non_exhaustive()
    }
}

impl KeyUses {
    /// Records in the database that a service key was used. This happens in the background, and at
    /// most once a minute for each key.
    fn record(&self, state: &AppState, digest: KeyDigest, row: &KeyRow, now: DateTime<Utc>) {
        if !row.use_is_due(now) || !self.is_due(digest, now) {
            return;
        }
        let engine = state.engine.clone();
        state.background.spawn(async move {
            let recorded = async {
                let mut conn = engine.database.get().await?;
                service_key::note_use(&mut conn, digest, now).await
            };
            if let Err(error) = recorded.await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "use of a service key not recorded"
                );
            }
        });
    }

    /// Returns whether this process has not recorded a use of the key within the last minute. If
    /// so, stores `now` as the time of the recorded use.
    ///
    /// The map remains small, because it contains only keys that exist in the database.
    fn is_due(&self, digest: KeyDigest, now: DateTime<Utc>) -> bool {
        let mut last_uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last_uses
            .get(&digest)
            .is_none_or(|at| now - *at >= USE_RECORDED_EVERY);
        if is_due {
            last_uses.insert(digest, now);
        }
        is_due
    }
}
