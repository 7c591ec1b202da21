use std::{sync::Arc, time::Duration};

use whoop_client::{BrokenList, ErrorAction, WhoopError};
use whoop_storage::StorageError;

/// An error of a sync, or of connecting a member to WHOOP.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    #[error(transparent)]
    Whoop(WhoopError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The member does not exist, or has disconnected.
    #[error("no member with this id is connected to WHOOP")]
    NotConnected,
    /// WHOOP no longer accepts the member's token pair. Only the member can repair this, by
    /// connecting again.
    #[error("WHOOP no longer accepts this connection; the member has to connect WHOOP again")]
    ReauthRequired,
    /// The member did not grant the OAuth scope that a call needs. The call is not sent, because
    /// WHOOP would answer 401, as it does for an invalid token.
    #[error(
        "the member did not grant {scope} at WHOOP; the member can grant it by connecting again"
    )]
    NotGranted { scope: &'static str },
    /// WHOOP has not confirmed the account of the member's token pair yet. No record is read with
    /// the token pair before that.
    #[error("WHOOP has not yet confirmed the account of this member's connection")]
    AccountUnconfirmed,
    /// The token pair belongs to another WHOOP account than the stored records. Records of two
    /// persons must not be stored for one member.
    #[error(
        "this member's stored data belongs to another WHOOP account; erase it before connecting \
         this account"
    )]
    OtherAccount,
    /// The member disconnected, was erased, or connected again while the connection request was
    /// being completed.
    #[error(
        "the member disconnected, was erased or connected again before this connect was completed"
    )]
    ConnectWithdrawn,
    /// Another sync of this member is running, and did not end within the time that the caller
    /// waits.
    #[error("another sync of this member is still running")]
    Busy,
    /// Background work on a member was interrupted, because an interactive caller waits for the
    /// member.
    #[error("interrupted by an app request of this member, which has priority")]
    Yielded,
    /// App requests of this member have caused the maximum number of calls that one member may
    /// cause in 24 hours.
    #[error(
        "this member has used up their share of the daily WHOOP quota; try again in {} s",
        retry_after.as_secs()
    )]
    MemberShareUsed { retry_after: Duration },
    #[error("stopped before the work was complete")]
    Stopped,
    /// The run has made the maximum number of calls that `--max-calls` allows.
    #[error("the run has reached its maximum number of calls (--max-calls)")]
    CallLimitReached,
    /// WHOOP's list could not be read to its end, because its pages are inconsistent or unreadable.
    #[error("WHOOP's list of {data_type} records could not be read to its end: {cause}")]
    BrokenList {
        data_type: whoop_core::DataType,
        cause: BrokenList,
    },
    /// WHOOP's list ended although older records are stored. This end is not trusted, and the list
    /// is read again later.
    #[error(
        "WHOOP's list of {data_type} records {symptom} although older ones are stored; it will be \
         read again"
    )]
    ListEndedEarly {
        data_type: whoop_core::DataType,
        symptom: &'static str,
    },
    /// The token pair could not be refreshed. The next refresh may succeed.
    #[error("the access token could not be refreshed: {}", .0.error_chain())]
    RefreshFailed(Arc<Self>),
    /// The token refresh takes longer than the caller waits. The refresh continues, and the next
    /// request gets its result.
    #[error("WHOOP has not answered the token refresh yet; try again in a minute")]
    RefreshPending,
    /// WHOOP's API refuses an access token that WHOOP has just issued.
    #[error(
        "WHOOP refuses an access token that it has just issued; this counts as an outage of WHOOP \
         until it accepts other members' tokens and still refuses this one"
    )]
    TokenRejected,
    /// An internal task panicked or was cancelled, which is a defect of the service.
    #[error("an internal task of the service ended unexpectedly")]
    Aborted,
}

impl SyncError {
    /// Returns the time until another call may be sent, if the quota or an outage of WHOOP prevents
    /// calls; `None` for any other error.
    pub fn quota_wait(&self) -> Option<Duration> {
        match self {
            Self::Whoop(
                WhoopError::RateLimited { retry_after, .. }
                | WhoopError::Outage { retry_after, .. },
            ) => Some(*retry_after),
            Self::MemberShareUsed { retry_after } => Some(*retry_after),
            Self::CallLimitReached => Some(Duration::ZERO),
            Self::RefreshFailed(cause) => cause.quota_wait(),
            _ => None,
        }
    }

    /// Whether the work is only deferred, by the quota, an outage, a stop or an app request, and
    /// nothing has failed.
    pub fn is_deferred(&self) -> bool {
        self.quota_wait().is_some() || matches!(self, Self::Stopped | Self::Yielded)
    }

    /// Whether the quota or an outage of WHOOP prevents further calls, so that a run should sync no
    /// more members of the same priority class.
    pub const fn ends_run(&self) -> bool {
        matches!(
            self,
            Self::Whoop(WhoopError::RateLimited { .. } | WhoopError::Outage { .. })
                | Self::CallLimitReached
        )
    }

    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Whoop(error) => matches!(error.recommended_action(), ErrorAction::Retry),
            Self::Storage(error) => error.is_transient(),
            Self::RefreshFailed(cause) => cause.is_transient(),
            Self::RefreshPending | Self::TokenRejected => true,
            _ => false,
        }
    }

    /// Whether a refresh of the member's tokens failed or has not ended yet. The stored tokens may
    /// still be valid.
    pub const fn is_refresh_failure(&self) -> bool {
        matches!(self, Self::RefreshFailed(_) | Self::RefreshPending)
    }

    /// Whether the error is a failed token refresh that may succeed if it is repeated shortly
    /// afterwards.
    pub(crate) fn is_retryable(&self) -> bool {
        matches!(self, Self::RefreshFailed(cause) if cause.is_transient())
    }

    /// Returns the error of a token refresh for one of the callers that shared the refresh.
    pub(crate) fn from_shared_refresh(error: &Arc<Self>) -> Self {
        match error.as_ref() {
            Self::NotConnected => Self::NotConnected,
            Self::ReauthRequired => Self::ReauthRequired,
            Self::RefreshPending => Self::RefreshPending,
            Self::Stopped => Self::Stopped,
            Self::RefreshFailed(cause) => Self::RefreshFailed(Arc::clone(cause)),
            _ => Self::RefreshFailed(Arc::clone(error)),
        }
    }

    /// Whether WHOOP refuses the member's profile, and will refuse it again for the same token
    /// pair.
    pub const fn is_profile_refused(&self) -> bool {
        matches!(
            self,
            Self::NotGranted { .. } | Self::Whoop(WhoopError::Forbidden)
        )
    }

    /// Whether WHOOP rejects this service for all members, because the client id or the client
    /// secret is wrong.
    pub fn is_app_rejected(&self) -> bool {
        match self {
            Self::Whoop(WhoopError::TokenRefused { transient, .. }) => !transient,
            Self::RefreshFailed(cause) => cause.is_app_rejected(),
            _ => false,
        }
    }

    /// Returns the error message for the member and the app.
    ///
    /// The message omits internal details, such as the names of keys and PostgreSQL's messages.
    pub fn user_message(&self) -> String {
        match self {
            Self::Storage(StorageError::Seal(_)) => "the stored tokens of this member cannot \
                be opened; the operator can find the reason with `sync-worker doctor`"
                .to_owned(),
            Self::Storage(error) if error.is_transient() => {
                "the database is temporarily unavailable".to_owned()
            }
            Self::Storage(_) => {
                "the database reported an error; the log of the service has the details".to_owned()
            }
            Self::Whoop(WhoopError::Config(_)) => {
                "the WHOOP app is not configured correctly in this service".to_owned()
            }
            error if error.is_app_rejected() => {
                "WHOOP refuses this service; the log of the service has the reason".to_owned()
            }
            // The causes of these errors are omitted, because they may contain addresses of
            // proxies.
            Self::Whoop(error @ (WhoopError::Transport(_) | WhoopError::QuotaUnavailable(_))) => {
                error.to_string()
            }
            Self::RefreshFailed(cause) => cause.user_message(),
            other => other.error_chain(),
        }
    }

    /// Returns the error message followed by the messages of its causes, for the operator's logs
    /// and reports.
    pub fn error_chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        text
    }
}

impl From<WhoopError> for SyncError {
    fn from(error: WhoopError) -> Self {
        match error {
            // If `QuotaUnavailable` contains a storage error, the database failed, not WHOOP.
            WhoopError::QuotaUnavailable(source) => match source.downcast::<StorageError>() {
                Ok(storage) => Self::Storage(*storage),
                Err(source) => Self::Whoop(WhoopError::QuotaUnavailable(source)),
            },
            WhoopError::Yielded => Self::Yielded,
            other => Self::Whoop(other),
        }
    }
}

impl From<tokio::task::JoinError> for SyncError {
    fn from(_: tokio::task::JoinError) -> Self {
        Self::Aborted
    }
}
