//! Service keys in the setting `AUTH_SERVICE_KEYS`.
//!
//! These keys have every scope and do not expire. To revoke a key, the operator removes it from the
//! setting and restarts the API.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::KeyHolder;
use crate::start_error::ApiStartError;

/// Digests of the service keys in the setting, each with its holder.
///
/// The holders are named `settings-1`, `settings-2` and so on, in the order of the setting. Several
/// keys can be valid at the same time, so that a key can be replaced without an interruption.
#[derive(Debug)]
pub(super) struct ServiceKeys {
    keys: Vec<([u8; 32], Arc<KeyHolder>)>,
    /// Whether the setting contains `database`: callers use service keys that are stored in the
    /// database.
    are_in_database: bool,
}

/// Element of the setting that states that callers use service keys that are stored in the
/// database.
const DATABASE: &str = "database";

impl ServiceKeys {
    pub(super) fn parse(digests: &[String]) -> Result<Self, ApiStartError> {
        let mut values: Vec<&str> = digests
            .iter()
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
            .collect();
        let are_in_database = values.contains(&DATABASE);
        values.retain(|value| *value != DATABASE);
        let keys = values.into_iter().enumerate().map(|(position, digest)| {
            let digest = parse_digest(digest).ok_or(ApiStartError::ServiceKey)?;
            if digest == <[u8; 32]>::from(Sha256::digest("")) {
                return Err(ApiStartError::EmptyServiceKey);
            }
            let name = format!("settings-{}", position + 1);
            Ok((digest, KeyHolder::with_all_scopes(name)))
        });
        Ok(Self {
            keys: keys.collect::<Result<_, _>>()?,
            are_in_database,
        })
    }

    /// Returns whether the setting neither contains a key nor refers to the keys in the database.
    pub(super) const fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.are_in_database
    }

    pub(super) const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns the holder of the service key `credentials`, or `None` if the setting does not
    /// contain this key.
    ///
    /// All keys are compared, each in constant time, so that the duration reveals nothing about the
    /// keys.
    pub(super) fn holder(&self, credentials: &str) -> Option<Arc<KeyHolder>> {
        let digest: [u8; 32] = Sha256::digest(credentials.as_bytes()).into();
        let mut found = None;
        for (key, holder) in &self.keys {
            if key.ct_eq(&digest).into() {
                found = Some(holder);
            }
        }
        found.cloned()
    }
}

fn parse_digest(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut digest = [0_u8; 32];
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(key: &str) -> String {
        Sha256::digest(key)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    #[test]
    fn an_old_and_a_new_key_are_accepted_during_a_replacement() {
        let both = ServiceKeys::parse(&[digest("old"), format!(" {} ", digest("new"))]).unwrap();

        let name = |key| both.holder(key).map(|holder| holder.name.clone());
        assert_eq!(name("old").as_deref(), Some("settings-1"));
        assert_eq!(name("new").as_deref(), Some("settings-2"));
        for unknown in ["", "ol", "old ", "newer", &digest("old")] {
            assert!(both.holder(unknown).is_none(), "{unknown:?}");
        }
    }

    #[test]
    fn the_value_database_refers_to_the_keys_in_the_database() {
        let none = ServiceKeys::parse(&["database".to_owned()]).unwrap();

        assert!(!none.is_empty());
        assert_eq!(none.len(), 0);
        assert!(none.holder("database").is_none());
        assert!(ServiceKeys::parse(&[]).unwrap().is_empty());
    }

    #[test]
    fn a_value_that_is_not_a_digest_is_refused() {
        for bad in ["secret", &"+".repeat(64), &"é".repeat(32), &"a".repeat(63)] {
            assert!(ServiceKeys::parse(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
