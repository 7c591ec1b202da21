use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::host::{ServerHost, is_open_to_all};

/// Our folder among this user's caches, if there is a place for one.
///
/// What lies in it is run, so it has to be ours alone to write: a folder that
/// somebody else put at a name we would use is passed over.
pub(crate) fn folder(host: &ServerHost) -> Option<PathBuf> {
    let uid = rustix::process::geteuid();
    let for_other_account = host.account.is_some();

    let mut candidates: Vec<PathBuf> = host
        .environment
        .cache_homes
        .iter()
        .map(|home| home.join("whoop-devkit"))
        .collect();
    if for_other_account {
        // Root's home is usually closed to the account that runs the server.
        candidates.push(PathBuf::from("/var/cache/whoop-devkit"));
    }
    let name = format!("whoop-devkit-{}", uid.as_raw());
    candidates.push(host.environment.temp_dir.join(name));

    candidates.into_iter().find(|folder| {
        let parent_suits = !for_other_account || folder.parent().is_some_and(is_open_or_absent);
        parent_suits && create_folder(folder, for_other_account) && is_ours(folder, uid.as_raw())
    })
}

/// A closed folder is passed over before anything is made inside it.
fn is_open_or_absent(folder: &Path) -> bool {
    !folder.exists() || is_open_to_all(folder)
}

fn create_folder(folder: &Path, readable_by_all: bool) -> bool {
    let mode = if readable_by_all { 0o755 } else { 0o700 };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(folder)
        .is_ok()
        && (!readable_by_all || is_open_to_all(folder))
}

fn is_ours(folder: &Path, uid: u32) -> bool {
    // Not followed: a link in a temp folder is somebody else's to point.
    folder.symlink_metadata().is_ok_and(|metadata| {
        metadata.is_dir() && metadata.uid() == uid && metadata.mode() & 0o022 == 0
    })
}
