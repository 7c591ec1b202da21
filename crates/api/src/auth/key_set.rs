//! The key set of the issuer that signs the members' JWTs (RFC 7517), and the choice of the key
//! that verifies a token.

use std::fmt;

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

/// Maximum number of keys that are used from a key set; further keys are ignored. Real issuers
/// publish fewer keys.
const MAX_KEYS: usize = 64;

/// A public key, and the signature algorithms that it may be used with. The key determines these
/// algorithms, and never the token.
pub(super) struct VerificationKey {
    id: Option<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) decoding: DecodingKey,
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey")
            .field("id", &self.id)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// The keys of an issuer's key set that can verify a signature.
#[derive(Debug, Default)]
pub(super) struct KeySet(Vec<VerificationKey>);

/// Result of searching the key set for the key that verifies a token.
#[derive(Debug)]
pub(super) enum KeyMatch<'a> {
    Key(&'a VerificationKey),
    /// The key set contains no key with the token's key id. A newer version of the key set may
    /// contain it.
    UnknownId,
    /// The key with the token's key id does not support the token's algorithm. Or the token has no
    /// key id, and either no key or more than one key supports its algorithm.
    NotUsable,
}

#[derive(Deserialize)]
struct KeySetDocument {
    keys: Vec<Value>,
}

impl KeySet {
    /// Parses the issuer's response. Keys that are not for verifying signatures, and keys of an
    /// unknown kind, are ignored.
    pub(super) fn parse(body: &[u8]) -> Result<Self, serde_json::Error> {
        let document: KeySetDocument = serde_json::from_slice(body)?;
        let keys = document
            .keys
            .into_iter()
            .filter_map(|key| serde_json::from_value::<Jwk>(key).ok())
            .filter_map(|key| usable(&key))
            .take(MAX_KEYS)
            .collect();
        Ok(Self(keys))
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> KeyMatch<'_> {
        let fits = |key: &&VerificationKey| key.algorithms.contains(&algorithm);
        if let Some(id) = id {
            let mut named = self
                .0
                .iter()
                .filter(|key| key.id.as_deref() == Some(id))
                .peekable();
            if named.peek().is_none() {
                return KeyMatch::UnknownId;
            }
            return named.find(fits).map_or(KeyMatch::NotUsable, KeyMatch::Key);
        }
        let mut fitting = self.0.iter().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => KeyMatch::Key(key),
            _ => KeyMatch::NotUsable,
        }
    }
}

fn usable(key: &Jwk) -> Option<VerificationKey> {
    let common = &key.common;
    let signs = common
        .public_key_use
        .as_ref()
        .is_none_or(|key_use| *key_use == PublicKeyUse::Signature);
    let verifies = common
        .key_operations
        .as_ref()
        .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    if !signs || !verifies {
        return None;
    }
    let possible: &[Algorithm] = match &key.algorithm {
        AlgorithmParameters::RSA(_) => &[Algorithm::RS256, Algorithm::RS384, Algorithm::RS512],
        AlgorithmParameters::EllipticCurve(parameters) => match parameters.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(parameters)
            if parameters.curve == EllipticCurve::Ed25519 =>
        {
            &[Algorithm::EdDSA]
        }
        // A symmetric key is not used: a key that is published in a key set is not secret.
        _ => &[],
    };
    let algorithms: Vec<Algorithm> = match common.key_algorithm {
        Some(stated) => possible
            .iter()
            .copied()
            .filter(|algorithm| Some(*algorithm) == algorithm_of(stated))
            .collect(),
        None => possible.to_vec(),
    };
    if algorithms.is_empty() {
        return None;
    }
    Some(VerificationKey {
        id: common.key_id.clone(),
        algorithms,
        decoding: DecodingKey::from_jwk(key).ok()?,
    })
}

const fn algorithm_of(stated: KeyAlgorithm) -> Option<Algorithm> {
    match stated {
        KeyAlgorithm::RS256 => Some(Algorithm::RS256),
        KeyAlgorithm::RS384 => Some(Algorithm::RS384),
        KeyAlgorithm::RS512 => Some(Algorithm::RS512),
        KeyAlgorithm::ES256 => Some(Algorithm::ES256),
        KeyAlgorithm::ES384 => Some(Algorithm::ES384),
        KeyAlgorithm::EdDSA => Some(Algorithm::EdDSA),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const N: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

    fn set(keys: Value) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    fn rsa(id: &str, more: Value) -> Value {
        let mut key = json!({"kty": "RSA", "kid": id, "n": N, "e": "AQAB"});
        key.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        key
    }

    #[test]
    fn a_key_is_found_by_its_id_and_used_only_with_its_own_algorithms() {
        let keys = set(json!([
            rsa("one", json!({"alg": "RS256", "use": "sig"})),
            {"kty": "EC", "crv": "P-256", "kid": "two", "x": N, "y": N},
        ]));

        assert!(matches!(
            keys.find(Some("one"), Algorithm::RS256),
            KeyMatch::Key(_)
        ));
        assert!(matches!(
            keys.find(Some("two"), Algorithm::ES256),
            KeyMatch::Key(_)
        ));
        for (id, algorithm) in [
            ("one", Algorithm::RS512),
            ("one", Algorithm::HS256),
            ("one", Algorithm::ES256),
            ("two", Algorithm::RS256),
            ("two", Algorithm::ES384),
        ] {
            assert!(
                matches!(keys.find(Some(id), algorithm), KeyMatch::NotUsable),
                "{id}"
            );
        }
        assert!(matches!(
            keys.find(Some("three"), Algorithm::RS256),
            KeyMatch::UnknownId
        ));
    }

    #[test]
    fn a_token_without_a_key_id_uses_the_only_key_that_fits() {
        let one = set(json!([rsa("one", json!({}))]));
        let two = set(json!([rsa("one", json!({})), rsa("two", json!({}))]));

        assert!(matches!(one.find(None, Algorithm::RS256), KeyMatch::Key(_)));
        assert!(matches!(
            two.find(None, Algorithm::RS256),
            KeyMatch::NotUsable
        ));
        assert!(matches!(
            one.find(None, Algorithm::ES256),
            KeyMatch::NotUsable
        ));
    }

    #[test]
    fn keys_that_cannot_verify_tokens_are_ignored() {
        let keys = set(json!([
            rsa("sealing", json!({"use": "enc"})),
            rsa("wrapping", json!({"key_ops": ["wrapKey"]})),
            rsa("symmetric by name", json!({"alg": "HS256"})),
            {"kty": "oct", "kid": "secret", "k": "AAAA"},
            {"kty": "from the future"},
            "nonsense",
            rsa("good", json!({})),
        ]));

        assert_eq!(keys.len(), 1);
        assert!(matches!(
            keys.find(Some("good"), Algorithm::RS256),
            KeyMatch::Key(_)
        ));
    }

    #[test]
    fn a_set_has_at_most_64_keys() {
        let many: Vec<Value> = (0..500)
            .map(|nth| rsa(&nth.to_string(), json!({})))
            .collect();

        assert_eq!(set(json!(many)).len(), MAX_KEYS);
    }
}
