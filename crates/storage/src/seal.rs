//! Encryption of stored tokens: XChaCha20-Poly1305 with a key that is not in the database.
//!
//! A sealed (encrypted) text is bound to its owner, which is a member or a row, and cannot be
//! opened for another owner. The first key of `TOKEN_KEYS` seals new texts, and every key of the
//! list opens the texts that it sealed. Therefore keys can be changed while the service runs.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use zeroize::Zeroizing;

use crate::pseudonym::{PseudonymPurpose, pseudonym};

const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;

/// Reason why a token could not be sealed or opened. The message contains no secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error(
        "TOKEN_KEYS: {0}; expected id:base64-of-32-bytes[,id:…]; \
         `openssl rand -base64 32` creates a key"
    )]
    Keys(String),
    #[error("the tokens are sealed with key {0:?}, which is not in TOKEN_KEYS")]
    UnknownKey(String),
    #[error(
        "the sealed tokens cannot be opened: they were changed, \
         or were sealed for another member or with another key"
    )]
    DoesNotOpen,
    #[error("the operating system provided no random numbers")]
    NoRandomness,
}

struct SealingKey {
    id: String,
    bytes: SecretSlice<u8>,
}

/// The keys of `TOKEN_KEYS`, in order.
pub struct TokenKeys(Vec<SealingKey>);

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|key| &key.id))
            .finish()
    }
}

/// A sealed text and the id of the key that opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedText {
    pub key_id: String,
    /// The nonce, followed by the ciphertext with its authentication tag.
    pub bytes: Vec<u8>,
}

impl TokenKeys {
    /// Parses the value of `TOKEN_KEYS`: `id:base64-32-bytes[,id:…]`.
    ///
    /// # Errors
    ///
    /// [`SealError::Keys`] with the reason, which contains no part of a key.
    pub fn parse(text: &SecretString) -> Result<Self, SealError> {
        let mut keys: Vec<SealingKey> = Vec::new();
        for (position, entry) in text.expose_secret().split(',').enumerate() {
            let invalid_entry =
                |reason: &str| SealError::Keys(format!("entry {} {reason}", position + 1));
            let (id, key) = entry
                .trim()
                .split_once(':')
                .ok_or_else(|| invalid_entry("has no `id:`"))?;
            if id.is_empty() || id.len() > 64 {
                return Err(invalid_entry("needs an id of 1 to 64 characters"));
            }
            if keys.iter().any(|earlier| earlier.id == id) {
                return Err(invalid_entry("has the id of an earlier entry"));
            }
            let bytes = Zeroizing::new(
                STANDARD
                    .decode(key)
                    .map_err(|_| invalid_entry("is not base64"))?,
            );
            if bytes.len() != KEY_BYTES {
                return Err(invalid_entry(&format!(
                    "has {} bytes instead of {KEY_BYTES}",
                    bytes.len()
                )));
            }
            keys.push(SealingKey {
                id: id.to_owned(),
                bytes: SecretSlice::from(bytes.to_vec()),
            });
        }
        Ok(Self(keys))
    }

    fn cipher(key: &SealingKey) -> Result<XChaCha20Poly1305, SealError> {
        let key = Key::try_from(key.bytes.expose_secret()).map_err(|_| SealError::DoesNotOpen)?;
        Ok(XChaCha20Poly1305::new(&key))
    }

    /// Returns the id of the first key, which seals new texts.
    pub fn sealing_key_id(&self) -> &str {
        self.0.first().map_or("", |key| key.id.as_str())
    }

    /// Returns whether `TOKEN_KEYS` contains a key with this id.
    pub fn has_key(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id == id)
    }

    /// Returns the pseudonym of a member in the request log, computed with the first key.
    pub fn log_pseudonym(&self, user_id: &str) -> String {
        let first = self.0.first().map(|key| key.bytes.expose_secret());
        pseudonym(first.unwrap_or_default(), PseudonymPurpose::Log, user_id, 8)
    }

    /// Returns all pseudonyms that an erased member may have in the audit trail: one per key, in
    /// the order of the keys.
    ///
    /// New rows get the pseudonym of the first key, and older rows may have the pseudonym of
    /// another key.
    pub fn audit_pseudonyms(&self, user_id: &str) -> Vec<String> {
        self.0
            .iter()
            .map(|key| {
                let text = pseudonym(
                    key.bytes.expose_secret(),
                    PseudonymPurpose::Audit,
                    user_id,
                    16,
                );
                format!("erased:{text}")
            })
            .collect()
    }

    /// Returns the pseudonym that replaces the id of an erased member in the audit trail.
    pub fn audit_pseudonym(&self, user_id: &str) -> String {
        self.audit_pseudonyms(user_id)
            .into_iter()
            .next()
            .unwrap_or_default()
    }

    /// Seals a text for an owner with the first key.
    ///
    /// # Errors
    ///
    /// [`SealError::NoRandomness`] if the operating system provides no random nonce.
    pub fn seal(&self, owner: &str, text: &SecretString) -> Result<SealedText, SealError> {
        let key = self
            .0
            .first()
            .ok_or_else(|| SealError::Keys("there is no key".to_owned()))?;
        let mut nonce = [0_u8; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        let payload = Payload {
            msg: text.expose_secret().as_bytes(),
            aad: owner.as_bytes(),
        };
        let ciphertext = Self::cipher(key)?
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| SealError::DoesNotOpen)?;
        let mut bytes = nonce.to_vec();
        bytes.extend(ciphertext);
        Ok(SealedText {
            key_id: key.id.clone(),
            bytes,
        })
    }

    /// Opens a text that was sealed for this owner.
    ///
    /// # Errors
    ///
    /// The key is missing, the text was modified, or it was sealed for another owner.
    pub fn open(&self, owner: &str, sealed: &SealedText) -> Result<SecretString, SealError> {
        let key = self
            .0
            .iter()
            .find(|key| key.id == sealed.key_id)
            .ok_or_else(|| SealError::UnknownKey(sealed.key_id.clone()))?;
        let (nonce, ciphertext) = sealed
            .bytes
            .split_at_checked(NONCE_BYTES)
            .ok_or(SealError::DoesNotOpen)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| SealError::DoesNotOpen)?;
        let payload = Payload {
            msg: ciphertext,
            aad: owner.as_bytes(),
        };
        let text = Self::cipher(key)?
            .decrypt(&nonce, payload)
            .map_err(|_| SealError::DoesNotOpen)?;
        String::from_utf8(text)
            .map(SecretString::from)
            .map_err(|_| SealError::DoesNotOpen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> TokenKeys {
        TokenKeys::parse(&SecretString::from(text)).unwrap()
    }

    fn key(id: &str, byte: u8) -> String {
        format!("{id}:{}", STANDARD.encode([byte; KEY_BYTES]))
    }

    #[test]
    fn a_sealed_text_can_be_opened_only_for_its_owner() {
        let keys = keys(&key("a", 1));
        let sealed = keys.seal("mara", &SecretString::from("secret")).unwrap();

        assert_eq!(
            keys.open("mara", &sealed).unwrap().expose_secret(),
            "secret"
        );
        assert_eq!(
            keys.open("noa", &sealed).err(),
            Some(SealError::DoesNotOpen)
        );
    }

    #[test]
    fn a_changed_or_truncated_text_cannot_be_opened() {
        let keys = keys(&key("a", 1));
        let sealed = keys.seal("mara", &SecretString::from("secret")).unwrap();

        for position in 0..sealed.bytes.len() {
            let mut changed = sealed.clone();
            changed.bytes[position] ^= 1;
            assert!(keys.open("mara", &changed).is_err());
        }
        let truncated = SealedText {
            bytes: sealed.bytes[..10].to_vec(),
            ..sealed
        };
        assert!(keys.open("mara", &truncated).is_err());
    }

    #[test]
    fn the_first_key_seals_and_every_key_opens() {
        let old = keys(&key("a", 1));
        let sealed = old.seal("mara", &SecretString::from("secret")).unwrap();

        let both = keys(&format!("{},{}", key("b", 2), key("a", 1)));

        assert!(both.open("mara", &sealed).is_ok());
        assert_eq!(
            both.seal("mara", &SecretString::from("x")).unwrap().key_id,
            "b"
        );
        assert_eq!(
            keys(&key("b", 2)).open("mara", &sealed).err(),
            Some(SealError::UnknownKey("a".to_owned()))
        );
    }

    #[test]
    fn invalid_keys_are_refused_and_keys_are_never_printed() {
        for bad in [
            "",
            "a",
            "a:",
            "a:c2hvcnQ=",
            ":AAAA",
            &format!("{0},{0}", key("a", 1)),
        ] {
            let error = TokenKeys::parse(&SecretString::from(bad))
                .unwrap_err()
                .to_string();
            assert!(error.starts_with("TOKEN_KEYS: entry"), "{error}");
        }
        assert_eq!(format!("{:?}", keys(&key("a", 1))), r#"["a"]"#);
    }
}
