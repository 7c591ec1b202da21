//! The limit of open files of this process. Every network connection counts as an open file.

use rustix::{
    io,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// Returns the soft limit of open files; `None` if it is unlimited.
pub(crate) fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Raises the soft limit of open files to the hard limit, and logs the old and the new limit.
///
/// If this fails, logs the error. The maximum number of connections is then derived from the
/// unchanged soft limit.
pub(crate) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        tracing::info!(limit = %limit_text(current), "limit of open files is at its maximum");
        return;
    }
    match set(maximum) {
        Ok(()) => tracing::info!(
            before = %limit_text(current),
            limit = %limit_text(limit()),
            "limit of open files raised"
        ),
        Err(error) => tracing::warn!(
            %error,
            limit = %limit_text(current),
            hard_limit = %limit_text(maximum),
            "limit of open files could not be raised"
        ),
    }
}

fn set(maximum: Option<u64>) -> io::Result<()> {
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )
}

fn limit_text(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |files| files.to_string())
}
