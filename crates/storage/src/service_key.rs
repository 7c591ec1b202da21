//! Service keys: the text that a caller sends, its digest, and the scopes of a key.
//!
//! A key is `wsk_` followed by the base64url encoding of 32 random bytes and a checksum of 4 bytes.
//! The checksum is no secret. It detects a mistyped or invented key without a database query.

use std::{collections::BTreeSet, fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::seal::SealError;

/// Prefix of every service key, by which people and secret scanners recognize a key.
pub const PREFIX: &str = "wsk_";

const RANDOM_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 4;

/// SHA-256 of a key; the database stores only this digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest(pub(crate) [u8; 32]);

/// Creates a new random key and its digest. The key itself must be shown only once and must not be
/// stored.
///
/// # Errors
///
/// [`SealError::NoRandomness`] if the operating system provides no random numbers.
pub fn generate() -> Result<(SecretString, KeyDigest), SealError> {
    let mut bytes = Zeroizing::new([0_u8; RANDOM_BYTES + CHECKSUM_BYTES]);
    let (random, checksum) = bytes.split_at_mut(RANDOM_BYTES);
    getrandom::fill(random).map_err(|_| SealError::NoRandomness)?;
    checksum.copy_from_slice(&checksum_of(random));
    let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.as_slice()));
    let digest = KeyDigest(Sha256::digest(key.as_bytes()).into());
    Ok((SecretString::from(key), digest))
}

/// Returns the digest of a key, or `None` if the text has a wrong prefix, length or checksum.
pub fn digest_of(credentials: &str) -> Option<KeyDigest> {
    let encoded = credentials.strip_prefix(PREFIX)?;
    let mut bytes = Zeroizing::new([0_u8; RANDOM_BYTES + CHECKSUM_BYTES]);
    let length = URL_SAFE_NO_PAD
        .decode_slice(encoded, bytes.as_mut_slice())
        .ok()?;
    let (random, checksum) = bytes.split_at(RANDOM_BYTES);
    let is_key = length == bytes.len() && checksum == checksum_of(random);
    is_key.then(|| KeyDigest(Sha256::digest(credentials.as_bytes()).into()))
}

fn checksum_of(random: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = Sha256::new_with_prefix(b"whoop service key").chain_update(random);
    let mut checksum = [0; CHECKSUM_BYTES];
    checksum.copy_from_slice(&digest.finalize()[..CHECKSUM_BYTES]);
    checksum
}

/// Permission of a service key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Permits reading members' data: every `GET` route except those of the operator.
    Read,
    /// Permits connecting members and syncing their data.
    Sync,
    /// Permits disconnecting and erasing members.
    Erase,
    /// Permits calling the operator's routes.
    Operate,
}

impl Scope {
    pub const ALL: [Self; 4] = [Self::Read, Self::Sync, Self::Erase, Self::Operate];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Sync => "sync",
            Self::Erase => "erase",
            Self::Operate => "operate",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The scopes of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeSet(BTreeSet<Scope>);

impl ScopeSet {
    /// Returns the set of all scopes.
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().copied()
    }

    /// Parses the value of the column `scopes`. Scopes that this version does not know are ignored.
    pub(crate) fn parse_column(text: &str) -> Self {
        let scope_of = |name: &str| Scope::ALL.into_iter().find(|scope| scope.as_str() == name);
        text.split(',').filter_map(scope_of).collect()
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

/// Writes the scopes separated by commas, as they are stored in the column `scopes`.
impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|scope| scope.as_str()).collect();
        f.write_str(&names.join(","))
    }
}

/// Name of a service key: 1 to 64 characters of `a-z`, `0-9`, `.`, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName(String);

/// Error for a text that is not a valid name of a service key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name has 1 to 64 characters of a-z, 0-9, dot, underscore and hyphen, such as `backend` or `nightly-report.2`"
)]
pub struct InvalidKeyName;

impl KeyName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = InvalidKeyName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidKeyName)
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_new_key_is_recognised_and_any_other_text_is_not() {
        let (key, digest) = generate().unwrap();
        let key = key.expose_secret();

        assert_eq!(key.len(), 52);
        assert_eq!(digest_of(key), Some(digest));
        for position in PREFIX.len()..key.len() {
            let mut changed = key.as_bytes().to_vec();
            changed[position] = if changed[position] == b'A' {
                b'B'
            } else {
                b'A'
            };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(digest_of(&changed), None, "{position}");
        }
        let zeros = format!("{PREFIX}{}", "A".repeat(48));
        for other in [
            "",
            PREFIX,
            &key[1..],
            &key[..51],
            &format!("{key}A"),
            &zeros,
            "wsk_é",
        ] {
            assert_eq!(digest_of(other), None, "{other:?}");
        }
    }

    #[test]
    fn two_keys_differ() {
        let [one, other] = [(), ()].map(|()| generate().unwrap());

        assert_ne!(one.0.expose_secret(), other.0.expose_secret());
    }

    #[test]
    fn scopes_are_written_and_read_back_and_an_unknown_scope_is_ignored() {
        let scopes: ScopeSet = [Scope::Erase, Scope::Read, Scope::Read]
            .into_iter()
            .collect();

        assert_eq!(scopes.to_string(), "read,erase");
        assert_eq!(ScopeSet::parse_column("read,erase,of-tomorrow"), scopes);
        assert!(!scopes.contains(Scope::Operate));
    }

    #[test]
    fn a_name_is_short_and_plain() {
        for good in ["a", "backend", "nightly-report.2", &"x".repeat(64)] {
            assert!(good.parse::<KeyName>().is_ok(), "{good}");
        }
        for bad in ["", "Backend", "a b", "ä", "a\n", "a/b", &"x".repeat(65)] {
            assert_eq!(bad.parse::<KeyName>(), Err(InvalidKeyName), "{bad:?}");
        }
    }
}
