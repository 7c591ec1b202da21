//! A PgBouncer that only this process uses, for tests that connect through a pooler.

use std::ffi::OsString;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use url::Url;

use crate::error::IoResultExt;
use crate::host::ServerHost;
use crate::supervisor::Supervisor;
use crate::{Environment, PostgresStartError, ports, tree};

/// Maximum number of connections to PostgreSQL per database.
///
/// It is less than the connections of one test's pools, so that clients have to share connections.
/// It is more than two, because a token refresh uses two connections at the same time.
const POOL_SIZE: u32 = 5;

/// Maximum time in seconds that a client waits for a connection to PostgreSQL.
///
/// A longer wait means that clients wait for each other, and the test should then fail.
const QUERY_WAIT_SECONDS: u32 = 20;

const PORT_TRIES: u32 = 10;
const READY_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A PgBouncer in transaction mode that connects to a PostgreSQL server. It ends when this process
/// ends.
pub struct PgBouncer {
    _supervisor: Supervisor,
    port: u16,
}

impl PgBouncer {
    /// Starts a PgBouncer in front of the server at this address. Blocks the thread until PgBouncer
    /// is ready.
    ///
    /// The address must be that of a superuser, because PgBouncer looks up the passwords of other
    /// roles.
    pub fn start(environment: &Environment, server: &Url) -> Result<Self, PostgresStartError> {
        let host = ServerHost::new(environment)?;
        let program = find_program(environment)?;
        let mut outcome = Self::launch(&host, &program, server);
        for _ in 1..PORT_TRIES {
            match outcome {
                Err(PostgresStartError::PgBouncer { log }) if shows_port_taken(&log) => {
                    outcome = Self::launch(&host, &program, server);
                }
                _ => break,
            }
        }
        outcome
    }

    fn launch(host: &ServerHost, program: &Path, server: &Url) -> Result<Self, PostgresStartError> {
        let temp = host.temp_folder()?;
        let folder = tree::temp_folder(&temp, "whoop-pgbouncer-")
            .while_doing("create a folder in", &temp)?;
        let port = ports::free()?;
        let settings = ini_content(server, folder.path(), port);
        for (name, content) in [("ini", settings), ("users", auth_file_content(server))] {
            let path = folder.path().join(name);
            tree::write_secret(&path, &content).while_doing("write", &path)?;
        }
        if let Some(account) = &host.account {
            tree::change_owner(folder.path(), account)
                .while_doing("change the owner of", folder.path())?;
        }
        // The folder is kept here, because the supervisor removes it later.
        let folder = folder.keep();
        let command: [OsString; 2] = [program.into(), folder.join("ini").into()];
        let mut supervisor = Supervisor::start(host, &folder, command)?;
        wait_until_ready(&mut supervisor, &folder, port)?;
        Ok(Self {
            _supervisor: supervisor,
            port,
        })
    }

    /// Returns the address of the pooler for the database, user and password of the address
    /// `direct`.
    pub fn url(&self, direct: &str) -> String {
        let mut url = Url::parse(direct).expect("the address of a reachable PostgreSQL is a URL");
        // This cannot fail: PostgreSQL was reached over TCP, so the address has a host.
        let _ = url.set_host(Some("127.0.0.1"));
        let _ = url.set_port(Some(self.port));
        url.into()
    }
}

fn find_program(environment: &Environment) -> Result<PathBuf, PostgresStartError> {
    // Debian installs PgBouncer in a folder that is only on root's PATH.
    let extra_folders = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"].map(PathBuf::from);
    let mut folders = environment.path.iter().chain(&extra_folders);
    folders
        .find_map(|folder| Some(folder.join("pgbouncer")).filter(|program| program.is_file()))
        .ok_or(PostgresStartError::NoPgBouncer)
}

fn ini_content(server: &Url, folder: &Path, port: u16) -> String {
    let backend = format!(
        "host={} port={}",
        server.host_str().unwrap_or("127.0.0.1"),
        server.port().unwrap_or(5432)
    );
    let users = folder.join("users");
    format!(
        "[databases]\n\
         * = {backend}\n\
         [pgbouncer]\n\
         pool_mode = transaction\n\
         default_pool_size = {POOL_SIZE}\n\
         max_client_conn = 800\n\
         query_wait_timeout = {QUERY_WAIT_SECONDS}\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = md5\n\
         auth_file = {users}\n\
         auth_user = {user}\n",
        users = users.display(),
        user = server.username(),
    )
}

/// Returns the content of PgBouncer's user list: the superuser with the password in plain text.
///
/// PgBouncer needs the plain password to authenticate itself to PostgreSQL.
fn auth_file_content(server: &Url) -> String {
    let password = server.password().unwrap_or_default();
    format!("\"{}\" \"{password}\"\n", server.username())
}

fn shows_port_taken(log: &str) -> bool {
    log.contains("Address already in use")
}

fn wait_until_ready(
    supervisor: &mut Supervisor,
    folder: &Path,
    port: u16,
) -> Result<(), PostgresStartError> {
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        // The port alone is not enough: another process may have taken the port and accept
        // connections.
        if log.contains("process up") && TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        if folder.join("exited").exists() || supervisor.has_ended() || Instant::now() > deadline {
            return Err(PostgresStartError::PgBouncer { log });
        }
        thread::sleep(POLL_INTERVAL);
    }
}
