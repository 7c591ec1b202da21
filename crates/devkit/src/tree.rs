//! Operations on whole folders: create, copy, change the owner, make readable.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, lchown};
use std::path::Path;

use tempfile::TempDir;

use crate::account::ServerAccount;

/// Creates a temporary folder in `parent` that other users cannot enter.
pub(crate) fn temp_folder(parent: &Path, prefix: &str) -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(prefix)
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(parent)
}

/// Creates a file with this content that other users cannot read.
pub(crate) fn write_secret(path: &Path, secret: &str) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(secret.as_bytes())
}

/// Copies a folder of plain files and returns the number of bytes in the files.
///
/// If the file system supports it, a copy uses the same disk blocks as the original.
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
            // Links are refused: if root followed a link, it could read files outside the folder.
            return Err(io::Error::other(format!(
                "{} is neither a file nor a folder",
                entry.path().display()
            )));
        }
    }
    Ok(bytes)
}

/// Gives a folder to another account. The owner of the content changes before the owner of the
/// folder.
///
/// Until the owner of the folder itself has changed, only this user can access the content. The
/// other account therefore cannot replace a file by a link while root is still changing owners in
/// the folder.
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

/// Makes a folder and its content readable for every account. The files for which `is_program`
/// returns true become executable.
pub(crate) fn make_readable(folder: &Path, is_program: &dyn Fn(&Path) -> bool) -> io::Result<()> {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let path = entry.path();
        if kind.is_dir() {
            make_readable(&path, is_program)?;
        } else if kind.is_file() {
            let mode = if is_program(&path) { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}
