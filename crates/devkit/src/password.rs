use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::random;

/// A random password, and the SCRAM verifier that a PostgreSQL server stores for it.
pub(crate) struct ClusterPassword {
    pub(crate) text: String,
    /// The SCRAM verifier. PostgreSQL accepts it in place of a password and stores it unchanged.
    pub(crate) verifier: String,
}

impl ClusterPassword {
    pub(crate) fn random() -> Self {
        let text = random::hex::<16>();
        let salt = random::bytes::<16>();
        let verifier = scram_verifier(&text, &salt);
        Self { text, verifier }
    }
}

/// Computes a SCRAM verifier with one round of hashing instead of the usual 4096 rounds.
///
/// Many rounds protect passwords that people choose. This password has 128 random bits, so one
/// round is enough. The client computes all rounds at every connection, and in a debug build 4096
/// rounds take 60 ms.
fn scram_verifier(password: &str, salt: &[u8]) -> String {
    // RFC 5802: the first round signs the salt followed by the number of the round.
    let salted = hmac_sha256(password.as_bytes(), &[salt, &1_u32.to_be_bytes()]);
    let stored_key = Sha256::digest(hmac_sha256(&salted, &[b"Client Key"]));
    let server_key = hmac_sha256(&salted, &[b"Server Key"]);
    format!(
        "SCRAM-SHA-256$1:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored_key),
        STANDARD.encode(server_key)
    )
}

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC accepts keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
