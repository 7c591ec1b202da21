//! Cause of an error response. It is written to the log and is not sent to the caller.

use std::{error::Error, fmt::Write as _};

/// Severity with which a failed request is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// A fault of this service or of a dependency, which lasts until the operator resolves it.
    Error,
    /// A fault that may end without an action of the operator.
    Warning,
}

/// Cause of an error response, which is added to the log line of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResponseCause {
    pub(crate) severity: Severity,
    /// Constant phrase that states what failed.
    pub(crate) reason: &'static str,
    /// Text of the error and of its sources.
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

/// Returns the text of an error, followed by the texts of its sources. A source is omitted if the
/// text up to there already contains it.
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
