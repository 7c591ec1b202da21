use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use crate::PostgresStartError;
use crate::host::ServerHost;

const SCRIPT: &str = include_str!("supervisor.sh");

/// The shell that stops a server and removes the server's folder when this process ends.
///
/// Dropping the value stops the server immediately and waits for the end of the shell. But the
/// value is not dropped if it is in a static or if this process is killed. The shell therefore also
/// watches a pipe: when this process ends in any way, the system closes the other end of the pipe.
///
/// (Linux can also send a signal to the server when its parent dies. But Linux sends it when the
/// parent's thread ends, and macOS has no such signal.)
pub(crate) struct Supervisor {
    shell: Child,
    // Child processes do not inherit the pipe, because Rust opens pipes close-on-exec.
    pipe: Option<ChildStdin>,
}

impl Supervisor {
    pub(crate) fn start(
        host: &ServerHost,
        folder: &Path,
        server: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, PostgresStartError> {
        let mut shell = host
            .command("/bin/sh")
            .args(["-c", SCRIPT, "whoop-devkit-postgres"])
            .arg(folder)
            .args(server)
            .current_dir(folder)
            .stdin(Stdio::piped())
            // A test runner waits until every process has ended that holds the output of a test, so
            // the shell must not hold it.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A terminal sends Ctrl-C to its whole process group. The server must not stop then,
            // but only when the pipe closes, after the processes that still use the server have
            // ended.
            .process_group(0)
            .spawn()
            .map_err(|source| PostgresStartError::Run {
                program: "/bin/sh".into(),
                source,
            })?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }

    /// Returns whether the shell has ended. Only something outside of this crate can cause this.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.shell.try_wait(), Ok(None))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // This fails only if `wait` was already called.
        let _ = self.shell.wait();
    }
}
