//! OAuth: the member's permission, and the exchange and refresh of token pairs.

use std::time::Duration;

use chrono::TimeDelta;
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::Error as _};
use serde_json::Value;
use tokio::time::timeout;
use tracing::Instrument;
use url::Url;

use crate::{
    WhoopClient, WhoopError,
    call::{call_span, read_body, send_traced, status_error},
    config::append_segments,
    rate_limit::QuotaHeaders,
    request_count::outcome_label,
};

/// Scopes of all data that this service reads. Without `offline`, WHOOP issues no refresh token.
pub const SCOPES: &str =
    "offline read:profile read:body_measurement read:cycles read:recovery read:sleep read:workout";

/// Lifetime of an access token, if WHOOP's reply has none.
const DEFAULT_TOKEN_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// An access token and the refresh token for the next pair.
#[derive(Debug, Clone)]
pub struct TokenPair {
    pub access_token: SecretString,
    pub refresh_token: Option<SecretString>,
    pub expires_in: TimeDelta,
    /// Scope as WHOOP returns it, which may be less than the member granted.
    pub scope: Option<String>,
}

#[derive(Deserialize)]
struct TokenReply {
    access_token: SecretString,
    refresh_token: Option<SecretString>,
    expires_in: Option<Value>,
    scope: Option<String>,
}

#[derive(Deserialize)]
struct TokenErrorReply {
    error: String,
}

impl WhoopClient {
    /// Returns the URL of WHOOP's consent page for a member who wants to connect.
    ///
    /// WHOOP requires at least eight characters of `state`.
    pub fn authorization_url(&self, state: &str) -> Url {
        let config = &self.shared.config;
        let mut url = append_segments(&config.oauth_url, ["auth"]);
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &config.client_id)
            .append_pair("redirect_uri", config.redirect_url.as_str())
            .append_pair("scope", SCOPES)
            .append_pair("state", state);
        url
    }

    /// Exchanges the code of a redirect for the first token pair. Sends one request without
    /// retries, because a code can be used once.
    ///
    /// # Errors
    ///
    /// Returns [`WhoopError::InvalidGrant`] if the code was used before or is too old.
    pub async fn exchange_code(&self, code: &str) -> Result<TokenPair, WhoopError> {
        let redirect_url = self.shared.config.redirect_url.as_str();
        request_tokens(
            self,
            "oauth/token (code)",
            &[
                ("grant_type", "authorization_code"),
                ("code", code),
                ("redirect_uri", redirect_url),
            ],
        )
        .await
    }

    /// Exchanges a refresh token for the next pair, which invalidates the old pair.
    ///
    /// Sends one request without retries: if the answer is lost, the refresh token is unusable. The
    /// caller should use [`crate::RetryPolicy::refresh`], so that its own timeout does not cut the
    /// request off. If the reply has no refresh token, the returned pair contains the one that was
    /// passed in.
    ///
    /// # Errors
    ///
    /// Returns [`WhoopError::InvalidGrant`] if the token was used before or revoked.
    pub async fn refresh_tokens(
        &self,
        refresh_token: &SecretString,
        scope: &str,
    ) -> Result<TokenPair, WhoopError> {
        let mut pair = request_tokens(
            self,
            "oauth/token (refresh)",
            &[
                ("grant_type", "refresh_token"),
                ("refresh_token", refresh_token.expose_secret()),
                ("scope", scope),
            ],
        )
        .await?;
        pair.refresh_token
            .get_or_insert_with(|| refresh_token.clone());
        Ok(pair)
    }

    /// Checks that WHOOP accepts the client id and the client secret. Sends an invalid
    /// authorization code: WHOOP checks the credentials first, so it refuses the code only if the
    /// credentials are right.
    ///
    /// # Errors
    ///
    /// Returns [`WhoopError::TokenRefused`] if the id or the secret is wrong.
    pub async fn check_app_credentials(&self) -> Result<(), WhoopError> {
        let redirect_url = self.shared.config.redirect_url.as_str();
        let result = request_tokens(
            self,
            "oauth/token (check)",
            &[
                ("grant_type", "authorization_code"),
                ("code", "no-such-code"),
                ("redirect_uri", redirect_url),
            ],
        )
        .await;
        match result {
            Ok(_) | Err(WhoopError::InvalidGrant) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Waits until the token endpoint accepts requests again after a 429. Subtracts the wait from
    /// `remaining_wait`.
    ///
    /// # Errors
    ///
    /// Returns [`WhoopError::RateLimited`] immediately if the wait is longer than `remaining_wait`.
    pub async fn wait_for_token_endpoint(
        &self,
        remaining_wait: &mut Duration,
    ) -> Result<(), WhoopError> {
        self.shared.token_gate.wait_until_open(remaining_wait).await
    }
}

/// Sends one token request. It does not count against the quota and has a rate-limit gate of
/// its own, because it is not known whether the token endpoint shares the limits of the API. A
/// 429 closes the API's gate as well only if its `X-RateLimit` headers show that the app's
/// quota is used up.
async fn request_tokens(
    client: &WhoopClient,
    endpoint: &'static str,
    grant: &[(&str, &str)],
) -> Result<TokenPair, WhoopError> {
    let mut remaining_wait = client.retry_policy.max_wait;
    client.wait_for_token_endpoint(&mut remaining_wait).await?;
    let config = &client.shared.config;
    let mut form = grant.to_vec();
    form.push(("client_id", &config.client_id));
    form.push(("client_secret", config.client_secret.expose_secret()));
    let request = client
        .shared
        .http
        .post(append_segments(&config.oauth_url, ["token"]))
        .form(&form);
    let exchange = async {
        let response = send_traced(request).await?;
        let status = response.status();
        let quota = QuotaHeaders::from_headers(response.headers(), client.shared.clock.now());
        let body = read_body(response).await?;
        if status.is_success() {
            return parse_token_pair(&body);
        }
        if let Some(wait) = quota.exhausted_for() {
            client.shared.api_gate.close(wait, quota.is_day_limit(wait));
        }
        let error = token_error(status, &quota, &body);
        if let WhoopError::RateLimited { retry_after, day } = error {
            client.shared.token_gate.close(retry_after, day);
        }
        Err(error)
    };
    let answer = timeout(
        client.retry_policy.call_timeout,
        exchange.instrument(call_span(endpoint)),
    )
    .await
    .unwrap_or(Err(WhoopError::TimedOut));
    client
        .shared
        .request_counters
        .count(endpoint, outcome_label(&answer));
    answer
}

fn parse_token_pair(body: &[u8]) -> Result<TokenPair, WhoopError> {
    let unreadable = || WhoopError::Decode {
        what: "a token request",
        // serde's own message is not used, because it quotes the invalid value, which may be a
        // token.
        source: serde_json::Error::custom("the reply has no valid access token"),
    };
    let reply: TokenReply = serde_json::from_slice(body).map_err(|_| unreadable())?;
    if reply.access_token.expose_secret().is_empty() {
        return Err(unreadable());
    }
    Ok(TokenPair {
        access_token: reply.access_token,
        refresh_token: reply
            .refresh_token
            .filter(|token| !token.expose_secret().is_empty()),
        expires_in: reply
            .expires_in
            .as_ref()
            .map_or(DEFAULT_TOKEN_LIFETIME, parse_lifetime),
        scope: reply.scope,
    })
}

/// Parses a number of seconds, written as a number or as text. Returns one hour for any other
/// value.
fn parse_lifetime(value: &Value) -> TimeDelta {
    let seconds = match value {
        Value::String(text) => text.trim().parse().ok(),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float saturates, and a lifetime that is too long is replaced below"
        )]
        number => number
            .as_i64()
            .or_else(|| number.as_f64().map(|seconds| seconds as i64)),
    };
    seconds
        .and_then(TimeDelta::try_seconds)
        .filter(|lifetime| (TimeDelta::zero()..TimeDelta::days(366)).contains(lifetime))
        .unwrap_or(DEFAULT_TOKEN_LIFETIME)
}

fn token_error(status: StatusCode, quota: &QuotaHeaders, body: &[u8]) -> WhoopError {
    if status == StatusCode::TOO_MANY_REQUESTS {
        let retry_after = quota.retry_delay();
        return WhoopError::RateLimited {
            retry_after,
            day: quota.is_day_limit(retry_after),
        };
    }
    if status.is_server_error() {
        return status_error(status);
    }
    let Ok(TokenErrorReply { error }) = serde_json::from_slice(body) else {
        return status_error(status);
    };
    match error.as_str() {
        "invalid_grant" => WhoopError::InvalidGrant,
        // WHOOP answered this during an outage; the same refresh token worked afterwards.
        "invalid_request" | "server_error" | "temporarily_unavailable" => {
            WhoopError::TokenRefused {
                error,
                transient: true,
            }
        }
        _ => WhoopError::TokenRefused {
            error: sanitize_error_code(error),
            transient: false,
        },
    }
}

/// Returns an error code if it has the form of OAuth's codes (lower case). Any other text might
/// contain a secret and is replaced.
fn sanitize_error_code(error: String) -> String {
    let is_error_code =
        error.len() <= 40 && error.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if is_error_code {
        error
    } else {
        "unknown error code".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorAction;

    fn refusal(status: u16, body: &str) -> WhoopError {
        token_error(
            StatusCode::from_u16(status).unwrap(),
            &QuotaHeaders::default(),
            body.as_bytes(),
        )
    }

    #[test]
    fn a_pair_is_parsed_with_and_without_optional_fields() {
        let full = parse_token_pair(
            br#"{"access_token":"a1","refresh_token":"r1","expires_in":1800,"scope":"offline read:sleep","token_type":"bearer"}"#,
        )
        .unwrap();
        assert_eq!(full.access_token.expose_secret(), "a1");
        assert_eq!(full.refresh_token.unwrap().expose_secret(), "r1");
        assert_eq!(full.expires_in, TimeDelta::minutes(30));
        assert_eq!(full.scope.as_deref(), Some("offline read:sleep"));

        let minimal = parse_token_pair(br#"{"access_token":"a1","refresh_token":null}"#).unwrap();
        assert!(minimal.refresh_token.is_none());
        assert_eq!(minimal.expires_in, DEFAULT_TOKEN_LIFETIME);
    }

    #[test]
    fn a_lifetime_may_be_text_or_a_float_and_an_invalid_one_is_an_hour() {
        for (lifetime, expected) in [
            ("\"600\"", TimeDelta::minutes(10)),
            ("600.0", TimeDelta::minutes(10)),
            ("-5", DEFAULT_TOKEN_LIFETIME),
            ("1e300", DEFAULT_TOKEN_LIFETIME),
            ("\"soon\"", DEFAULT_TOKEN_LIFETIME),
            ("null", DEFAULT_TOKEN_LIFETIME),
        ] {
            let body = format!(r#"{{"access_token":"a1","expires_in":{lifetime}}}"#);
            assert_eq!(
                parse_token_pair(body.as_bytes()).unwrap().expires_in,
                expected
            );
        }
    }

    #[test]
    fn an_error_about_a_token_reply_never_quotes_it() {
        for body in [
            r#""tok-hidden""#,
            r#"{"access_token":["tok-hidden"]}"#,
            r#"{"access_token":7,"refresh_token":"tok-hidden"}"#,
            r#"{"access_token":"","refresh_token":"tok-hidden"}"#,
            "<html>tok-hidden",
        ] {
            let error = parse_token_pair(body.as_bytes()).unwrap_err();
            assert!(
                !format!("{error:?} {error}").contains("tok-hidden"),
                "{body}"
            );
            assert_eq!(error.recommended_action(), ErrorAction::Retry);
        }
    }

    #[test]
    fn refusals_are_distinguished_by_the_oauth_error_code() {
        let reply = |code: &str| format!(r#"{{"error":"{code}","error_description":"…"}}"#);

        assert_eq!(
            refusal(400, &reply("invalid_grant")).recommended_action(),
            ErrorAction::Reconnect
        );
        assert_eq!(
            refusal(400, &reply("invalid_request")).recommended_action(),
            ErrorAction::Retry
        );
        assert_eq!(
            refusal(401, &reply("invalid_client")).recommended_action(),
            ErrorAction::GiveUp
        );
        assert_eq!(
            refusal(502, "<html>").recommended_action(),
            ErrorAction::Retry
        );
        assert!(matches!(
            refusal(403, "<html>"),
            WhoopError::Unexpected { status: 403 }
        ));
        assert!(matches!(
            refusal(429, ""),
            WhoopError::RateLimited { day: false, .. }
        ));
    }

    #[test]
    fn an_error_code_that_could_be_a_secret_is_not_repeated() {
        let error = refusal(400, r#"{"error":"bad token eyJhbGciOi.secret"}"#);

        assert!(!format!("{error:?} {error}").contains("eyJ"));
    }
}
