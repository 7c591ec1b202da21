//! WHOOP's webhooks: verifies the signature of a webhook and parses its event.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::WhoopClient;

/// HTTP header with the signature of a webhook: an HMAC-SHA256 in standard base64.
pub const SIGNATURE_HEADER: &str = "X-WHOOP-Signature";

/// HTTP header with the time at which WHOOP signed a webhook, in milliseconds since 1970.
pub const TIMESTAMP_HEADER: &str = "X-WHOOP-Signature-Timestamp";

/// Maximum length of a text field of an event, in characters. WHOOP's ids and event types are far
/// shorter.
const MAX_FIELD_CHARS: usize = 200;

/// A received webhook whose signature was not verified yet.
#[derive(Clone, Copy)]
pub struct WebhookEnvelope<'a> {
    /// Value of the header [`SIGNATURE_HEADER`]; `None` if the header is absent.
    pub signature: Option<&'a str>,
    /// Value of the header [`TIMESTAMP_HEADER`]; `None` if the header is absent. The signature
    /// covers exactly this text.
    pub timestamp: Option<&'a str>,
    /// Bytes of the body exactly as received. The signature covers these bytes, and not JSON that
    /// was parsed and written again.
    pub body: &'a [u8],
}

/// Maximum difference between the signed timestamp of a webhook and the current time.
#[derive(Debug, Clone, Copy)]
pub struct TimestampTolerance {
    pub past: TimeDelta,
    pub future: TimeDelta,
}

impl Default for TimestampTolerance {
    /// Returns a tolerance of 75 minutes for past and 5 minutes for future timestamps.
    ///
    /// WHOOP retries a webhook for about an hour, and it is not known whether a retry has the
    /// timestamp of the first attempt.
    fn default() -> Self {
        Self {
            past: TimeDelta::minutes(75),
            future: TimeDelta::minutes(5),
        }
    }
}

/// Webhook event: WHOOP reports that a record of a member was created, changed or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEvent {
    /// Id of the event. If WHOOP sends the event several times, the id is the same.
    pub trace_id: String,
    /// Type of the event, such as `sleep.updated` or `recovery.deleted`.
    pub event_type: String,
    /// Id of the record. For a recovery, this is the id of its sleep.
    pub record_id: String,
    pub whoop_user_id: i64,
    pub signed_at: DateTime<Utc>,
}

/// Reason for which a webhook is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    #[error("the header {0} is missing")]
    MissingHeader(&'static str),
    #[error("the signature does not match the body and the client secret of this WHOOP app")]
    BadSignature,
    #[error("{TIMESTAMP_HEADER} is not a number of milliseconds")]
    BadTimestamp,
    #[error("the webhook was signed {seconds} s ago; the limit is {limit} s")]
    TooOld { seconds: i64, limit: i64 },
    #[error(
        "the webhook's timestamp is {seconds} s ahead of this server's clock; the limit is {limit} s"
    )]
    TooNew { seconds: i64, limit: i64 },
    #[error("the body is not a webhook event: {0}")]
    Malformed(&'static str),
}

impl WebhookError {
    /// Returns whether the signature or its timestamp is missing, invalid, or too old or too new.
    ///
    /// Returns `false` if the signature is valid and only the body is not a webhook event.
    pub const fn is_signature_error(&self) -> bool {
        !matches!(self, Self::Malformed(_))
    }
}

impl WhoopClient {
    /// Verifies that WHOOP signed the webhook recently, and parses its event.
    ///
    /// # Errors
    ///
    /// Returns the reason for which the webhook must be refused.
    pub fn verify_webhook(
        &self,
        envelope: WebhookEnvelope<'_>,
        tolerance: TimestampTolerance,
        now: DateTime<Utc>,
    ) -> Result<WebhookEvent, WebhookError> {
        verify_and_parse(&self.shared.config.client_secret, envelope, tolerance, now)
    }
}

fn verify_and_parse(
    client_secret: &SecretString,
    envelope: WebhookEnvelope<'_>,
    tolerance: TimestampTolerance,
    now: DateTime<Utc>,
) -> Result<WebhookEvent, WebhookError> {
    let signature = envelope
        .signature
        .ok_or(WebhookError::MissingHeader(SIGNATURE_HEADER))?;
    let timestamp = envelope
        .timestamp
        .ok_or(WebhookError::MissingHeader(TIMESTAMP_HEADER))?;
    let signature = BASE64_STANDARD
        .decode(signature)
        .map_err(|_| WebhookError::BadSignature)?;
    // Creating the HMAC cannot fail, because an HMAC accepts a key of any length. `verify_slice`
    // compares the signatures in constant time.
    let mut mac = Hmac::<Sha256>::new_from_slice(client_secret.expose_secret().as_bytes())
        .map_err(|_| WebhookError::BadSignature)?;
    mac.update(timestamp.as_bytes());
    mac.update(envelope.body);
    mac.verify_slice(&signature)
        .map_err(|_| WebhookError::BadSignature)?;

    let signed_at = timestamp
        .parse()
        .ok()
        .and_then(DateTime::from_timestamp_millis)
        .ok_or(WebhookError::BadTimestamp)?;
    let age = now - signed_at;
    if age > tolerance.past {
        return Err(WebhookError::TooOld {
            seconds: age.num_seconds(),
            limit: tolerance.past.num_seconds(),
        });
    }
    if -age > tolerance.future {
        return Err(WebhookError::TooNew {
            seconds: -age.num_seconds(),
            limit: tolerance.future.num_seconds(),
        });
    }
    parse_event(envelope.body, signed_at)
}

fn parse_event(body: &[u8], signed_at: DateTime<Utc>) -> Result<WebhookEvent, WebhookError> {
    let Ok(Value::Object(event)) = serde_json::from_slice(body) else {
        return Err(WebhookError::Malformed("it is not a JSON object"));
    };
    let field = |name| event.get(name).and_then(short_text);
    let whoop_user_id = match event.get("user_id") {
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    Ok(WebhookEvent {
        // If the event has no trace id, the hash of the signed content identifies copies of the
        // event.
        trace_id: field("trace_id").unwrap_or_else(|| {
            let content = Sha256::new()
                .chain_update(signed_at.timestamp_millis().to_string())
                .chain_update(body);
            to_hex(&content.finalize())
        }),
        event_type: field("type").ok_or(WebhookError::Malformed("`type` is missing"))?,
        record_id: field("id").ok_or(WebhookError::Malformed("`id` is missing"))?,
        whoop_user_id: whoop_user_id
            .ok_or(WebhookError::Malformed("`user_id` is not a whole number"))?,
        signed_at,
    })
}

/// Returns a text or a number as text; `None` for any other value, and for a text that is empty,
/// too long or contains control characters.
fn short_text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let fits = !text.is_empty()
        && text.chars().count() <= MAX_FIELD_CHARS
        && !text.chars().any(char::is_control);
    fits.then_some(text)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

impl fmt::Debug for WebhookEnvelope<'_> {
    /// Omits the signature from debug output. A person who reads it could send the webhook again
    /// until its timestamp is too old.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookEnvelope")
            .field("timestamp", &self.timestamp)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMESTAMP: &str = "1790745888120";
    const BODY: &str = concat!(
        r#"{"user_id":20481337,"id":"3f0b6a52-7c1e-4a8d-9b3e-51d2c07f9a10","#,
        r#""type":"recovery.updated","trace_id":"1d0b7a5e-53c4-4b2f-9e86-6a7f20c1d9ab"}"#,
    );
    /// Signature of `TIMESTAMP` and `BODY`, computed with another program than this code.
    const SIGNATURE: &str = "BLpBIioCioffWdU0NtIS4Y3UG68MkyJnk/wgKA+uHJU=";

    fn secret() -> SecretString {
        "whs-demo-client-secret-0001".into()
    }

    fn signed_at() -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_790_745_888_120).unwrap()
    }

    fn valid_envelope() -> WebhookEnvelope<'static> {
        WebhookEnvelope {
            signature: Some(SIGNATURE),
            timestamp: Some(TIMESTAMP),
            body: BODY.as_bytes(),
        }
    }

    fn verify(
        envelope: WebhookEnvelope<'_>,
        now: DateTime<Utc>,
    ) -> Result<WebhookEvent, WebhookError> {
        verify_and_parse(&secret(), envelope, TimestampTolerance::default(), now)
    }

    /// Signs a body with the right secret and verifies it.
    fn signed(body: &[u8]) -> Result<WebhookEvent, WebhookError> {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret().expose_secret().as_bytes()).unwrap();
        mac.update(TIMESTAMP.as_bytes());
        mac.update(body);
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        let envelope = WebhookEnvelope {
            signature: Some(&signature),
            body,
            ..valid_envelope()
        };
        verify(envelope, signed_at())
    }

    #[test]
    fn a_webhook_signed_by_whoop_is_accepted() {
        let event = verify(valid_envelope(), signed_at()).unwrap();

        assert_eq!(event.event_type, "recovery.updated");
        assert_eq!(event.record_id, "3f0b6a52-7c1e-4a8d-9b3e-51d2c07f9a10");
        assert_eq!(event.trace_id, "1d0b7a5e-53c4-4b2f-9e86-6a7f20c1d9ab");
        assert_eq!(event.whoop_user_id, 20_481_337);
        assert_eq!(event.signed_at, signed_at());
    }

    #[test]
    fn a_webhook_is_accepted_until_75_minutes_after_its_timestamp() {
        let after = |minutes| verify(valid_envelope(), signed_at() + TimeDelta::minutes(minutes));

        assert!(after(75).is_ok());
        assert!(matches!(after(76), Err(WebhookError::TooOld { .. })));
        assert!(after(-5).is_ok());
        assert!(matches!(after(-6), Err(WebhookError::TooNew { .. })));
    }

    #[test]
    fn a_changed_timestamp_invalidates_the_signature() {
        let now = signed_at() + TimeDelta::days(1);
        let now_text = now.timestamp_millis().to_string();
        let altered = WebhookEnvelope {
            timestamp: Some(&now_text),
            ..valid_envelope()
        };

        assert_eq!(verify(altered, now), Err(WebhookError::BadSignature));
    }

    #[test]
    fn missing_headers_and_other_encodings_of_the_signature_are_refused() {
        let without_signature = WebhookEnvelope {
            signature: None,
            ..valid_envelope()
        };
        let without_timestamp = WebhookEnvelope {
            timestamp: None,
            ..valid_envelope()
        };
        // The signature in hexadecimal; the signature of a text with a dot between timestamp and
        // body; the signature of a body with other spaces; and no signature.
        let other = [
            "04ba41222a028a87df59d53436d212e18dd41baf0c932267 93fc20280fae1c95",
            "E6KUguW1m2bLHkdnUdS6mBr3vxzNbYH8cUrKkxbs3yM=",
            "ZsZWCzU2Eq1wdHU/1MxDyxd0OhRyQo6uigMSFAu/zKE=",
            "",
        ];

        assert!(matches!(
            verify(without_signature, signed_at()),
            Err(WebhookError::MissingHeader(SIGNATURE_HEADER))
        ));
        assert!(matches!(
            verify(without_timestamp, signed_at()),
            Err(WebhookError::MissingHeader(TIMESTAMP_HEADER))
        ));
        for signature in other {
            let envelope = WebhookEnvelope {
                signature: Some(signature),
                ..valid_envelope()
            };
            assert_eq!(
                verify(envelope, signed_at()),
                Err(WebhookError::BadSignature)
            );
        }
    }

    #[test]
    fn an_unknown_event_type_is_accepted() {
        let event = signed(br#"{"user_id":"7","id":9,"type":"cycle.created","more":{}}"#).unwrap();

        assert_eq!(event.event_type, "cycle.created");
        assert_eq!((event.record_id.as_str(), event.whoop_user_id), ("9", 7));
        assert_eq!(event.trace_id.len(), 64);
    }

    #[test]
    fn a_body_without_the_required_fields_is_malformed() {
        for body in [
            "",
            "[]",
            "null",
            "{}",
            r#"{"user_id":1,"id":"a"}"#,
            r#"{"user_id":1,"type":"a"}"#,
            r#"{"user_id":1.5,"id":"a","type":"b"}"#,
            "{\"user_id\":1,\"id\":\"a\\u0000\",\"type\":\"b\"}",
        ] {
            let refused = signed(body.as_bytes()).unwrap_err();
            assert!(!refused.is_signature_error(), "{body}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn no_other_body_is_accepted_with_the_same_signature(
            position in 0..BODY.len(),
            byte in any::<u8>(),
        ) {
            let mut body = BODY.as_bytes().to_vec();
            prop_assume!(body[position] != byte);
            body[position] = byte;
            let forged = WebhookEnvelope { body: &body, ..valid_envelope() };

            prop_assert_eq!(verify(forged, signed_at()), Err(WebhookError::BadSignature));
        }

        #[test]
        fn any_signed_bytes_are_read_or_refused(body in any::<Vec<u8>>()) {
            let _ = signed(&body);
        }
    }
}
