use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::start_error::StartError;

/// Digests of the keys whose holders may act for any member. Several, so that
/// one can be changed without a gap.
#[derive(Debug)]
pub(super) struct ServiceKeys(Vec<[u8; 32]>);

impl ServiceKeys {
    pub(super) fn parse(digests: &[String]) -> Result<Self, StartError> {
        digests
            .iter()
            .map(|digest| digest.trim())
            .filter(|digest| !digest.is_empty())
            .map(|digest| match parse_digest(digest) {
                None => Err(StartError::ServiceKey),
                Some(digest) if digest == <[u8; 32]>::from(Sha256::digest("")) => {
                    Err(StartError::EmptyServiceKey)
                }
                Some(digest) => Ok(digest),
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Every key is compared, in constant time: how long it takes tells nothing.
    pub(super) fn contain(&self, credentials: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(credentials.as_bytes()).into();
        let mut found = subtle::Choice::from(0);
        for key in &self.0 {
            found |= key.ct_eq(&digest);
        }
        found.into()
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
    fn the_old_key_and_the_new_one_open_while_one_takes_the_others_place() {
        let both = ServiceKeys::parse(&[digest("old"), format!(" {} ", digest("new"))]).unwrap();

        assert!(both.contain("old") && both.contain("new"));
        for stranger in ["", "ol", "old ", "newer", &digest("old")] {
            assert!(!both.contain(stranger), "{stranger:?}");
        }
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        for bad in ["secret", &"+".repeat(64), &"é".repeat(32), &"a".repeat(63)] {
            assert!(ServiceKeys::parse(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
