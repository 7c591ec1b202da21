//! Authentication of callers: members authenticate with a JWT, services with a service key.

pub(crate) mod claims;
mod doctor;
mod issuer_keys;
mod jwt;
mod key_set;
mod list_setting;
mod loopback;
mod settings_keys;

use std::{fmt, sync::Arc, time::Duration};

use actix_web::http::header::{self, HeaderMap};
use jsonwebtoken::{Algorithm, DecodingKey};
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use whoop_core::{Clock, UserId};
use whoop_storage::service_key::{self, KeyDigest, ScopeSet};

use self::{
    claims::ClaimRules,
    issuer_keys::{IssuerKeys, KeyLookupError},
    settings_keys::ServiceKeys,
};
use crate::{
    background::BackgroundTasks, config::AuthArgs, problem::Problem, start_error::ApiStartError,
};

/// Minimum length of `AUTH_JWT_SECRET` in bytes. RFC 7518 requires that an HS256 secret is at least
/// as long as the hash.
const MIN_SECRET_BYTES: usize = 32;

/// A caller whose credentials were verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VerifiedCaller {
    /// A member, with the remaining lifetime of the member's JWT. A member may access only their
    /// own data.
    Member(UserId, Duration),
    /// A service, which may access the data of every member as far as the scopes of its service key
    /// allow it.
    Service(Arc<KeyHolder>),
}

/// The holder of a service key, with the permissions of this key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeyHolder {
    /// Name of the key in the log, in the metrics and in the audit trail.
    pub(crate) name: String,
    pub(crate) scopes: ScopeSet,
    /// Time until the key expires; `None` if it does not expire.
    pub(crate) remaining_lifetime: Option<Duration>,
    /// Digest of the key, if the key is stored in the database and can therefore be revoked at any
    /// time. `None` for a key in the settings.
    pub(crate) digest: Option<KeyDigest>,
}

impl KeyHolder {
    /// Returns a holder with every scope and without expiry: for a key in the settings, or for a
    /// request without credentials on loopback.
    fn with_all_scopes(name: String) -> Arc<Self> {
        Arc::new(Self {
            name,
            scopes: ScopeSet::all(),
            remaining_lifetime: None,
            digest: None,
        })
    }
}

/// A caller as far as the headers of the request identify them, before any database query.
#[derive(Debug)]
pub(crate) enum ClaimedCaller {
    Verified(VerifiedCaller),
    /// A well-formed service key, which still has to be looked up in the database by its digest.
    UnverifiedKey(KeyDigest),
}

impl VerifiedCaller {
    pub(crate) fn may_act_for(&self, user_id: &UserId) -> bool {
        match self {
            Self::Member(own, _) => own == user_id,
            Self::Service(_) => true,
        }
    }

    /// Returns the time until the caller's token or key expires; `None` if it does not expire.
    pub(crate) fn remaining_lifetime(&self) -> Option<Duration> {
        match self {
            Self::Member(_, lifetime) => Some(*lifetime),
            Self::Service(holder) => holder.remaining_lifetime,
        }
    }
}

/// Authenticates callers as the `AUTH_…` settings require.
pub(crate) struct Authenticator {
    rules: ClaimRules,
    secret: Option<DecodingKey>,
    issuer_keys: Option<IssuerKeys>,
    service_keys: ServiceKeys,
    /// Holder that represents every caller without credentials. It is set only with
    /// `--insecure-no-auth`, which is allowed only on loopback.
    anonymous_holder: Option<Arc<KeyHolder>>,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("secret", &self.secret.is_some())
            .field("issuer", &self.issuer_keys)
            .field("service_keys", &self.service_keys.len())
            .field("accepts_anonymous", &self.anonymous_holder.is_some())
            .finish_non_exhaustive()
    }
}

impl Authenticator {
    pub(crate) fn new(
        args: &AuthArgs,
        listens_on_loopback: bool,
        clock: &Arc<dyn Clock>,
        background: &BackgroundTasks,
    ) -> Result<Self, ApiStartError> {
        if args.insecure_no_auth && !listens_on_loopback {
            return Err(ApiStartError::NoAuthOutsideLoopback);
        }
        let secret = args
            .auth_jwt_secret
            .as_ref()
            .map(|secret| secret.expose_secret().as_bytes());
        secret.map(check_secret).transpose()?;
        let service_keys = ServiceKeys::parse(&args.auth_service_keys)?;
        let issuer = args
            .auth_jwks_url
            .as_ref()
            .map(|url| IssuerKeys::new(url, Arc::clone(clock), background))
            .transpose()?;
        let has_authentication = secret.is_some() || issuer.is_some() || !service_keys.is_empty();
        if !has_authentication && !args.insecure_no_auth {
            return Err(ApiStartError::NoAuthentication);
        }
        Ok(Self {
            rules: ClaimRules::new(args)?,
            secret: secret.map(DecodingKey::from_secret),
            issuer_keys: issuer,
            service_keys,
            anonymous_holder: args
                .insecure_no_auth
                .then(|| KeyHolder::with_all_scopes("insecure-no-auth".to_owned())),
        })
    }

    /// Identifies the caller by the headers of the request, without a database query.
    pub(crate) async fn identify_by_headers(
        &self,
        headers: &HeaderMap,
    ) -> Result<ClaimedCaller, Problem> {
        if let Some(holder) = &self.anonymous_holder
            && !headers.contains_key(header::AUTHORIZATION)
        {
            // The check prevents DNS rebinding: a web page with a domain that resolves to this
            // machine could send requests here, but its browser sends that domain in `Host`.
            loopback::check_host(headers)?;
            return Ok(ClaimedCaller::Verified(VerifiedCaller::Service(
                Arc::clone(holder),
            )));
        }
        let credentials = bearer_credentials(headers)?;
        if let Some(holder) = self.service_keys.holder(credentials) {
            return Ok(ClaimedCaller::Verified(VerifiedCaller::Service(holder)));
        }
        if credentials.starts_with(service_key::PREFIX) {
            // A malformed service key is refused without a database query.
            return service_key::digest_of(credentials)
                .map(ClaimedCaller::UnverifiedKey)
                .ok_or_else(jwt::invalid_token);
        }
        let (user_id, lifetime) = self.authenticate_member(credentials).await?;
        Ok(ClaimedCaller::Verified(VerifiedCaller::Member(
            user_id, lifetime,
        )))
    }

    async fn authenticate_member(&self, token: &str) -> Result<(UserId, Duration), Problem> {
        let header = jwt::header_of(token)?;
        // HS256 is used only with `AUTH_JWT_SECRET`. The keys of an issuer are public and are never
        // used with a symmetric algorithm.
        if header.alg == Algorithm::HS256 {
            let secret = self.secret.as_ref().ok_or_else(jwt::invalid_token)?;
            return self.rules.verify_token(token, secret, &[Algorithm::HS256]);
        }
        let issuer = self.issuer_keys.as_ref().ok_or_else(jwt::invalid_token)?;
        issuer
            .with_key(&header, |key| {
                self.rules
                    .verify_token(token, &key.decoding, &key.algorithms)
            })
            .await
            .unwrap_or_else(|error| {
                Err(match error {
                    KeyLookupError::NoMatchingKey => jwt::invalid_token(),
                    KeyLookupError::IssuerUnavailable => Problem::unavailable(
                        "keys-unavailable",
                        "the key set that tokens are checked with is not available; try again",
                    ),
                })
            })
    }
}

/// Parses the setting `AUTH_JWT_SECRET`, and refuses a secret that is too short.
pub(crate) fn parse_jwt_secret(text: &str) -> Result<SecretString, ApiStartError> {
    check_secret(text.as_bytes())?;
    Ok(text.into())
}

fn check_secret(secret: &[u8]) -> Result<(), ApiStartError> {
    let bytes = secret.len();
    if bytes < MIN_SECRET_BYTES {
        return Err(ApiStartError::ShortSecret { bytes });
    }
    Ok(())
}

/// Parses the setting `AUTH_JWKS_URL`, and refuses a URL without TLS or with credentials.
pub(crate) fn parse_key_set_url(text: &str) -> Result<Url, ApiStartError> {
    let url = Url::parse(text).map_err(|_error| ApiStartError::KeySetUrl("it is not a URL"))?;
    issuer_keys::check_key_set_url(&url)?;
    Ok(url)
}

/// Checks one element of the setting `AUTH_SERVICE_KEYS`, and returns it unchanged.
pub(crate) fn parse_service_key(digest: &str) -> Result<String, ApiStartError> {
    ServiceKeys::parse(&[digest.to_owned()])?;
    Ok(digest.to_owned())
}

fn bearer_credentials(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION);
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Problem::unauthorized(
            "no-credentials",
            "send one header `Authorization: Bearer …` with the member's JWT or a service key",
        ));
    };
    value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, credentials)| credentials.trim())
        .filter(|credentials| !credentials.is_empty())
        .ok_or_else(|| {
            Problem::unauthorized(
                "invalid-credentials",
                "the Authorization header is not `Bearer` followed by a token",
            )
        })
}
