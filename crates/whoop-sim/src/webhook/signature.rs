//! The signature that proves that WHOOP sent a webhook.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Signs the text of the timestamp header, directly followed by the raw body.
pub(super) fn sign(client_secret: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(client_secret.as_bytes())
        .expect("HMAC takes keys of any length");
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
    const WORKED: &str = "BLpBIioCioffWdU0NtIS4Y3UG68MkyJnk/wgKA+uHJU=";

    #[test]
    fn the_signature_is_the_one_that_was_worked_out_apart_from_this_code() {
        assert_eq!(sign(SECRET, TIMESTAMP, BODY.as_bytes()), WORKED);
    }

    #[test]
    fn a_dot_or_a_body_with_other_spaces_signs_differently() {
        let dotted = sign(SECRET, &format!("{TIMESTAMP}."), BODY.as_bytes());
        assert_eq!(dotted, "E6KUguW1m2bLHkdnUdS6mBr3vxzNbYH8cUrKkxbs3yM=");

        let spaced = BODY.replace("\":", "\": ").replace(",\"", ", \"");
        let spaced = sign(SECRET, TIMESTAMP, spaced.as_bytes());
        assert_eq!(spaced, "ZsZWCzU2Eq1wdHU/1MxDyxd0OhRyQo6uigMSFAu/zKE=");
    }
}
