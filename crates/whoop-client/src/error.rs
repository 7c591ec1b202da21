use std::time::Duration;

/// Reason for which a request to WHOOP has no result.
///
/// No variant contains a token, an authorization code, a secret or the query of a URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WhoopError {
    /// The access token has expired, was replaced or was revoked. WHOOP's answer does not
    /// distinguish these cases.
    ///
    /// If the stored token differs from the refused one, the caller should retry with the stored
    /// token. Otherwise, it should refresh the token once.
    #[error("WHOOP did not accept the access token")]
    Unauthorized,
    /// The member did not grant the scope, or the member's WHOOP membership has expired.
    #[error("WHOOP does not allow this call for this member")]
    Forbidden,
    #[error("WHOOP's {} limit is used up for another {} s", if *day { "daily" } else { "minute" }, retry_after.as_secs())]
    RateLimited {
        retry_after: Duration,
        /// `true` if the day limit is used up, `false` if the minute limit is used up. If the day
        /// limit is used up, a run should end instead of waiting.
        day: bool,
    },
    /// The call was not sent, because the circuit breaker is open: calls for several members failed
    /// in a row.
    #[error("WHOOP has not answered since {}; the next attempt is in {} s", since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true), retry_after.as_secs())]
    Outage {
        since: chrono::DateTime<chrono::Utc>,
        retry_after: Duration,
    },
    /// The call was not sent. Its wait for a permit ended, because a request of higher priority
    /// needs the member lease.
    #[error("the call was not sent, because a request of higher priority needs the member lease")]
    Yielded,
    /// The refresh token or the authorization code was used before, was revoked, or never existed.
    #[error("WHOOP no longer accepts this refresh token or authorization code")]
    InvalidGrant,
    #[error("{}", token_refusal_message(error, *transient))]
    TokenRefused {
        /// OAuth error code of the reply, such as `invalid_client`.
        error: String,
        /// Whether the error may be temporary. During short outages, WHOOP answers valid token
        /// requests with `invalid_request`.
        transient: bool,
    },
    #[error("WHOOP returned status {status}")]
    Server { status: u16 },
    #[error("WHOOP returned the unexpected status {status}")]
    Unexpected { status: u16 },
    /// The call was not sent, because the quota ledger, which counts the calls of all processes, is
    /// unavailable.
    #[error("WHOOP was not called, because the quota ledger is unavailable")]
    QuotaUnavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the connection to WHOOP failed")]
    Transport(#[source] reqwest::Error),
    #[error("WHOOP did not answer in time")]
    TimedOut,
    #[error("WHOOP's answer to {what} is not the expected JSON")]
    Decode {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("WHOOP's answer is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("invalid WHOOP configuration: {0}")]
    Config(String),
}

/// Reaction to a [`WhoopError`] that is recommended to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorAction {
    /// Retry the request: the failure may be temporary.
    Retry,
    /// Retry the request after this time. WHOOP answers no request before then.
    WaitFor(Duration),
    /// Ask the member to connect again.
    Reconnect,
    /// Do not retry: the same request would fail again.
    GiveUp,
}

impl WhoopError {
    pub fn recommended_action(&self) -> ErrorAction {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Outage { retry_after, .. } => {
                ErrorAction::WaitFor(*retry_after)
            }
            // For `Unauthorized`, the member has to connect again only if WHOOP refuses a newly
            // refreshed token as well.
            Self::Unauthorized | Self::InvalidGrant => ErrorAction::Reconnect,
            Self::TokenRefused {
                transient: true, ..
            }
            | Self::Server { .. }
            | Self::Transport(_)
            | Self::TimedOut
            | Self::QuotaUnavailable(_)
            | Self::Yielded
            // The body may be an HTML page of a gateway during an outage, which is no reason to ask
            // the member to connect again.
            | Self::Decode { .. } => ErrorAction::Retry,
            Self::TokenRefused { .. }
            | Self::Forbidden
            | Self::Unexpected { .. }
            | Self::TooLarge { .. }
            | Self::Config(_) => ErrorAction::GiveUp,
        }
    }

    /// Returns whether WHOOP refused the authorization code or the refresh token itself.
    pub const fn is_invalid_grant(&self) -> bool {
        matches!(self, Self::InvalidGrant)
    }

    /// Returns whether the token endpoint answered `invalid_request`.
    ///
    /// WHOOP sends this error during an outage, and also for a refresh token that is no longer
    /// valid.
    pub fn is_invalid_request(&self) -> bool {
        matches!(self, Self::TokenRefused { error, .. } if error == "invalid_request")
    }

    /// Returns whether WHOOP itself refused the request, so that the request had no effect.
    ///
    /// For any other error, the answer was lost or was sent by a gateway, and the request may have
    /// had its effect.
    pub const fn is_definite_refusal(&self) -> bool {
        matches!(
            self,
            Self::InvalidGrant
                | Self::TokenRefused { .. }
                | Self::RateLimited { .. }
                | Self::Forbidden
                | Self::Unauthorized
        )
    }

    /// Returns whether the client should send the same call again immediately.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Server { .. } | Self::Transport(_) => true,
            // The body is incomplete, because the connection was interrupted.
            Self::Decode { source, .. } => source.is_eof(),
            _ => false,
        }
    }

    /// Returns whether WHOOP did not answer properly, as in an outage.
    pub(crate) fn is_upstream_failure(&self) -> bool {
        self.is_retryable() || matches!(self, Self::TimedOut | Self::Decode { .. })
    }

    /// Converts an error of reqwest. Every such error must be converted by this function, because
    /// the function removes the URL, which may contain a page token.
    pub(crate) fn from_reqwest(error: reqwest::Error) -> Self {
        Self::Transport(error.without_url())
    }
}

fn token_refusal_message(error: &str, transient: bool) -> String {
    match (error, transient) {
        ("invalid_client" | "unauthorized_client", _) => {
            format!(
                "WHOOP does not know this app ({error}): the client id or the client secret is wrong"
            )
        }
        (_, true) => format!("WHOOP temporarily refused the token request ({error})"),
        (_, false) => format!("WHOOP refused the token request ({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_client_secret_is_reported_and_not_retried() {
        let error = WhoopError::TokenRefused {
            error: "invalid_client".to_owned(),
            transient: false,
        };

        assert_eq!(error.recommended_action(), ErrorAction::GiveUp);
        assert!(error.to_string().contains("client secret is wrong"));
    }

    #[test]
    fn only_an_invalid_grant_requires_a_reconnect() {
        let temporary = WhoopError::TokenRefused {
            error: "invalid_request".to_owned(),
            transient: true,
        };

        assert_eq!(
            WhoopError::InvalidGrant.recommended_action(),
            ErrorAction::Reconnect
        );
        assert_eq!(temporary.recommended_action(), ErrorAction::Retry);
        assert_eq!(
            WhoopError::Server { status: 502 }.recommended_action(),
            ErrorAction::Retry
        );
        assert_eq!(
            WhoopError::TimedOut.recommended_action(),
            ErrorAction::Retry
        );
    }

    #[test]
    fn a_rate_limit_error_names_the_limit_and_the_wait() {
        let error = WhoopError::RateLimited {
            retry_after: Duration::from_secs(37),
            day: false,
        };

        assert_eq!(
            error.to_string(),
            "WHOOP's minute limit is used up for another 37 s"
        );
        assert_eq!(
            error.recommended_action(),
            ErrorAction::WaitFor(Duration::from_secs(37))
        );
    }
}
