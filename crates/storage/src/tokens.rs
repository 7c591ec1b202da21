use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    StorageError,
    seal::{SealError, SealedText, TokenKeys},
};

/// The decrypted access token and refresh token of a member.
#[derive(Debug, Clone)]
pub struct OAuthTokens {
    pub access_token: SecretString,
    /// `None` if the member did not grant the scope `offline`.
    pub refresh_token: Option<SecretString>,
    /// Granted scopes, separated by spaces.
    pub scope: String,
    /// Expiry of the access token.
    pub expires_at: DateTime<Utc>,
}

/// The part of a token pair that is encrypted, as JSON.
#[derive(Serialize, Deserialize, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
struct SealedPair {
    access_token: String,
    refresh_token: Option<String>,
}

impl OAuthTokens {
    /// Seals the token pair for its owner: the id of a member, or the id of a row that names no
    /// member.
    pub(crate) fn seal(&self, keys: &TokenKeys, owner: &str) -> Result<SealedText, StorageError> {
        let plain_text = |token: &SecretString| token.expose_secret().to_owned();
        let pair = SealedPair {
            access_token: plain_text(&self.access_token),
            refresh_token: self.refresh_token.as_ref().map(plain_text),
        };
        let text = serde_json::to_string(&pair).map_err(|_| SealError::DoesNotOpen)?;
        Ok(keys.seal(owner, &SecretString::from(text))?)
    }

    pub(crate) fn open(
        keys: &TokenKeys,
        owner: &str,
        sealed: &SealedText,
        scope: String,
        expires_at: DateTime<Utc>,
    ) -> Result<Self, StorageError> {
        let text = keys.open(owner, sealed)?;
        let pair: SealedPair =
            serde_json::from_str(text.expose_secret()).map_err(|_| SealError::DoesNotOpen)?;
        Ok(Self {
            access_token: SecretString::from(pair.access_token.clone()),
            refresh_token: pair.refresh_token.clone().map(SecretString::from),
            scope,
            expires_at,
        })
    }
}
