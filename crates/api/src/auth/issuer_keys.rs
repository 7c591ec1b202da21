//! Fetches and caches the key set of the issuer that signs the members' JWTs (`AUTH_JWKS_URL`).

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::Header;
use reqwest::{Client, redirect};
use tokio::sync::Mutex as AsyncMutex;
use url::{Host, Url};
use whoop_core::Clock;

use super::key_set::{KeyMatch, KeySet, VerificationKey};
use crate::{background::BackgroundTasks, cause::error_chain, start_error::ApiStartError};

/// Age after which the cached key set is fetched again.
const REFRESH_AFTER: TimeDelta = TimeDelta::minutes(10);

/// Maximum age of the cached key set. If it could not be fetched again for this time, its keys are
/// no longer used.
const MAX_KEY_SET_AGE: TimeDelta = TimeDelta::hours(24);

/// Minimum time between two requests to the issuer, even if many tokens name a key that the cached
/// key set does not contain.
const MIN_FETCH_INTERVAL: TimeDelta = TimeDelta::seconds(30);

/// Minimum time between two requests to the issuer as long as no key set was received yet.
const MIN_FIRST_FETCH_INTERVAL: TimeDelta = TimeDelta::seconds(1);

/// Timeout of one request to the issuer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum size of the issuer's response with the key set, in bytes.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;

/// Failure to find the key that verifies a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum KeyLookupError {
    /// The issuer's key set contains no key that can verify the token.
    NoMatchingKey,
    /// No key set was received from the issuer yet, or the cached one is older than
    /// [`MAX_KEY_SET_AGE`].
    IssuerUnavailable,
}

/// Cache of the key set of one issuer, shared by all requests.
#[derive(Debug, Clone)]
pub(super) struct IssuerKeys(Arc<IssuerKeysInner>);

struct IssuerKeysInner {
    url: Url,
    http: Client,
    clock: Arc<dyn Clock>,
    background: BackgroundTasks,
    cache: Mutex<CachedKeySet>,
    /// Lock that a task holds while it requests the key set, so that only one request to the issuer
    /// runs at a time.
    fetch_lock: AsyncMutex<()>,
}

#[derive(Default)]
struct CachedKeySet {
    keys: Option<Arc<KeySet>>,
    loaded_at: Option<DateTime<Utc>>,
    last_fetch_at: Option<DateTime<Utc>>,
}

impl fmt::Debug for IssuerKeysInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerKeysInner")
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

impl IssuerKeys {
    /// Returns an empty cache, and starts to fetch the key set in the background. The API can
    /// therefore start while the issuer is unavailable.
    pub(super) fn new(
        url: &Url,
        clock: Arc<dyn Clock>,
        background: &BackgroundTasks,
    ) -> Result<Self, ApiStartError> {
        check_key_set_url(url)?;
        let http = Client::builder()
            .timeout(TIMEOUT)
            // Redirects are not followed: a redirect could lead to a server that returns other
            // keys.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(ApiStartError::Http)?;
        let issuer = Self(Arc::new(IssuerKeysInner {
            url: url.clone(),
            http,
            clock,
            background: background.clone(),
            cache: Mutex::default(),
            fetch_lock: AsyncMutex::default(),
        }));
        issuer.refresh_in_background();
        Ok(issuer)
    }

    /// Finds the key that verifies tokens with this header, and calls `work` with the key.
    ///
    /// If the cached key set does not contain the key, the key set is fetched again first.
    pub(super) async fn with_key<T>(
        &self,
        header: &Header,
        work: impl FnOnce(&VerificationKey) -> T,
    ) -> Result<T, KeyLookupError> {
        let (mut keys, is_stale) = self.usable_keys();
        if keys.is_some() && is_stale {
            // The cached keys are used until the new ones arrive, so that callers are accepted
            // while the issuer is unavailable.
            self.refresh_in_background();
        }
        let is_unknown = keys.as_ref().is_none_or(|keys| {
            matches!(
                keys.find(header.kid.as_deref(), header.alg),
                KeyMatch::UnknownId
            )
        });
        if is_unknown {
            self.refresh().await;
            keys = self.usable_keys().0;
        }
        let keys = keys.ok_or(KeyLookupError::IssuerUnavailable)?;
        match keys.find(header.kid.as_deref(), header.alg) {
            KeyMatch::Key(key) => Ok(work(key)),
            KeyMatch::UnknownId | KeyMatch::NotUsable => Err(KeyLookupError::NoMatchingKey),
        }
    }

    /// Returns the cached keys, unless they are older than [`MAX_KEY_SET_AGE`], and whether they
    /// should be fetched again.
    fn usable_keys(&self) -> (Option<Arc<KeySet>>, bool) {
        let cache = self.lock();
        let now = self.0.clock.now();
        let is_stale = has_elapsed(cache.loaded_at, REFRESH_AFTER, now);
        // A key that the issuer withdrew must not be accepted indefinitely.
        let is_too_old = cache
            .loaded_at
            .is_none_or(|loaded_at| (now - loaded_at).abs() >= MAX_KEY_SET_AGE);
        let keys = cache.keys.clone().filter(|_| !is_too_old);
        (keys, is_stale)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, CachedKeySet> {
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refresh_in_background(&self) {
        if !self.may_fetch() {
            return;
        }
        let issuer = self.clone();
        self.0
            .background
            .spawn(async move { issuer.refresh().await });
    }

    fn may_fetch(&self) -> bool {
        let cache = self.lock();
        let min_interval = match cache.keys {
            Some(_) => MIN_FETCH_INTERVAL,
            None => MIN_FIRST_FETCH_INTERVAL,
        };
        has_elapsed(cache.last_fetch_at, min_interval, self.0.clock.now())
    }

    /// Fetches the key set. Tasks that call this at the same time share one request to the issuer.
    async fn refresh(&self) {
        let issuer = self.clone();
        // The request runs as a background task and not on a server worker. The HTTP client can
        // then reuse its connections, and the request finishes even if the caller disconnects.
        let refresh = self.0.background.spawn(async move {
            let _guard = issuer.0.fetch_lock.lock().await;
            if !issuer.may_fetch() {
                return;
            }
            issuer.lock().last_fetch_at = Some(issuer.0.clock.now());
            match issuer.fetch().await {
                Ok(keys) => {
                    if keys.len() == 0 {
                        tracing::warn!("key set of AUTH_JWKS_URL has no usable key");
                    }
                    tracing::debug!(keys = keys.len(), "key set of AUTH_JWKS_URL fetched");
                    let mut cache = issuer.lock();
                    cache.keys = Some(Arc::new(keys));
                    cache.loaded_at = Some(issuer.0.clock.now());
                }
                Err(reason) => tracing::warn!(reason, "key set of AUTH_JWKS_URL not fetched"),
            }
        });
        // The result is ignored: waiting fails only if the task was aborted, which happens when the
        // process ends.
        let _ = refresh.await;
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        // The URL is removed from the error, because its query may contain an API key.
        let describe = |error: reqwest::Error| error_chain(&error.without_url());
        let request = self.0.http.get(self.0.url.clone());
        let mut response = request.send().await.map_err(describe)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(format!("the issuer returned status {}", response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(describe)? {
            if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
                return Err(format!(
                    "the response is larger than {MAX_RESPONSE_BYTES} bytes"
                ));
            }
            body.extend_from_slice(&chunk);
        }
        // A set without keys is valid: the issuer withdrew all keys.
        KeySet::parse(&body).map_err(|_| "the response is not a key set".to_owned())
    }
}

/// Returns whether `span` has passed since `since`. Returns true if `since` is `None`.
///
/// Also returns true if the clock was set back to before `since`, so that old keys are not used
/// indefinitely.
fn has_elapsed(since: Option<DateTime<Utc>>, span: TimeDelta, now: DateTime<Utc>) -> bool {
    since.is_none_or(|since| now < since || now - since >= span)
}

/// Refuses the URL of a key set if it contains credentials, or if it has no TLS and its host is not
/// this machine.
///
/// Without TLS, a third party could replace the keys on the way.
pub(super) fn check_key_set_url(url: &Url) -> Result<(), ApiStartError> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ApiStartError::KeySetUrl(
            "it contains credentials, but a key set is public",
        ));
    }
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback => Ok(()),
        _ => Err(ApiStartError::KeySetUrl("it must begin with https://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_set_address_needs_tls_or_loopback_and_no_credentials() {
        for good in [
            "https://project.supabase.co/auth/v1/.well-known/jwks.json",
            "http://127.0.0.1:9999/keys",
            "http://[::1]/keys",
            "http://localhost/keys",
        ] {
            assert!(check_key_set_url(&good.parse().unwrap()).is_ok(), "{good}");
        }
        for bad in [
            "http://issuer.example/keys",
            "http://localhost.evil.example/keys",
            "https://user:word@issuer.example/keys",
            "file:///etc/keys.json",
        ] {
            assert!(check_key_set_url(&bad.parse().unwrap()).is_err(), "{bad}");
        }
    }
}
