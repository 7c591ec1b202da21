use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::account::ServerAccount;
use crate::{Environment, PostgresStartError};

/// The surroundings, and who the server's programs run as in them.
pub(crate) struct ServerHost {
    pub(crate) environment: Environment,
    pub(crate) account: Option<ServerAccount>,
}

impl ServerHost {
    pub(crate) fn new(environment: &Environment) -> Result<Self, PostgresStartError> {
        Ok(Self {
            environment: environment.clone(),
            account: ServerAccount::detect()?,
        })
    }

    /// A command that runs as the server will, and sees no `PG…` variable.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for name in &self.environment.pg_variables {
            command.env_remove(name);
        }
        // Messages in English: we look for some in the log.
        command.env("LC_ALL", "C").current_dir("/");
        if let Some(language) = &self.environment.test_messages {
            // The server's setting `lc_messages` needs it; the C locale knows no languages.
            command.env("LANGUAGE", language);
        }
        if let Some(account) = &self.account {
            account.apply(&mut command);
        }
        command
    }

    /// A folder for clusters that the server's account can enter and clean up.
    pub(crate) fn temp_folder(&self) -> Result<PathBuf, PostgresStartError> {
        let Some(account) = &self.account else {
            return Ok(self.environment.temp_dir.clone());
        };
        let candidates = [
            self.environment.temp_dir.as_path(),
            Path::new("/tmp"),
            Path::new("/var/tmp"),
        ];
        candidates
            .into_iter()
            .find(|folder| has_mode_bits(folder, 0o003) && is_open_to_all(folder))
            .map(Path::to_path_buf)
            .ok_or_else(|| PostgresStartError::NoTempFolder {
                account: account.name.clone(),
                tried: candidates.map(|path| path.display().to_string()).join(", "),
            })
    }
}

/// Whether every account can walk down to `path`.
pub(crate) fn is_open_to_all(path: &Path) -> bool {
    path.canonicalize()
        .is_ok_and(|path| path.ancestors().all(|folder| has_mode_bits(folder, 0o001)))
}

fn has_mode_bits(folder: &Path, bits: u32) -> bool {
    folder
        .metadata()
        .is_ok_and(|metadata| metadata.permissions().mode() & bits == bits)
}
