//! Pseudonyms of members: HMAC-SHA-256 of the member's id with a key that is derived from
//! `TOKEN_KEYS`.
//!
//! A plain digest would not hide the member, because it can be computed for every id in a list of
//! ids. These pseudonyms can be computed only with the key. A new pseudonym is made with the first
//! key of `TOKEN_KEYS`, so it changes when another key becomes the first. After a key is removed
//! from `TOKEN_KEYS`, the pseudonyms that were made with it cannot be matched to members any more.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Purpose of a pseudonym. A member has a different pseudonym for each purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PseudonymPurpose {
    /// The field `member` of a line in the request log.
    Log,
    /// The column `user_id` of the audit trail, after the member was erased.
    Audit,
}

impl PseudonymPurpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Log => b"log",
            Self::Audit => b"audit",
        }
    }
}

/// Computes the pseudonym of a member with one key. Returns the first `bytes` bytes of the HMAC in
/// hexadecimal digits.
pub(crate) fn pseudonym(
    key: &[u8],
    purpose: PseudonymPurpose,
    user_id: &str,
    bytes: usize,
) -> String {
    // Each purpose has its own derived key. The original key is used directly only to seal tokens.
    let derived_key = mac(key, &[b"whoop pseudonym ", purpose.label()]);
    let digest = mac(&derived_key, &[user_id.as_bytes()]);
    digest
        .iter()
        .take(bytes)
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC accepts a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_depends_on_the_key_the_purpose_and_the_id() {
        let of = |key: &[u8], purpose, id| pseudonym(key, purpose, id, 16);
        let one = of(&[1; 32], PseudonymPurpose::Log, "alice");

        assert_eq!(one, of(&[1; 32], PseudonymPurpose::Log, "alice"));
        assert_eq!(one.len(), 32);
        assert_ne!(one, of(&[2; 32], PseudonymPurpose::Log, "alice"));
        assert_ne!(one, of(&[1; 32], PseudonymPurpose::Audit, "alice"));
        assert_ne!(one, of(&[1; 32], PseudonymPurpose::Log, "bob"));
    }
}
