use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::binaries::{PostgresBinaries, PostgresVersion};
use crate::cluster::{Cluster, SUPERUSER};
use crate::host::ServerHost;
use crate::supervisor::Supervisor;
use crate::{Environment, PostgresStartError, ports};

/// Settings of the private server.
///
/// The server's data is deleted when the process ends, so writes do not have to wait for the disk.
/// All settings that are not listed have PostgreSQL's defaults, so that a query in a test has the
/// same plan as on a server with default settings.
const SETTINGS: &[&str] = &[
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=200",
    "shared_buffers=64MB",
    "listen_addresses=127.0.0.1",
    // No Unix socket: the path of a socket may have about 100 bytes, and the temporary folders of
    // macOS use most of them.
    "unix_socket_directories=",
    "timezone=UTC",
    "log_timezone=UTC",
];

const PORT_TRIES: u32 = 10;
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A PostgreSQL server that only this process uses, and that stops when the process ends.
///
/// Dropping the value stops the server and removes its data. If this process is killed, the same
/// happens within seconds.
pub struct PrivatePostgres {
    supervisor: Option<Supervisor>,
    cluster: Cluster,
    port: u16,
    version: PostgresVersion,
}

impl PrivatePostgres {
    /// Starts a server with an empty cluster, on a port that the operating system picks. Blocks the
    /// thread until the server is ready.
    ///
    /// This takes 0.2 seconds. The first start on a machine takes one second, and longer if
    /// PostgreSQL has to be downloaded.
    pub fn start() -> Result<Self, PostgresStartError> {
        Self::start_in(&Environment::from_process(), None)
    }

    /// Starts a server on the requested port, or on another port if the requested one is taken or
    /// `None`.
    pub fn start_in(
        environment: &Environment,
        requested_port: Option<u16>,
    ) -> Result<Self, PostgresStartError> {
        let host = ServerHost::new(environment)?;
        let binaries = PostgresBinaries::locate_on(&host)?;
        let mut requested_port = requested_port;
        let mut log = String::new();
        for _ in 0..PORT_TRIES {
            let port = match requested_port.take() {
                Some(port) => port,
                None => ports::free()?,
            };
            match Self::launch(&host, &binaries, port) {
                Err(PostgresStartError::Exited { log: last_log })
                    if shows_port_taken(&last_log) =>
                {
                    log = last_log;
                }
                outcome => return outcome,
            }
        }
        Err(PostgresStartError::NoPort {
            tries: PORT_TRIES,
            log,
        })
    }

    fn launch(
        host: &ServerHost,
        binaries: &PostgresBinaries,
        port: u16,
    ) -> Result<Self, PostgresStartError> {
        let cluster = Cluster::create(host, binaries)?;
        let mut command: Vec<OsString> = vec![
            binaries.program("postgres").into(),
            "-D".into(),
            cluster.data_folder().into(),
            "-p".into(),
            port.to_string().into(),
        ];
        for setting in SETTINGS {
            command.extend(["-c".into(), setting.into()]);
        }
        if host.environment.test_messages.is_some() {
            command.extend(["-c".into(), "lc_messages=C.UTF-8".into()]);
        }
        let mut server = Self {
            supervisor: None,
            cluster,
            port,
            version: binaries.version,
        };
        let mut supervisor = Supervisor::start(host, &server.cluster.folder, command)?;
        let ready = wait_until_ready(&mut supervisor, &server.cluster, port);
        server.supervisor = Some(supervisor);
        ready.map(|()| server)
    }

    /// Returns the address of one of the server's databases, for the server's superuser.
    pub fn url(&self, database: &str) -> String {
        let Self { port, cluster, .. } = self;
        let password = &cluster.password;
        format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{port}/{database}?sslmode=disable")
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn version(&self) -> PostgresVersion {
        self.version
    }

    /// Returns the folder with all files of the server: its data and its log.
    pub fn folder(&self) -> &Path {
        &self.cluster.folder
    }

    /// Stops the server, and waits until the server's process has ended and its files are removed.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        drop(self.supervisor.take());
        // The supervisor has already removed the folder, unless the supervisor itself was killed.
        let _ = fs::remove_dir_all(&self.cluster.folder);
    }
}

/// Waits until the status file in the server's data folder shows that the server accepts
/// connections.
///
/// It is not enough that the port accepts connections, because another server may have taken the
/// port.
fn wait_until_ready(
    supervisor: &mut Supervisor,
    cluster: &Cluster,
    port: u16,
) -> Result<(), PostgresStartError> {
    let status_file = cluster.data_folder().join("postmaster.pid");
    let exited = cluster.folder.join("exited");
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        if fs::read_to_string(&status_file).is_ok_and(|status| shows_ready(&status, port)) {
            return Ok(());
        }
        if exited.exists() || supervisor.has_ended() {
            return Err(PostgresStartError::Exited {
                log: log_tail(&cluster.folder),
            });
        }
        if Instant::now() > deadline {
            return Err(PostgresStartError::NotReady {
                seconds: READY_TIMEOUT.as_secs(),
                log: log_tail(&cluster.folder),
            });
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Returns whether the content of `postmaster.pid` shows that the server is ready on this port.
///
/// Line 4 of the file is the port, and line 8 is the state.
fn shows_ready(status: &str, port: u16) -> bool {
    let mut lines = status.lines();
    let has_port = lines
        .nth(3)
        .is_some_and(|line| line.trim().parse() == Ok(port));
    has_port && lines.nth(3).is_some_and(|line| line.trim() == "ready")
}

/// Returns whether the server's log shows that the port was taken.
///
/// The server runs with `LC_ALL=C`, so the messages in its log are in English.
fn shows_port_taken(log: &str) -> bool {
    log.contains("could not bind")
}

fn log_tail(folder: &Path) -> String {
    let log = fs::read(folder.join("log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = "4711\n/tmp/x/data\n1700000000\n54321\n\n127.0.0.1\n  123 456\nready   \n";

    #[test]
    fn a_server_is_ready_if_its_status_file_has_the_port_and_the_state_ready() {
        assert!(shows_ready(READY, 54321));
        assert!(!shows_ready(READY, 5432));
        assert!(!shows_ready(&READY.replace("ready", "starting"), 54321));
        assert!(!shows_ready(
            "4711\n/tmp/x/data\n1700000000\n54321\n",
            54321
        ));
    }
}
