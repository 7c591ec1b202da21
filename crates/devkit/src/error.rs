use std::io;
use std::path::PathBuf;

/// Reason why there is no server: what happened, to what, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresStartError {
    #[error(
        "PG_BIN_DIR is {dir}, but {reason}. Point it at the folder that holds `initdb` and \
         `postgres` of PostgreSQL 13 or newer, or unset it to have one looked for.",
        dir = dir.display()
    )]
    BinDir { dir: PathBuf, reason: String },

    #[error(
        "PostgreSQL 13 or newer is needed, and none was found ({looked}). Install it:\n\
         \x20 Debian, Ubuntu:  sudo apt-get install postgresql\n\
         \x20 Fedora:          sudo dnf install postgresql-server\n\
         \x20 macOS:           brew install postgresql@17\n\
         or set PG_BIN_DIR to the folder of `initdb` and `postgres`, or DATABASE_URL to a server \
         on which databases may be made and dropped."
    )]
    NotInstalled { looked: String },

    #[error(
        "PostgreSQL refuses to run as root, and /etc/passwd has neither `postgres` nor `nobody` \
         to run it as. Run as an ordinary user, or set DATABASE_URL."
    )]
    NoAccount,

    #[error(
        "the server will run as `{account}`, which can enter none of {tried}. Set TMPDIR to a \
         folder that everybody may write to, as /tmp is."
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

    #[error("{program} could not make a cluster: {output}", program = program.display())]
    Initdb { program: PathBuf, output: String },

    #[error("PostgreSQL stopped while starting. The end of its log:\n{log}")]
    Exited { log: String },

    #[error("PostgreSQL was not ready after {seconds} s. The end of its log:\n{log}")]
    NotReady { seconds: u64, log: String },

    #[error(
        "no port was free for PostgreSQL in {tries} tries: each was taken between choosing and \
         using it. The end of the last log:\n{log}"
    )]
    NoPort { tries: u32, log: String },

    #[error(
        "tests are to go through PgBouncer (TEST_POOLER), and there is none: \
         sudo apt-get install pgbouncer"
    )]
    NoPgBouncer,

    #[error("PgBouncer did not start. Its log:\n{log}")]
    PgBouncer { log: String },

    #[error("TEST_POOLER is {0:?}; it may be `transaction` or not set")]
    TestPooler(String),

    #[error("DATABASE_URL is not a `postgres://…` address")]
    DatabaseUrl,
}

/// Adds the action and its path to an `io::Error`.
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
