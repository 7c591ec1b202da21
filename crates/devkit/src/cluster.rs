use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sha2::{Digest, Sha256};

use crate::error::IoResultExt;
use crate::host::ServerHost;
use crate::password::ClusterPassword;
use crate::{PostgresBinaries, PostgresStartError, cache, fetch, random, tree};

pub(crate) const SUPERUSER: &str = "whoop";

/// What a cluster is born with. Part of the key of the kept template.
const INITDB_ARGUMENTS: &[&str] = &[
    "--no-sync",
    "--username=whoop",
    // Loopback is open to every user of the machine, so it takes a password.
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    // A cluster begins with one segment; the usual 16 MB would be half of it.
    "--wal-segsize=1",
];

/// Raised when a template made by older code no longer does.
const TEMPLATE_FORMAT: u32 = 1;

/// An initialised cluster in a folder of its own, not started yet.
pub(crate) struct Cluster {
    pub(crate) folder: PathBuf,
    pub(crate) password: String,
}

impl Cluster {
    /// Copies the kept template where there is one (a tenth of the time), else
    /// runs initdb and keeps the result for the next process.
    pub(crate) fn create(
        host: &ServerHost,
        binaries: &PostgresBinaries,
    ) -> Result<Self, PostgresStartError> {
        let template = ClusterTemplate::of(host, binaries);
        let temp = host.temp_folder()?;
        let folder =
            tree::temp_folder(&temp, "whoop-pg-").while_doing("make a folder in", &temp)?;

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
                    // Not being able to keep it costs time, never correctness.
                    let _ = template.save(&folder.path().join("data"), &text);
                }
                text
            }
        };
        // The supervisor removes it from here on.
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
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(PostgresStartError::Initdb {
            program,
            output: complaint.trim().to_owned(),
        });
    }
    fs::remove_file(&password_file).while_doing("remove", &password_file)
}

/// A cluster kept in the cache, to be copied instead of made.
///
/// It holds `data`, the `size` of that in bytes and, readable by us alone, the
/// `password` baked into it.
/// All clusters of one user share that password: it keeps other users out, and
/// one's own processes could read each other's memory anyway.
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

    /// `None` if there is none, or one that is no longer whole.
    ///
    /// A power cut may leave files empty (syncing a thousand of them takes
    /// seconds on a busy disk), and temp folders are cleaned file by file.
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
            tree::temp_folder(cache, ".cluster-").while_doing("make a folder in", cache)?;
        let size =
            tree::copy_folder(data, &staging.path().join("data")).while_doing("copy", data)?;
        for (name, content) in [("password", password), ("size", &size.to_string())] {
            tree::write_secret(&staging.path().join(name), content)
                .while_doing("write in", staging.path())?;
        }
        match fs::rename(staging.path(), &self.folder) {
            // Another process was first, and its cluster is as good.
            Err(error) if !fetch::already_exists(&error) => {
                Err(error).while_doing("move the cluster to", &self.folder)
            }
            _ => Ok(()),
        }
    }
}
