//! Where the key set comes from: asked for seldom, kept for long.

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

use super::key_set::{Found, Key, KeySet};
use crate::{background::Background, start_error::StartError};

/// How long a set is used before a new one is asked for.
const FRESH_FOR: TimeDelta = TimeDelta::minutes(10);

/// Maximum age of a set that could not be refreshed; after that it is not used.
const USED_FOR: TimeDelta = TimeDelta::hours(24);

/// The shortest time between two looks, whatever callers send.
const PAUSE: TimeDelta = TimeDelta::seconds(30);

/// The same where there is no set yet.
const PAUSE_BEFORE_THE_FIRST: TimeDelta = TimeDelta::seconds(1);

const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest reply that is read, in bytes.
const LARGEST: usize = 256 * 1024;

/// Why a key cannot be had.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The issuer has none for such a token.
    Unfit,
    /// The issuer was never reached, or not for too long.
    Away,
}

/// One issuer's keys, shared by all requests.
#[derive(Debug, Clone)]
pub(super) struct Issuer(Arc<Inner>);

struct Inner {
    url: Url,
    http: Client,
    clock: Arc<dyn Clock>,
    background: Background,
    known: Mutex<Known>,
    /// Held by whoever asks the issuer.
    asking: AsyncMutex<()>,
}

#[derive(Default)]
struct Known {
    keys: Option<Arc<KeySet>>,
    loaded_at: Option<DateTime<Utc>>,
    asked_at: Option<DateTime<Utc>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("url", &self.url.as_str())
            .finish_non_exhaustive()
    }
}

impl Issuer {
    /// Reads nothing yet: the API starts also while the issuer is away.
    pub(super) fn new(
        url: &Url,
        clock: Arc<dyn Clock>,
        background: &Background,
    ) -> Result<Self, StartError> {
        check(url)?;
        let http = Client::builder()
            .timeout(TIMEOUT)
            // Whoever could redirect us could name keys of their own.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(StartError::Http)?;
        let issuer = Self(Arc::new(Inner {
            url: url.clone(),
            http,
            clock,
            background: background.clone(),
            known: Mutex::default(),
            asking: AsyncMutex::default(),
        }));
        issuer.ask_in_the_background();
        Ok(issuer)
    }

    /// Does something with the key that a token's header means.
    pub(super) async fn with_key<T>(
        &self,
        header: &Header,
        work: impl FnOnce(&Key) -> T,
    ) -> Result<T, NoKey> {
        let (mut keys, is_stale) = self.known();
        if keys.is_some() && is_stale {
            // The old ones do meanwhile: an issuer that is down locks nobody out.
            self.ask_in_the_background();
        }
        let is_unknown = keys.as_ref().is_none_or(|keys| {
            matches!(keys.find(header.kid.as_deref(), header.alg), Found::Unknown)
        });
        if is_unknown {
            self.ask().await;
            keys = self.known().0;
        }
        let keys = keys.ok_or(NoKey::Away)?;
        match keys.find(header.kid.as_deref(), header.alg) {
            Found::Key(key) => Ok(work(key)),
            Found::Unknown | Found::Unfit => Err(NoKey::Unfit),
        }
    }

    /// The keys, if they may still be used, and whether a newer set should be read.
    fn known(&self) -> (Option<Arc<KeySet>>, bool) {
        let known = self.lock();
        let now = self.0.clock.now();
        let is_stale = is_over(known.loaded_at, FRESH_FOR, now);
        // A key that the issuer withdrew meanwhile must not be accepted for ever.
        let is_too_old = known
            .loaded_at
            .is_none_or(|loaded_at| (now - loaded_at).abs() >= USED_FOR);
        let keys = known.keys.clone().filter(|_| !is_too_old);
        (keys, is_stale)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask_in_the_background(&self) {
        if !self.may_ask() {
            return;
        }
        let issuer = self.clone();
        self.0.background.spawn(async move { issuer.ask().await });
    }

    fn may_ask(&self) -> bool {
        let known = self.lock();
        let pause = match known.keys {
            Some(_) => PAUSE,
            None => PAUSE_BEFORE_THE_FIRST,
        };
        is_over(known.asked_at, pause, self.0.clock.now())
    }

    /// One look at the issuer, for everybody who wants one now.
    async fn ask(&self) {
        let issuer = self.clone();
        // Beside the server's workers, where connections live on; and to its
        // end, also where the caller hangs up.
        let asked = self.0.background.spawn(async move {
            let _turn = issuer.0.asking.lock().await;
            if !issuer.may_ask() {
                return;
            }
            issuer.lock().asked_at = Some(issuer.0.clock.now());
            match issuer.fetch().await {
                Ok(keys) => {
                    if keys.len() == 0 {
                        tracing::warn!("AUTH_JWKS_URL offers no key that signs tokens");
                    }
                    tracing::debug!(keys = keys.len(), "the key set was read");
                    let mut known = issuer.lock();
                    known.keys = Some(Arc::new(keys));
                    known.loaded_at = Some(issuer.0.clock.now());
                }
                Err(reason) => tracing::warn!(reason, "AUTH_JWKS_URL gives no key set"),
            }
        });
        // It ends early only with the process.
        let _ = asked.await;
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let said = |error: reqwest::Error| {
            let mut text = error.without_url().to_string();
            if text.is_empty() {
                "no answer".clone_into(&mut text);
            }
            text
        };
        let request = self.0.http.get(self.0.url.clone());
        let mut response = request.send().await.map_err(said)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(format!("it answers {}", response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(said)? {
            if body.len() + chunk.len() > LARGEST {
                return Err(format!("its answer is larger than {LARGEST} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        // A set without keys is an answer as well: every key was withdrawn.
        KeySet::parse(&body).map_err(|_| "its answer is no key set".to_owned())
    }
}

/// A clock that was set back must not keep the keys for ever.
fn is_over(since: Option<DateTime<Utc>>, span: TimeDelta, now: DateTime<Utc>) -> bool {
    since.is_none_or(|since| now < since || now - since >= span)
}

/// Keys that anybody on the way could change prove nothing.
pub(super) fn check(url: &Url) -> Result<(), StartError> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(StartError::KeySetUrl(
            "it holds credentials; a key set is public",
        ));
    }
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_here => Ok(()),
        _ => Err(StartError::KeySetUrl("it must begin with https://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_where_nobody_can_change_them() {
        for good in [
            "https://project.supabase.co/auth/v1/.well-known/jwks.json",
            "http://127.0.0.1:9999/keys",
            "http://[::1]/keys",
            "http://localhost/keys",
        ] {
            assert!(check(&good.parse().unwrap()).is_ok(), "{good}");
        }
        for bad in [
            "http://issuer.example/keys",
            "http://localhost.evil.example/keys",
            "https://user:word@issuer.example/keys",
            "file:///etc/keys.json",
        ] {
            assert!(check(&bad.parse().unwrap()).is_err(), "{bad}");
        }
    }
}
