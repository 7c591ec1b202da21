//! Checks of the API process itself, in addition to the checks of `sync-worker doctor`.

use whoop_sync::doctor::{CheckState, DoctorCheck};

use crate::{capacity::ConnectionCapacity, state::AppState};

/// Returns the results of the checks of this process: its limit of open files, and its
/// authentication settings.
pub(crate) fn self_checks(state: &AppState) -> Vec<DoctorCheck> {
    let mut checks = vec![check_open_files(&state.capacity)];
    checks.extend(state.auth.doctor_checks());
    checks
}

fn check_open_files(capacity: &ConnectionCapacity) -> DoctorCheck {
    const NAME: &str = "open files";
    let Some(limit) = capacity.open_files else {
        return DoctorCheck::ok(NAME, "no limit");
    };
    let found = format!(
        "limit of {limit}: {} connections, {} of them event streams, and {} for the database \
         pool and the process itself",
        capacity.max_connections(),
        capacity.max_streams,
        capacity.reserved
    );
    if capacity.carries_all_streams() {
        DoctorCheck::ok(NAME, found)
    } else {
        DoctorCheck::not_ok(
            NAME,
            CheckState::Warning,
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
        let low = check_open_files(&ConnectionCapacity::new(Some(1024), 2, 8));
        let high = check_open_files(&ConnectionCapacity::new(Some(65_536), 2, 8));

        assert_eq!(
            (low.state, high.state),
            (CheckState::Warning, CheckState::Ok)
        );
        assert!(low.detail.contains("1024"), "{}", low.detail);
        assert!(low.what_to_do.unwrap().contains("LimitNOFILE"));
    }
}
