use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::random;

/// A password that cannot be guessed, and what a server keeps of it.
pub(crate) struct ClusterPassword {
    pub(crate) text: String,
    /// PostgreSQL takes this where it takes a password, and stores it as it is.
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

/// A SCRAM verifier of one round instead of the usual 4096.
///
/// The rounds protect passwords that people make up. Here are 128 random
/// bits, and each round is paid by the client at each connection: in a debug
/// build the usual number takes 60 ms.
fn scram_verifier(password: &str, salt: &[u8]) -> String {
    // RFC 5802: the first round signs the salt and the round's number.
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
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
