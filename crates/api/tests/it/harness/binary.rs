//! The real program `api`, which runs in its own process with its own environment.

use std::{
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};
use whoop_sim::{SimConfig, SimServer};

use super::{APP_SECRET, Client, DEADLINE, flags, free_address};

/// A command that starts the program `api` with an empty environment.
pub(crate) struct Binary(Command);

/// Exit status and output of a program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Binary {
    pub(crate) fn new() -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_api")))
    }

    /// Returns a command that starts `api` with a limit set by the shell, such as `-n 200` for 200
    /// open files.
    fn limited(ulimit: &str) -> Self {
        let mut shell = Command::new("/bin/sh");
        let script = format!("ulimit {ulimit} && exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_api")]);
        Self::run(shell)
    }

    fn run(mut command: Command) -> Self {
        command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Self(command)
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.0.arg(arg);
        self
    }

    /// Runs the program until it exits by itself, and returns its output.
    pub(crate) async fn ended(mut self) -> Ended {
        let output = timeout(DEADLINE, self.0.output())
            .await
            .unwrap_or_else(|_| panic!("the program did not exit: {:?}", self.0))
            .unwrap();
        Ended {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The program `api` while it serves requests.
pub(crate) struct RunningApi {
    pub(crate) client: Client,
    /// Client for the operations address; `None` if the program has no operations address.
    pub(crate) operations: Option<Client>,
    child: Child,
    log: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
}

/// Starts a simulated WHOOP that uses the system clock, as the programs do.
pub(crate) async fn simulator() -> SimServer {
    let config = SimConfig {
        days: 60,
        calls_per_minute: 1_000_000,
        calls_per_day: 1_000_000,
        client_secret: APP_SECRET.to_owned(),
        auto_consent: true,
        ..SimConfig::default()
    };
    SimServer::start(config).await.unwrap()
}

impl RunningApi {
    /// Starts the program and waits until it serves. If another program has taken its port, tries
    /// another port.
    pub(crate) async fn start(database_url: &str, sim: &SimServer, log_filter: &str) -> Self {
        Self::start_with_flags(database_url, sim, log_filter, &[]).await
    }

    /// Starts the program with additional flags.
    pub(crate) async fn start_with_flags(
        database_url: &str,
        sim: &SimServer,
        log_filter: &str,
        more: &[&str],
    ) -> Self {
        Self::launch(database_url, sim, log_filter, || {
            more.iter()
                .fold(Binary::new(), |binary, flag| binary.arg(flag))
        })
        .await
    }

    /// Starts the program with an operations address, and with a limit set by the shell, such as
    /// `-n 200` for 200 open files.
    pub(crate) async fn start_limited(database_url: &str, sim: &SimServer, ulimit: &str) -> Self {
        let mut operations = free_address();
        let mut api = Self::launch(database_url, sim, "info", || {
            operations = free_address();
            Binary::limited(ulimit).arg(&format!("--api-ops-listen={operations}"))
        })
        .await;
        api.operations = Some(Client::new(operations));
        api
    }

    async fn launch(
        database_url: &str,
        sim: &SimServer,
        log_filter: &str,
        mut program: impl FnMut() -> Binary,
    ) -> Self {
        loop {
            let address = free_address();
            let mut binary = program().env("RUST_LOG", log_filter);
            for flag in flags(address, database_url, sim).iter().skip(1) {
                binary = binary.arg(flag);
            }
            let mut child = binary.0.spawn().unwrap();
            let log = Arc::new(Mutex::new(String::new()));
            let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
            let writer = Arc::clone(&log);
            let reading = tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    let mut text = writer.lock().unwrap();
                    text.push_str(&line);
                    text.push('\n');
                }
            });
            let mut api = Self {
                client: Client::new(address),
                operations: None,
                child,
                log,
                reading,
            };
            if api.serves().await {
                return api;
            }
        }
    }

    /// Waits until the program serves, and returns `true`. Returns `false` if the program has
    /// exited because its port was taken.
    async fn serves(&mut self) -> bool {
        let starting = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    let log = self.log_so_far();
                    assert!(log.contains("cannot listen"), "{status}: {log}");
                    return false;
                }
                if tokio::net::TcpStream::connect(self.client.address)
                    .await
                    .is_ok()
                {
                    return true;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        timeout(DEADLINE, starting).await.unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn log_so_far(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        kill_process(pid.and_then(Pid::from_raw).unwrap(), signal).unwrap();
    }

    /// Waits until the program exits. Returns its exit status and its complete log.
    pub(crate) async fn end(mut self) -> (ExitStatus, String) {
        let status = timeout(DEADLINE, self.child.wait()).await.unwrap().unwrap();
        timeout(DEADLINE, self.reading).await.unwrap().unwrap();
        let log = self.log.lock().unwrap().clone();
        (status, log)
    }
}
