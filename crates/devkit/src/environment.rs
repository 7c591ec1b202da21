use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// All inputs that this crate reads from its environment, read in one place.
///
/// A test can construct a value that describes a machine without PostgreSQL. It then does not have
/// to change environment variables that other tests read.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Address of a server on which tests may create and drop databases: the variable
    /// `DATABASE_URL`.
    pub database_url: Option<String>,
    /// Mode of the pooler through which tests connect: the variable `TEST_POOLER`.
    ///
    /// The only valid mode is `transaction`. Without the variable, tests connect directly to
    /// PostgreSQL.
    pub test_pooler: Option<String>,
    /// Language of PostgreSQL's messages in tests, such as `de`: the variable `TEST_MESSAGES`.
    /// English by default.
    pub test_messages: Option<String>,
    /// Folder with the server's programs: the variable `PG_BIN_DIR`.
    pub pg_bin_dir: Option<PathBuf>,
    /// Folders that the variable `PATH` lists.
    pub path: Vec<PathBuf>,
    /// Folders in which operating systems install server programs that are not on the `PATH`.
    pub install_folders: Vec<PathBuf>,
    /// Folders for this user's caches; the preferred folder is first.
    pub cache_homes: Vec<PathBuf>,
    pub temp_dir: PathBuf,
    /// Names of the environment variables that begin with `PG`.
    ///
    /// They are removed for the private server's programs, because variables of the user's shell
    /// such as `PGDATA`, `PGPORT` or `PGOPTIONS` would otherwise affect these programs.
    pub pg_variables: Vec<OsString>,
}

impl Environment {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place of this crate that reads the environment"
    )]
    pub fn from_process() -> Self {
        let database_url = std::env::var("DATABASE_URL")
            .ok()
            .filter(|url| !url.trim().is_empty());
        let test_pooler = std::env::var("TEST_POOLER")
            .ok()
            .filter(|mode| !mode.is_empty());
        let test_messages = std::env::var("TEST_MESSAGES")
            .ok()
            .filter(|language| !language.is_empty());
        let path = std::env::var_os("PATH")
            .map(|path| std::env::split_paths(&path).collect())
            .unwrap_or_default();
        let pg_variables = std::env::vars_os()
            .map(|(name, _)| name)
            .filter(|name| name.as_encoded_bytes().starts_with(b"PG"))
            .collect();
        let home = absolute_path_variable("HOME");
        let cache_homes = absolute_path_variable("XDG_CACHE_HOME")
            .or_else(|| home.as_ref().map(|home| home.join(".cache")))
            .into_iter()
            .collect();
        Self {
            database_url,
            test_pooler,
            test_messages,
            pg_bin_dir: std::env::var_os("PG_BIN_DIR")
                .filter(|dir| !dir.is_empty())
                .map(PathBuf::from),
            path,
            install_folders: install_folders(home.as_deref()),
            cache_homes,
            temp_dir: std::env::temp_dir(),
            pg_variables,
        }
    }
}

fn absolute_path_variable(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

fn install_folders(home: Option<&Path>) -> Vec<PathBuf> {
    // Folders of Debian and Ubuntu, of the Red Hat packages of PostgreSQL, and of Homebrew on Apple
    // and on Intel processors. Each version of PostgreSQL has its own folder in them.
    let mut folders: Vec<PathBuf> = [
        ("/usr/lib/postgresql", ""),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql"),
        ("/usr/local/opt", "postgresql"),
    ]
    .into_iter()
    .flat_map(|(parent, prefix)| child_folders(Path::new(parent), prefix))
    .map(|folder| folder.join("bin"))
    .collect();

    let applications = [
        Some(PathBuf::from("/Applications")),
        home.map(|home| home.join("Applications")),
    ];
    for versions in applications
        .into_iter()
        .flatten()
        .map(|folder| folder.join("Postgres.app/Contents/Versions"))
    {
        folders.extend(
            child_folders(&versions, "")
                .into_iter()
                .map(|folder| folder.join("bin")),
        );
    }
    folders
}

fn child_folders(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(prefix.as_bytes())
        })
        .map(|entry| entry.path())
        .collect()
}
