//! Authentication of callers: a member by a JWT, a service by a key.

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

/// Minimum length of an HS256 secret in bytes: the size of the hash (RFC 7518).
const MIN_SECRET_BYTES: usize = 32;

/// A caller with verified credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VerifiedCaller {
    /// A member with the remaining lifetime of the token. May access only their own data.
    Member(UserId, Duration),
    /// A service, which may access the data of every member within the scopes of its key.
    Service(Arc<KeyHolder>),
}

/// Holder of a service key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeyHolder {
    /// Name in the log, in metrics and in the audit trail.
    pub(crate) name: String,
    pub(crate) scopes: ScopeSet,
    /// Remaining lifetime of the key; unlimited if `None`.
    pub(crate) remaining_lifetime: Option<Duration>,
    /// Digest of a key in the database, which can be revoked at any time.
    pub(crate) digest: Option<KeyDigest>,
}

impl KeyHolder {
    /// Returns the holder of a key in the settings, or of a request without credentials on
    /// loopback.
    fn with_all_scopes(name: String) -> Arc<Self> {
        Arc::new(Self {
            name,
            scopes: ScopeSet::all(),
            remaining_lifetime: None,
            digest: None,
        })
    }
}

/// A caller as the request's headers identify them, before any database query.
#[derive(Debug)]
pub(crate) enum ClaimedCaller {
    Verified(VerifiedCaller),
    /// A well-formed service key that has to be checked in the database.
    UnverifiedKey(KeyDigest),
}

impl VerifiedCaller {
    pub(crate) fn may_act_for(&self, user_id: &UserId) -> bool {
        match self {
            Self::Member(own, _) => own == user_id,
            Self::Service(_) => true,
        }
    }

    /// Remaining lifetime of the token or key; unlimited if `None`.
    pub(crate) fn remaining_lifetime(&self) -> Option<Duration> {
        match self {
            Self::Member(_, lifetime) => Some(*lifetime),
            Self::Service(holder) => holder.remaining_lifetime,
        }
    }
}

/// Authenticates callers.
pub(crate) struct Authenticator {
    rules: ClaimRules,
    secret: Option<DecodingKey>,
    issuer_keys: Option<IssuerKeys>,
    service_keys: ServiceKeys,
    /// Holder for every caller without credentials; set only on loopback.
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

    /// Identifies the caller by the request's headers, without a database query.
    pub(crate) async fn identify_by_headers(
        &self,
        headers: &HeaderMap,
    ) -> Result<ClaimedCaller, Problem> {
        if let Some(holder) = &self.anonymous_holder
            && !headers.contains_key(header::AUTHORIZATION)
        {
            // DNS rebinding: a web page whose domain resolves to this machine sends that domain in
            // `Host`.
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
            // A malformed key is refused without a database query.
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
        // HS256 is used only with the secret. A public key never has a symmetric algorithm.
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

/// Parses `AUTH_JWT_SECRET`.
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

/// Parses `AUTH_JWKS_URL`.
pub(crate) fn parse_key_set_url(text: &str) -> Result<Url, ApiStartError> {
    let url = Url::parse(text).map_err(|_error| ApiStartError::KeySetUrl("it is not a URL"))?;
    issuer_keys::check_key_set_url(&url)?;
    Ok(url)
}

/// Parses one element of `AUTH_SERVICE_KEYS`.
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
