//! Who is calling: a member with a JWT, or a service with a key.

use std::fmt;

use actix_web::http::header::{self, HeaderMap};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, errors::ErrorKind};
use secrecy::ExposeSecret;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use whoop_core::UserId;

use crate::{application::StartError, config::AuthArgs, problem::Problem};

/// Clocks differ; a token is not late because of that.
const LEEWAY_SECONDS: u64 = 30;

/// Somebody who proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// May act for themselves.
    Member(UserId),
    /// May act for any member.
    Service,
}

impl Caller {
    pub(crate) fn may_act_for(&self, user_id: &UserId) -> bool {
        match self {
            Self::Member(own) => own == user_id,
            Self::Service => true,
        }
    }
}

/// Tells who is calling.
pub(crate) struct Authenticator {
    jwt: Option<(DecodingKey, Validation)>,
    service_keys: Vec<[u8; 32]>,
    /// Whoever calls is a service; only on loopback.
    trusts_everybody: bool,
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("jwt", &self.jwt.is_some())
            .field("service_keys", &self.service_keys.len())
            .field("trusts_everybody", &self.trusts_everybody)
            .finish()
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

impl Authenticator {
    pub(crate) fn new(args: &AuthArgs, listens_on_loopback: bool) -> Result<Self, StartError> {
        if args.insecure_no_auth && !listens_on_loopback {
            return Err(StartError::InsecureOutside);
        }
        let secret = args
            .auth_jwt_secret
            .as_ref()
            .filter(|secret| !secret.expose_secret().is_empty());
        let jwt = secret.map(|secret| {
            let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
            // One algorithm, pinned: a token cannot choose how it is checked.
            let mut validation = Validation::new(Algorithm::HS256);
            validation.leeway = LEEWAY_SECONDS;
            validation.validate_nbf = true;
            validation.set_required_spec_claims(&["exp", "sub"]);
            if args.auth_jwt_audience.is_empty() {
                validation.validate_aud = false;
            } else {
                validation.set_audience(&[&args.auth_jwt_audience]);
                validation.required_spec_claims.insert("aud".to_owned());
            }
            if let Some(issuer) = &args.auth_jwt_issuer {
                validation.set_issuer(&[issuer]);
                validation.required_spec_claims.insert("iss".to_owned());
            }
            (key, validation)
        });
        let service_keys = args
            .auth_service_keys
            .iter()
            .filter(|digest| !digest.trim().is_empty())
            .map(|digest| parse_digest(digest.trim()).ok_or(StartError::ServiceKey))
            .collect::<Result<Vec<_>, _>>()?;
        if jwt.is_none() && service_keys.is_empty() && !args.insecure_no_auth {
            return Err(StartError::NoAuthentication);
        }
        Ok(Self {
            jwt,
            service_keys,
            trusts_everybody: args.insecure_no_auth,
        })
    }

    /// Who sent these headers.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        if self.trusts_everybody && !headers.contains_key(header::AUTHORIZATION) {
            return Ok(Caller::Service);
        }
        let mut sent = headers.get_all(header::AUTHORIZATION);
        let (Some(value), None) = (sent.next(), sent.next()) else {
            return Err(Problem::unauthorized(
                "no-credentials",
                "send one header `Authorization: Bearer …` with the member's JWT or a service key",
            ));
        };
        let credentials = value
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
            })?;
        if self.is_service_key(credentials) {
            return Ok(Caller::Service);
        }
        self.member(credentials)
    }

    /// Every key is compared, in constant time: how long it takes tells nothing.
    fn is_service_key(&self, credentials: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(credentials.as_bytes()).into();
        let mut found = subtle::Choice::from(0);
        for key in &self.service_keys {
            found |= key.ct_eq(&digest);
        }
        found.into()
    }

    fn member(&self, token: &str) -> Result<Caller, Problem> {
        let refused = || {
            Problem::unauthorized(
                "invalid-token",
                "this is neither a valid JWT nor a service key",
            )
        };
        let (key, validation) = self.jwt.as_ref().ok_or_else(refused)?;
        let token =
            decode::<Claims>(token, key, validation).map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => {
                    Problem::unauthorized("expired-token", "the token has expired; get a fresh one")
                }
                ErrorKind::ImmatureSignature => {
                    Problem::unauthorized("invalid-token", "the token is not valid yet")
                }
                ErrorKind::InvalidAudience => {
                    Problem::unauthorized("invalid-token", "the token is for another audience")
                }
                ErrorKind::InvalidIssuer => {
                    Problem::unauthorized("invalid-token", "the token is from another issuer")
                }
                ErrorKind::MissingRequiredClaim(claim) => {
                    Problem::unauthorized("invalid-token", format!("the token has no `{claim}`"))
                }
                _ => refused(),
            })?;
        UserId::try_from(token.claims.sub)
            .map(Caller::Member)
            .map_err(|error| Problem::unauthorized("invalid-token", format!("`sub`: {error}")))
    }
}

fn parse_digest(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut digest = [0_u8; 32];
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}
