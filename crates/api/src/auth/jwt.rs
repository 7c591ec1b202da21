//! What a member's JWT must be, whatever it is signed with.

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

/// Clocks differ; a token is not late because of that.
const LEEWAY_SECONDS: u64 = 30;

/// The longest token that is looked at. Real ones have one or two thousand.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

#[derive(Deserialize)]
struct JwtClaims {
    sub: String,
    /// Seconds since 1970; some write them with a fraction.
    exp: f64,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl ClaimRules {
    /// The member that a token names, if this key signed it with one of these
    /// algorithms. The key has them: a token cannot choose how it is checked.
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
                        "the token has expired; get a fresh one",
                    );
                }
                ErrorKind::ImmatureSignature => "the token is not valid yet".to_owned(),
                ErrorKind::InvalidAudience => "the token is for another audience".to_owned(),
                ErrorKind::InvalidIssuer => "the token is from another issuer".to_owned(),
                ErrorKind::MissingRequiredClaim(claim) => format!("the token has no `{claim}`"),
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

/// By the clock that judges tokens, which is the machine's.
fn lifetime_until(exp: f64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^52")]
    let left = exp - get_current_timestamp() as f64;
    Duration::try_from_secs_f64(left.max(0.0)).unwrap_or(Duration::MAX)
}

/// The part of a token that says which key is meant. Keys and addresses that a
/// token brings along are not looked at.
pub(super) fn header_of(token: &str) -> Result<Header, Problem> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(invalid_token());
    }
    let header = decode_header(token).map_err(|_| invalid_token())?;
    // It names rules that must be understood, and none of them is.
    if header.crit.is_some() {
        return Err(invalid_token());
    }
    Ok(header)
}

pub(super) fn invalid_token() -> Problem {
    Problem::unauthorized(
        "invalid-token",
        "this is neither a valid JWT nor a service key",
    )
}
