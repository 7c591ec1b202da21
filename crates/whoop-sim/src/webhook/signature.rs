//! The signature that proves that WHOOP sent a webhook.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Returns the signature of a webhook: an HMAC-SHA256, in Base64, of the timestamp header's text
/// directly followed by the raw body.
pub(super) fn sign(client_secret: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(client_secret.as_bytes())
        .expect("HMAC accepts keys of any length");
    mac.update(timestamp.as_bytes());
    mac.update(body);
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whs-demo-client-secret-0001";
    const TIMESTAMP: &str = "1790745888120";
    const BODY: &str = concat!(
        r#"{"user_id":20481337,"id":"3f0b6a52-7c1e-4a8d-9b3e-51d2c07f9a10","#,
        r#""type":"recovery.updated","trace_id":"1d0b7a5e-53c4-4b2f-9e86-6a7f20c1d9ab"}"#,
    );
    const EXPECTED: &str = "BLpBIioCioffWdU0NtIS4Y3UG68MkyJnk/wgKA+uHJU=";

    #[test]
    fn the_signature_equals_one_computed_by_another_program() {
        assert_eq!(sign(SECRET, TIMESTAMP, BODY.as_bytes()), EXPECTED);
    }

    #[test]
    fn a_dot_or_other_spaces_in_the_body_change_the_signature() {
        let dotted = sign(SECRET, &format!("{TIMESTAMP}."), BODY.as_bytes());
        assert_eq!(dotted, "E6KUguW1m2bLHkdnUdS6mBr3vxzNbYH8cUrKkxbs3yM=");

        let spaced = BODY.replace("\":", "\": ").replace(",\"", ", \"");
        let spaced = sign(SECRET, TIMESTAMP, spaced.as_bytes());
        assert_eq!(spaced, "ZsZWCzU2Eq1wdHU/1MxDyxd0OhRyQo6uigMSFAu/zKE=");
    }
}
