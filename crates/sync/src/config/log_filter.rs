use tracing_subscriber::{EnvFilter, filter::LevelFilter};

/// Crates that a log filter may name without a level. Such a filter enables all log lines of the
/// crate.
const KNOWN_CRATES: [&str; 22] = [
    "whoop_core",
    "whoop_client",
    "whoop_storage",
    "whoop_sync",
    "whoop_api",
    "whoop_sync_worker",
    "api",
    "sync_worker",
    "actix_http",
    "actix_server",
    "actix_web",
    "actix_cors",
    "tracing_actix_web",
    "h2",
    "hyper",
    "hyper_util",
    "mio",
    "reqwest",
    "rustls",
    "tokio",
    "tokio_postgres",
    "tokio_postgres_rustls",
];

const EXAMPLE: &str = "example: RUST_LOG=info,whoop_sync=debug";

/// Checks a log filter, and returns it unchanged.
///
/// A word without `=` has to be a level, or one of [`KNOWN_CRATES`] or a module in it. `tracing`
/// treats every other word as the name of a module, so that a mistyped level would disable the log.
///
/// # Errors
///
/// The wrong word, and an example of a valid filter.
pub(super) fn parse(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map_err(|error| format!("{error}; {EXAMPLE}"))?;
    let is_bare = |word: &&str| !word.is_empty() && !word.contains(['=', '[']);
    for word in text.split(',').filter(is_bare) {
        let target = word.split("::").next().unwrap_or(word);
        if word.parse::<LevelFilter>().is_err() && !KNOWN_CRATES.contains(&target) {
            return Err(format!(
                "`{word}` is neither a level (trace, debug, info, warn, error, off) nor a module \
                 of this program; a module of another crate needs a level, for example \
                 `some_crate=debug`; {EXAMPLE}"
            ));
        }
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_level_is_refused() {
        for valid in [
            "info",
            "WARN",
            "off",
            "3",
            "whoop_sync",
            "whoop_storage::page",
            "warn,whoop_sync=debug,hyper=off",
            "some_crate=trace",
            "[request{id=1}]=debug",
            "info,",
        ] {
            assert!(parse(valid).is_ok(), "{valid}: {:?}", parse(valid));
        }
        for invalid in [
            "inof",
            "debug,wran",
            "verbose",
            "whoop_snyc",
            "whoop=loud",
            "info,=nonsense=",
            "info,6",
        ] {
            let reason = parse(invalid).unwrap_err();
            assert!(reason.contains("RUST_LOG=info"), "{reason}");
        }
    }
}
