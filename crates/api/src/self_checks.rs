//! Checks of this API process, beside those of `sync-worker doctor`.

use whoop_sync::doctor::{Check, State};

use crate::{capacity::Capacity, state::AppState};

/// Checks of the process that is asked.
pub(crate) fn self_checks(state: &AppState) -> Vec<Check> {
    let mut checks = vec![open_files(&state.capacity)];
    checks.extend(state.auth.examine());
    checks
}

fn open_files(capacity: &Capacity) -> Check {
    const NAME: &str = "open files";
    let Some(limit) = capacity.open_files else {
        return Check::ok(NAME, "no limit");
    };
    let found = format!(
        "limit of {limit}: {} connections, {} of them event streams, and {} for the database \
         pool and the process itself",
        capacity.connections(),
        capacity.streams,
        capacity.reserved
    );
    if capacity.carries_all_streams() {
        Check::ok(NAME, found)
    } else {
        Check::bad(
            NAME,
            State::Warning,
            found,
            "raise the hard limit of open files: LimitNOFILE=65536 (systemd), `ulimits: {nofile: \
             65536}` (compose), `ulimit -n 65536` (a shell)",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_of_open_files_is_a_warning_that_names_the_setting() {
        let low = open_files(&Capacity::new(Some(1024), 2, 8));
        let high = open_files(&Capacity::new(Some(65_536), 2, 8));

        assert_eq!((low.state, high.state), (State::Warning, State::Ok));
        assert!(low.detail.contains("1024"), "{}", low.detail);
        assert!(low.what_to_do.unwrap().contains("LimitNOFILE"));
    }
}
