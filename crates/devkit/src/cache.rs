use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::host::{ServerHost, is_open_to_all};

/// Returns this crate's folder among the user's caches; `None` if no suitable folder exists or can
/// be created.
///
/// Files in the folder are executed, so only this user may have write access to it. If another user
/// has created a folder with the expected name, that folder is skipped.
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
        // The account that runs the server usually has no access to root's home folder.
        candidates.push(PathBuf::from("/var/cache/whoop-devkit"));
    }
    let name = format!("whoop-devkit-{}", uid.as_raw());
    candidates.push(host.environment.temp_dir.join(name));

    candidates.into_iter().find(|folder| {
        let is_parent_suitable =
            !for_other_account || folder.parent().is_some_and(is_open_or_absent);
        is_parent_suitable
            && create_folder(folder, for_other_account)
            && is_private(folder, uid.as_raw())
    })
}

/// Returns whether the folder does not exist, or every account can enter it.
///
/// A folder that is closed to other accounts is skipped before this crate creates anything in it.
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

fn is_private(folder: &Path, uid: u32) -> bool {
    // Symbolic links are not followed, because another user could create one in a temporary folder.
    folder.symlink_metadata().is_ok_and(|metadata| {
        metadata.is_dir() && metadata.uid() == uid && metadata.mode() & 0o022 == 0
    })
}
