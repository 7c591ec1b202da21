//! Whole folders: made, copied, given away, made readable.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, lchown};
use std::path::Path;

use tempfile::TempDir;

use crate::account::ServerAccount;

/// A new folder that nobody else can enter.
pub(crate) fn temp_folder(parent: &Path, prefix: &str) -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(prefix)
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)
}

/// Writes a new file that nobody else can read.
pub(crate) fn write_secret(path: &Path, secret: &str) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(secret.as_bytes())
}

/// Copies a folder of plain files and tells the bytes in them.
///
/// Where the file system can, the copies share their blocks.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            bytes += copy_folder(&entry.path(), &target)?;
        } else if kind.is_file() {
            bytes += fs::copy(entry.path(), target)?;
        } else {
            // Followed as root, a link could lead out of the folder.
            return Err(io::Error::other(format!(
                "{} is neither a file nor a folder",
                entry.path().display()
            )));
        }
    }
    Ok(bytes)
}

/// Gives a folder away, its content first.
///
/// Until the folder itself changes hands nobody but us can reach inside, so
/// nothing can be swapped for a link while root walks it.
pub(crate) fn change_owner(folder: &Path, account: &ServerAccount) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            change_owner(&entry.path(), account)?;
        } else {
            lchown(entry.path(), Some(account.uid), Some(account.gid))?;
        }
    }
    lchown(folder, Some(account.uid), Some(account.gid))
}

/// Lets every account read a folder; `runnable` says which files are programs.
pub(crate) fn make_readable(folder: &Path, runnable: &dyn Fn(&Path) -> bool) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let path = entry.path();
        if kind.is_dir() {
            make_readable(&path, runnable)?;
        } else if kind.is_file() {
            let mode = if runnable(&path) { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}
