//! Valid and invalid credentials for the tests.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::JWT_SECRET;

/// A JWT that is valid unless a test changes it.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    claims: Value,
    secret: String,
    algorithm: Algorithm,
}

/// Returns the time `seconds` from now, in seconds since 1970. It uses the system clock, as the
/// API's checks of tokens do.
fn seconds_from_now(seconds: i64) -> i64 {
    i64::try_from(get_current_timestamp()).unwrap() + seconds
}

impl Token {
    pub(crate) fn of(user_id: &str) -> Self {
        Self {
            claims: json!({
                "sub": user_id,
                "aud": "authenticated",
                "role": "authenticated",
                "iat": seconds_from_now(-60),
                "exp": seconds_from_now(3600),
            }),
            secret: JWT_SECRET.to_owned(),
            algorithm: Algorithm::HS256,
        }
    }

    /// Sets a claim of the token. A null value removes the claim.
    pub(crate) fn with(mut self, claim: &str, value: Value) -> Self {
        let claims = self.claims.as_object_mut().unwrap();
        if value.is_null() {
            claims.remove(claim);
        } else {
            claims.insert(claim.to_owned(), value);
        }
        self
    }

    /// Sets a claim with a time to `seconds` from now.
    pub(crate) fn with_time(self, claim: &str, seconds: i64) -> Self {
        self.with(claim, json!(seconds_from_now(seconds)))
    }

    pub(crate) fn signed_with(mut self, secret: &str) -> Self {
        secret.clone_into(&mut self.secret);
        self
    }

    pub(crate) fn signed_by(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    pub(crate) fn text(&self) -> String {
        let key = EncodingKey::from_secret(self.secret.as_bytes());
        encode(&Header::new(self.algorithm), &self.claims, &key).unwrap()
    }

    pub(crate) const fn claims(&self) -> &Value {
        &self.claims
    }

    /// Returns a token with this header, and with a signature that was made with the right secret.
    ///
    /// An attacker sends such a token in order to make the header decide how the token is checked.
    pub(crate) fn under_header(&self, header: &Value) -> String {
        let message = format!("{}.{}", part(header), part(&self.claims));
        let key = EncodingKey::from_secret(self.secret.as_bytes());
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    }

    /// Returns a token with this header and without a signature.
    pub(crate) fn unsigned(&self, header: &Value) -> String {
        format!("{}.{}.", part(header), part(&self.claims))
    }
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Returns the digest of a service key in the form that `AUTH_SERVICE_KEYS` requires.
pub(crate) fn digest_of(key: &str) -> String {
    Sha256::digest(key.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
