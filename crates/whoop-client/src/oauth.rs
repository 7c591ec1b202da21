//! OAuth: the consent page on which a member grants access, and the exchange and refresh of token
//! pairs.

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

/// OAuth scopes that a member is asked to grant: all data that this service reads. Without the
/// scope `offline`, WHOOP issues no refresh token.
pub const SCOPES: &str =
    "offline read:profile read:body_measurement read:cycles read:recovery read:sleep read:workout";

/// Lifetime of an access token that is assumed if WHOOP's reply contains none: one hour.
const DEFAULT_TOKEN_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// Token pair of a member: an access token, and the refresh token that is exchanged for the next
/// token pair.
#[derive(Debug, Clone)]
pub struct TokenPair {
    pub access_token: SecretString,
    pub refresh_token: Option<SecretString>,
    pub expires_in: TimeDelta,
    /// Scopes as WHOOP returns them, which may be fewer than the member granted.
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
    /// `state` must have at least eight characters, because WHOOP refuses shorter values.
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

    /// Exchanges the authorization code that WHOOP's redirect contained for the member's first
    /// token pair.
    ///
    /// The client sends one request and does not retry it, because a code can be used only once.
    ///
    /// # Errors
    ///
    /// Returns [`WhoopError::InvalidGrant`] if the code was used before or is too old, or any other
    /// [`WhoopError`].
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

    /// Exchanges a refresh token for the next token pair. WHOOP then no longer accepts the old
    /// token pair.
    ///
    /// The client sends one request and does not retry it: if WHOOP's answer is lost, the old
    /// refresh token is no longer valid. The caller should use the policy
    /// [`crate::RetryPolicy::refresh`], so that a shorter timeout does not cancel the request. If
    /// WHOOP's reply contains no refresh token, the returned token pair contains `refresh_token`.
    ///
    /// # Errors
    ///
    /// Returns [`WhoopError::InvalidGrant`] if the refresh token was used before or was revoked, or
    /// any other [`WhoopError`].
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

    /// Checks that WHOOP accepts the client id and the client secret of the WHOOP app.
    ///
    /// The client sends an invalid authorization code. WHOOP checks the credentials first, so an
    /// answer that refuses the code shows that the credentials are right.
    ///
    /// # Errors
    ///
    /// Returns [`WhoopError::TokenRefused`] if the client id or the client secret is wrong, or any
    /// other [`WhoopError`].
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

    /// Waits until the token endpoint accepts requests again after a reply with status 429, and
    /// subtracts the time that it waited from `remaining_wait`.
    ///
    /// # Errors
    ///
    /// Returns [`WhoopError::RateLimited`] immediately if the wait would be longer than
    /// `remaining_wait`.
    pub async fn wait_for_token_endpoint(
        &self,
        remaining_wait: &mut Duration,
    ) -> Result<(), WhoopError> {
        self.shared.token_gate.wait_until_open(remaining_wait).await
    }
}

/// Sends one request to the token endpoint.
///
/// The request does not count against the quota. The token endpoint has its own rate-limit gate,
/// because it is not known whether it shares the limits of the API. An error reply also closes the
/// rate-limit gate of the API, but only if its `X-RateLimit` headers show that the quota of the
/// WHOOP app is used up.
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
        // The message of serde is not used, because it quotes the invalid value, which may be a
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

/// Parses the lifetime of a token: a number of seconds, written as a number or as text. Returns one
/// hour if the value is invalid, negative or longer than a year.
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
        // WHOOP sent these errors during an outage, and accepted the same refresh token afterwards.
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

/// Returns the error code if it has the form of an OAuth error code: at most 40 lower-case letters
/// and underscores. Any other text is replaced, because it might contain a secret.
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
