use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sha2::{Digest, Sha256};

use crate::error::IoResultExt;
use crate::host::ServerHost;
use crate::password::ClusterPassword;
use crate::{PostgresBinaries, PostgresStartError, cache, fetch, random, tree};

pub(crate) const SUPERUSER: &str = "whoop";

/// Arguments of `initdb`. They are part of the cached template's key.
const INITDB_ARGUMENTS: &[&str] = &[
    "--no-sync",
    "--username=whoop",
    // Every user of the machine can connect to loopback, so a password is required.
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    // A new cluster has one WAL segment; the default of 16 MB would be half of its size.
    "--wal-segsize=1",
];

/// Increased when templates made by older code can no longer be used.
const TEMPLATE_FORMAT: u32 = 1;

/// An initialized cluster in its own folder that was not started yet.
pub(crate) struct Cluster {
    pub(crate) folder: PathBuf,
    pub(crate) password: String,
}

impl Cluster {
    /// Creates a cluster by copying the cached template, which takes a tenth of the time. If there
    /// is none, runs initdb and caches the result for the next process.
    pub(crate) fn create(
        host: &ServerHost,
        binaries: &PostgresBinaries,
    ) -> Result<Self, PostgresStartError> {
        let template = ClusterTemplate::of(host, binaries);
        let temp = host.temp_folder()?;
        let folder =
            tree::temp_folder(&temp, "whoop-pg-").while_doing("create a folder in", &temp)?;

        let copied = template
            .as_ref()
            .and_then(|template| template.copy_to(&folder.path().join("data")));
        let password = match copied {
            Some(password) => {
                if let Some(account) = &host.account {
                    tree::change_owner(folder.path(), account)
                        .while_doing("change the owner of", folder.path())?;
                }
                password
            }
            None => {
                let ClusterPassword { text, verifier } = ClusterPassword::random();
                run_initdb(host, binaries, folder.path(), &verifier)?;
                if let Some(template) = &template {
                    // A failure to cache it costs only time.
                    let _ = template.save(&folder.path().join("data"), &text);
                }
                text
            }
        };
        // From here on the supervisor removes the folder.
        Ok(Self {
            folder: folder.keep(),
            password,
        })
    }

    pub(crate) fn data_folder(&self) -> PathBuf {
        self.folder.join("data")
    }
}

fn run_initdb(
    host: &ServerHost,
    binaries: &PostgresBinaries,
    folder: &Path,
    verifier: &str,
) -> Result<(), PostgresStartError> {
    let password_file = folder.join("password");
    tree::write_secret(&password_file, verifier).while_doing("write", &password_file)?;
    if let Some(account) = &host.account {
        tree::change_owner(folder, account).while_doing("change the owner of", folder)?;
    }
    let program = binaries.program("initdb");
    let output = host
        .command(&program)
        .args(INITDB_ARGUMENTS)
        .arg("--pwfile")
        .arg(&password_file)
        .arg("--pgdata")
        .arg(folder.join("data"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| PostgresStartError::Run {
            program: program.clone(),
            source,
        })?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(PostgresStartError::Initdb {
            program,
            output: message.trim().to_owned(),
        });
    }
    fs::remove_file(&password_file).while_doing("remove", &password_file)
}

/// A cluster in the cache that is copied to create new ones.
///
/// It has the folder `data`, the file `size` with the number of bytes in `data`, and the file
/// `password`, readable by this user only, with the password of the cluster. All clusters of one
/// user share that password: it keeps other users out, and processes of the same user could read
/// each other's memory anyway.
struct ClusterTemplate {
    folder: PathBuf,
}

impl ClusterTemplate {
    fn of(host: &ServerHost, binaries: &PostgresBinaries) -> Option<Self> {
        let mut digest = Sha256::new();
        digest.update(binaries.folder.as_os_str().as_encoded_bytes());
        for argument in INITDB_ARGUMENTS {
            digest.update([0]);
            digest.update(argument);
        }
        let digest = random::to_hex(&digest.finalize()[..6]);
        let name = format!("cluster{TEMPLATE_FORMAT}-{}-{digest}", binaries.version);
        cache::folder(host).map(|cache| Self {
            folder: cache.join(name),
        })
    }

    /// Copies the cluster to `data` and returns its password. Returns `None` if there is no
    /// template or if it is incomplete.
    ///
    /// A power failure may empty files (syncing a thousand of them takes seconds on a busy disk),
    /// and temp folders are cleaned file by file.
    fn copy_to(&self, data: &Path) -> Option<String> {
        let password = fs::read_to_string(self.folder.join("password")).ok()?;
        let size = fs::read_to_string(self.folder.join("size")).ok();
        let copied = tree::copy_folder(&self.folder.join("data"), data);
        if copied.is_ok_and(|copied| size == Some(copied.to_string())) {
            return Some(password);
        }
        let _ = fs::remove_dir_all(data);
        let _ = fs::remove_dir_all(&self.folder);
        None
    }

    fn save(&self, data: &Path, password: &str) -> Result<(), PostgresStartError> {
        let cache = self.folder.parent().unwrap_or(Path::new("/"));
        let staging =
            tree::temp_folder(cache, ".cluster-").while_doing("create a folder in", cache)?;
        let size =
            tree::copy_folder(data, &staging.path().join("data")).while_doing("copy", data)?;
        for (name, content) in [("password", password), ("size", &size.to_string())] {
            tree::write_secret(&staging.path().join(name), content)
                .while_doing("write in", staging.path())?;
        }
        match fs::rename(staging.path(), &self.folder) {
            // Another process was faster; its cluster is equivalent.
            Err(error) if !fetch::already_exists(&error) => {
                Err(error).while_doing("move the cluster to", &self.folder)
            }
            _ => Ok(()),
        }
    }
}
