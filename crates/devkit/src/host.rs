use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::account::ServerAccount;
use crate::{Environment, PostgresStartError};

/// The machine's environment, and the account that runs the server's programs (`None`: the user of
/// this process).
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

    /// Returns a command that runs under the server's account and without the variables that begin
    /// with `PG`.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for name in &self.environment.pg_variables {
            command.env_remove(name);
        }
        // The server's messages must be in English, because this crate searches its log for some of
        // them.
        command.env("LC_ALL", "C").current_dir("/");
        if let Some(language) = &self.environment.test_messages {
            // This selects the language of the server's messages for its setting `lc_messages`. The
            // C locale itself has no language.
            command.env("LANGUAGE", language);
        }
        if let Some(account) = &self.account {
            account.apply(&mut command);
        }
        command
    }

    /// Returns a folder for clusters in which the server's account can create and remove files.
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

/// Returns whether every account can enter `path` and all folders above it.
pub(crate) fn is_open_to_all(path: &Path) -> bool {
    path.canonicalize()
        .is_ok_and(|path| path.ancestors().all(|folder| has_mode_bits(folder, 0o001)))
}

fn has_mode_bits(folder: &Path, bits: u32) -> bool {
    folder
        .metadata()
        .is_ok_and(|metadata| metadata.permissions().mode() & bits == bits)
}
