//! Tests that a private server is cleaned up after its process ended abnormally, and that an
//! ordinary user can start a server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use whoop_devkit::PrivatePostgres;

const NOBODY: u32 = 65_534;

/// Helper that the other tests run in a separate process. It is not a test itself.
///
/// It starts a server and keeps it until its standard input ends. Then the process ends without
/// dropping the server, as with a server in a `static`.
#[test]
fn holds_a_server() {
    if std::env::var_os("WHOOP_DEVKIT_HOLD").is_none() {
        return;
    }
    let postgres = PrivatePostgres::start().unwrap();
    println!(
        "\nholding {} {}",
        postgres.port(),
        postgres.folder().display()
    );
    let mut rest = String::new();
    std::io::stdin().read_to_string(&mut rest).unwrap();
    std::mem::forget(postgres);
}

struct Holder {
    process: Child,
    // The output is kept open, because the test runner in that process would fail if it could not
    // write to it.
    _output: BufReader<ChildStdout>,
    port: u16,
    folder: PathBuf,
}

fn hold(program: &Path, adjust: impl FnOnce(&mut Command)) -> Holder {
    let mut command = Command::new(program);
    command
        .args([
            "holds_a_server",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("WHOOP_DEVKIT_HOLD", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    adjust(&mut command);
    let mut process = command.spawn().unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let line = output
        .by_ref()
        .lines()
        .map(Result::unwrap)
        .find(|line| line.starts_with("holding "))
        .expect("a line with the port and the folder");
    let mut words = line.split(' ').skip(1);
    Holder {
        process,
        _output: output,
        port: words.next().unwrap().parse().unwrap(),
        folder: words.next().unwrap().into(),
    }
}

impl Holder {
    fn accepts_connections(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
    }

    fn server_pid(&self) -> String {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        file.lines().next().unwrap().to_owned()
    }

    fn assert_all_removed(&self, server_pid: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.folder.exists() || is_alive(server_pid) {
            assert!(
                Instant::now() < deadline,
                "{} still exists",
                self.folder.display()
            );
            thread::sleep(Duration::from_millis(10));
        }
        assert!(!self.accepts_connections());
    }
}

fn is_alive(pid: &str) -> bool {
    let state = Command::new("ps")
        .args(["-o", "stat=", "-p", pid])
        .output()
        .unwrap();
    let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

fn this_program() -> PathBuf {
    std::env::current_exe().unwrap()
}

#[test]
fn the_server_and_its_folder_are_removed_after_the_process_is_killed() {
    let mut holder = hold(&this_program(), |_| ());
    let server = holder.server_pid();
    assert!(holder.accepts_connections() && is_alive(&server));

    // `kill` sends SIGKILL, so the process cannot clean up.
    holder.process.kill().unwrap();
    holder.process.wait().unwrap();

    holder.assert_all_removed(&server);
}

#[test]
fn the_server_and_its_folder_are_removed_after_the_process_ends_without_drop() {
    let mut holder = hold(&this_program(), |_| ());
    let server = holder.server_pid();

    drop(holder.process.stdin.take());
    assert!(holder.process.wait().unwrap().success());

    holder.assert_all_removed(&server);
}

#[test]
fn ctrl_c_in_a_terminal_does_not_reach_the_server() {
    let mut holder = hold(&this_program(), |_| ());

    let server = group_of(&holder.server_pid());

    assert_ne!(server, group_of(&holder.process.id().to_string()));
    assert_ne!(server, group_of(&std::process::id().to_string()));
    let server = holder.server_pid();
    holder.process.kill().unwrap();
    holder.process.wait().unwrap();
    holder.assert_all_removed(&server);
}

fn group_of(pid: &str) -> String {
    let group = Command::new("ps")
        .args(["-o", "pgid=", "-p", pid])
        .output()
        .unwrap();
    String::from_utf8_lossy(&group.stdout).trim().to_owned()
}

#[test]
fn children_of_the_process_do_not_keep_the_server_alive() {
    let postgres = PrivatePostgres::start().unwrap();
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let folder = postgres.folder().to_path_buf();
    let started = Instant::now();

    postgres.stop();

    assert!(!folder.exists());
    assert!(started.elapsed() < Duration::from_secs(10));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_ordinary_user_can_start_a_server() {
    if !rustix::process::geteuid().is_root() {
        println!(
            "skipped: this process is not root, so all other tests run as an ordinary user anyway"
        );
        return;
    }
    // The program is copied, because other users may not be able to enter the folder in which it
    // was built.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("lifetime");
    fs::copy(this_program(), &program).unwrap();
    for path in [folder.path(), &program] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    let cache = folder.path().join("cache");
    fs::create_dir(&cache).unwrap();
    chown(&cache, Some(NOBODY), Some(NOBODY)).unwrap();

    let mut holder = hold(&program, |command| {
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        command.env("XDG_CACHE_HOME", &cache);
    });
    let server = holder.server_pid();
    assert!(holder.accepts_connections());
    holder.process.kill().unwrap();
    holder.process.wait().unwrap();

    holder.assert_all_removed(&server);
}
