//! Cause of an error response, for the log and not for the caller.

use std::{error::Error, fmt::Write as _};

/// Severity of the cause of an error response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// A fault of this service or a dependency that the operator has to resolve.
    Error,
    /// A fault that may end without the operator.
    Warning,
}

/// Reason and error for the request's log line, in addition to the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResponseCause {
    pub(crate) severity: Severity,
    /// A constant phrase.
    pub(crate) reason: &'static str,
    /// The error and its sources.
    pub(crate) error: String,
}

impl ResponseCause {
    pub(crate) fn error(reason: &'static str, error: &dyn Error) -> Self {
        Self {
            severity: Severity::Error,
            reason,
            error: error_chain(error),
        }
    }

    pub(crate) fn warning(reason: &'static str, error: &dyn Error) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(reason, error)
        }
    }
}

/// Returns the error's text, followed by the texts of its sources that it does not already contain.
pub(crate) fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the outer error")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn the_sources_of_an_error_are_named_once() {
        let error = Outer(std::io::Error::other("the inner error"));

        let cause = ResponseCause::warning("it failed", &error);

        assert_eq!(cause.error, "the outer error: the inner error");
        assert_eq!(cause.severity, Severity::Warning);
    }
}
