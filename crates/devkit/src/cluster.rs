use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sha2::{Digest, Sha256};

use crate::error::IoResultExt;
use crate::host::ServerHost;
use crate::password::ClusterPassword;
use crate::{PostgresBinaries, PostgresStartError, cache, fetch, random, tree};

pub(crate) const SUPERUSER: &str = "whoop";

/// Arguments of `initdb`. A change of an argument changes the name of the cached template.
const INITDB_ARGUMENTS: &[&str] = &[
    "--no-sync",
    "--username=whoop",
    // Every user of the machine can connect to the loopback address, so a password is required.
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    // A new cluster has one WAL segment. With the default size of 16 MB, the segment would be half
    // of the cluster's size.
    "--wal-segsize=1",
];

/// Version of the template's format. It is incremented when templates from older code can no longer
/// be used.
const TEMPLATE_FORMAT: u32 = 1;

/// An initialized PostgreSQL cluster in its own folder, whose server was not started yet.
pub(crate) struct Cluster {
    pub(crate) folder: PathBuf,
    pub(crate) password: String,
}

impl Cluster {
    /// Creates a cluster, as a copy of the cached template if there is one.
    ///
    /// Copying takes a tenth of the time of `initdb`. If there is no template, this function runs
    /// `initdb` and caches the result as the template for later processes.
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
                    // An error is ignored, because without a cached template only the next start
                    // takes longer.
                    let _ = template.save(&folder.path().join("data"), &text);
                }
                text
            }
        };
        // The folder is kept here, because the supervisor removes it later.
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

/// A cluster in the cache, the template, from which new clusters are copied.
///
/// Its folder contains the folder `data`, the file `size` with the number of bytes in `data`, and
/// the file `password` with the cluster's password, which only this user can read.
///
/// All clusters of one user have the same password. It has to keep out only other users, because
/// processes of the same user could read each other's memory anyway.
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

    /// Copies the template to `data` and returns the cluster's password.
    ///
    /// Returns `None` if there is no template, or if the template is incomplete. A template can
    /// become incomplete in two ways. A power failure may leave empty files, because the template
    /// is not synced to the disk (syncing a thousand files takes seconds on a busy disk). And
    /// programs that clean up temporary folders delete single files.
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
            // Another process has saved its cluster first. That cluster is as good as this one.
            Err(error) if !fetch::already_exists(&error) => {
                Err(error).while_doing("move the cluster to", &self.folder)
            }
            _ => Ok(()),
        }
    }
}
