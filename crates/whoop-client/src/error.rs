use std::time::Duration;

/// What WHOOP did instead of answering.
///
/// No variant shows a token, a code, a secret or a URL's query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WhoopError {
    /// The access token is expired, replaced or revoked; WHOOP does not say
    /// which. Compare it with the stored one, then refresh once.
    #[error("WHOOP did not accept the access token")]
    Unauthorized,
    /// A scope is missing, or the membership has lapsed.
    #[error("WHOOP does not allow this call for this member")]
    Forbidden,
    #[error("WHOOP's {} limit is used up for another {} s", if *day { "daily" } else { "minute" }, retry_after.as_secs())]
    RateLimited {
        retry_after: Duration,
        /// The day's limit, not the minute's: end the run rather than wait.
        day: bool,
    },
    /// Calls to WHOOP pause, because it has not answered several members in a row.
    #[error("WHOOP has not answered since {}; the next attempt is in {} s", since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true), retry_after.as_secs())]
    Outage {
        since: chrono::DateTime<chrono::Utc>,
        retry_after: Duration,
    },
    /// The call was not sent, because the caller gave way to one of higher priority.
    #[error("the call gave way to one of higher priority")]
    Yielded,
    /// The refresh token or code was used, revoked, or never existed.
    #[error("WHOOP does not accept this refresh token or code any more")]
    InvalidGrant,
    #[error("{}", token_refusal_message(error, *transient))]
    TokenRefused {
        /// OAuth's word for it, such as `invalid_client`.
        error: String,
        /// WHOOP says `invalid_request` in outages that pass by themselves.
        transient: bool,
    },
    #[error("WHOOP is out of order (status {status})")]
    Server { status: u16 },
    #[error("WHOOP answered with the unexpected status {status}")]
    Unexpected { status: u16 },
    /// Whoever counts the calls of all processes cannot be asked.
    #[error("WHOOP was not asked, because the calls that were made cannot be counted")]
    QuotaUnavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the connection to WHOOP failed")]
    Transport(#[source] reqwest::Error),
    #[error("WHOOP did not answer in time")]
    TimedOut,
    #[error("WHOOP's answer is not the JSON of {what}")]
    Decode {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("WHOOP's answer is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("WHOOP is not set up: {0}")]
    Config(String),
}

/// What to do about a [`WhoopError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorAction {
    /// It may pass by itself.
    Retry,
    /// Nothing will be answered before then.
    WaitFor(Duration),
    /// Only the member can repair this.
    Reconnect,
    /// Trying the same again changes nothing.
    GiveUp,
}

impl WhoopError {
    pub fn recommended_action(&self) -> ErrorAction {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Outage { retry_after, .. } => {
                ErrorAction::WaitFor(*retry_after)
            }
            // For `Unauthorized`: once a fresh token is refused as well.
            Self::Unauthorized | Self::InvalidGrant => ErrorAction::Reconnect,
            Self::TokenRefused {
                transient: true, ..
            }
            | Self::Server { .. }
            | Self::Transport(_)
            | Self::TimedOut
            | Self::QuotaUnavailable(_)
            | Self::Yielded
            // A gateway's page of HTML is no reason to bother a member.
            | Self::Decode { .. } => ErrorAction::Retry,
            Self::TokenRefused { .. }
            | Self::Forbidden
            | Self::Unexpected { .. }
            | Self::TooLarge { .. }
            | Self::Config(_) => ErrorAction::GiveUp,
        }
    }

    /// Whether the code or refresh token itself is what WHOOP refused.
    pub const fn is_invalid_grant(&self) -> bool {
        matches!(self, Self::InvalidGrant)
    }

    /// Whether the token endpoint answered `invalid_request`, as it does during an outage and for
    /// a refresh token that is no longer valid.
    pub fn is_invalid_request(&self) -> bool {
        matches!(self, Self::TokenRefused { error, .. } if error == "invalid_request")
    }

    /// Whether WHOOP itself said no, so that nothing was done.
    ///
    /// Otherwise the answer was lost, or is a gateway's: what was asked for may
    /// have been done all the same.
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

    /// Whether the same call is worth sending again at once.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Server { .. } | Self::Transport(_) => true,
            // The body ended in the middle: cut off on its way.
            Self::Decode { source, .. } => source.is_eof(),
            _ => false,
        }
    }

    /// Whether WHOOP itself did not do its part, as in an outage.
    pub(crate) fn is_upstream_failure(&self) -> bool {
        self.is_retryable() || matches!(self, Self::TimedOut | Self::Decode { .. })
    }

    /// The only way from reqwest's error to ours: it carries the whole URL.
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
        (_, true) => format!("WHOOP refused the token request for now ({error})"),
        (_, false) => format!("WHOOP refused the token request ({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_secret_is_named_and_not_tried_again() {
        let error = WhoopError::TokenRefused {
            error: "invalid_client".to_owned(),
            transient: false,
        };

        assert_eq!(error.recommended_action(), ErrorAction::GiveUp);
        assert!(error.to_string().contains("client secret is wrong"));
    }

    #[test]
    fn only_a_dead_grant_asks_for_the_member() {
        let passing = WhoopError::TokenRefused {
            error: "invalid_request".to_owned(),
            transient: true,
        };

        assert_eq!(
            WhoopError::InvalidGrant.recommended_action(),
            ErrorAction::Reconnect
        );
        assert_eq!(passing.recommended_action(), ErrorAction::Retry);
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
    fn a_used_up_limit_says_which_and_for_how_long() {
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
