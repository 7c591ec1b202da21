//! Verification of a member's JWT: the signature with a given key, and the claims.

use std::time::Duration;

use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation, decode, decode_header, errors::ErrorKind,
    get_current_timestamp,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use whoop_core::UserId;

use super::claims::ClaimRules;
use crate::problem::Problem;

/// Tolerance for the difference between the issuer's clock and the clock of this machine, in
/// seconds.
const LEEWAY_SECONDS: u64 = 30;

/// Maximum length of a JWT in bytes; a longer one is refused. Real tokens have one or two thousand
/// bytes.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

#[derive(Deserialize)]
struct JwtClaims {
    sub: String,
    /// Time at which the token expires, in seconds since 1970. It is a floating-point number,
    /// because some issuers write a fraction.
    exp: f64,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl ClaimRules {
    /// Verifies a token, and returns its member and its remaining lifetime.
    ///
    /// The signature must have been made with `key` and with one of `algorithms`. The algorithms
    /// belong to the key, so that a token cannot choose how it is checked.
    pub(super) fn verify_token(
        &self,
        token: &str,
        key: &DecodingKey,
        algorithms: &[Algorithm],
    ) -> Result<(UserId, Duration), Problem> {
        let Some(first) = algorithms.first() else {
            return Err(invalid_token());
        };
        let mut validation = Validation::new(*first);
        validation.algorithms = algorithms.to_vec();
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "sub"]);
        self.add_to(&mut validation);
        let token = decode::<JwtClaims>(token, key, &validation).map_err(|error| {
            let detail = match error.kind() {
                ErrorKind::ExpiredSignature => {
                    return Problem::unauthorized(
                        "expired-token",
                        "the token has expired; get a new one",
                    );
                }
                ErrorKind::ImmatureSignature => "the token is not valid yet (`nbf`)".to_owned(),
                ErrorKind::InvalidAudience => {
                    "the audience of the token (`aud`) is not listed in AUTH_JWT_AUDIENCE"
                        .to_owned()
                }
                ErrorKind::InvalidIssuer => {
                    "the issuer of the token (`iss`) is not listed in AUTH_JWT_ISSUER".to_owned()
                }
                ErrorKind::MissingRequiredClaim(claim) => {
                    format!("the token lacks the claim `{claim}`")
                }
                _ => return invalid_token(),
            };
            Problem::unauthorized("invalid-token", detail)
        })?;
        self.check(token.claims.exp, &token.claims.others, LEEWAY_SECONDS)?;
        let user_id = UserId::try_from(token.claims.sub)
            .map_err(|error| Problem::unauthorized("invalid-token", format!("`sub`: {error}")))?;
        Ok((user_id, lifetime_until(token.claims.exp)))
    }
}

/// Returns the time from now until `exp`, or zero if `exp` is in the past.
///
/// Uses the system clock, because the JWT library checks `exp` with the same clock.
fn lifetime_until(exp: f64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^52")]
    let seconds = exp - get_current_timestamp() as f64;
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

/// Returns the header of a token, which names the algorithm and the id of the key.
///
/// Keys in the header, and addresses of keys, are not used.
pub(super) fn header_of(token: &str) -> Result<Header, Problem> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(invalid_token());
    }
    let header = decode_header(token).map_err(|_| invalid_token())?;
    // `crit` lists extensions that the receiver must understand. This service supports none.
    if header.crit.is_some() {
        return Err(invalid_token());
    }
    Ok(header)
}

pub(super) fn invalid_token() -> Problem {
    Problem::unauthorized(
        "invalid-token",
        "the credentials are neither a valid JWT nor a service key",
    )
}
