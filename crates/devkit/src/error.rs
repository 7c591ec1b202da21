use std::io;
use std::path::PathBuf;

/// Error because of which no server is available. Its message describes what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresStartError {
    #[error(
        "PG_BIN_DIR is {dir}, but {reason}. Set it to the folder with `initdb` and `postgres` of \
         PostgreSQL 13 or newer, or unset it to use an installed server.",
        dir = dir.display()
    )]
    BinDir { dir: PathBuf, reason: String },

    #[error(
        "No PostgreSQL 13 or newer was found ({looked}). Install it:\n\
         \x20 Debian, Ubuntu:  sudo apt-get install postgresql\n\
         \x20 Fedora:          sudo dnf install postgresql-server\n\
         \x20 macOS:           brew install postgresql@17\n\
         or set PG_BIN_DIR to the folder with `initdb` and `postgres`, or DATABASE_URL to a server \
         on which databases may be created and dropped."
    )]
    NotInstalled { looked: String },

    #[error(
        "PostgreSQL refuses to run as root, and /etc/passwd has no account `postgres` or `nobody` \
         for it. Run this program as an ordinary user, or set DATABASE_URL."
    )]
    NoAccount,

    #[error(
        "the server runs as `{account}`, which cannot write to any of {tried}. Set TMPDIR to a \
         folder that every account can write to, such as /tmp."
    )]
    NoTempFolder { account: String, tried: String },

    #[error("could not {doing} {path}", path = path.display())]
    Files {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },

    #[error("could not run {program}", program = program.display())]
    Run { program: PathBuf, source: io::Error },

    #[error("{program} could not create a cluster: {output}", program = program.display())]
    Initdb { program: PathBuf, output: String },

    #[error("PostgreSQL stopped while starting. The end of its log:\n{log}")]
    Exited { log: String },

    #[error("PostgreSQL was not ready after {seconds} s. The end of its log:\n{log}")]
    NotReady { seconds: u64, log: String },

    #[error(
        "PostgreSQL got no port in {tries} attempts: another process took each port after it was \
         chosen. The end of the last log:\n{log}"
    )]
    NoPort { tries: u32, log: String },

    #[error(
        "TEST_POOLER requires PgBouncer, which was not found. Install it: \
         sudo apt-get install pgbouncer"
    )]
    NoPgBouncer,

    #[error("PgBouncer did not start. Its log:\n{log}")]
    PgBouncer { log: String },

    #[error("TEST_POOLER is {0:?}. Set it to `transaction`, or unset it")]
    TestPooler(String),

    #[error("DATABASE_URL is not a `postgres://…` address")]
    DatabaseUrl,
}

/// Adds the action that failed, and the path of the file or folder, to an `io::Error`.
pub(crate) trait IoResultExt<T> {
    fn while_doing(
        self,
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> Result<T, PostgresStartError>;
}

impl<T> IoResultExt<T> for io::Result<T> {
    fn while_doing(
        self,
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> Result<T, PostgresStartError> {
        self.map_err(|source| PostgresStartError::Files {
            doing,
            path: path.into(),
            source,
        })
    }
}
