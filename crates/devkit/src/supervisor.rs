use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use crate::PostgresStartError;
use crate::host::ServerHost;

const SCRIPT: &str = include_str!("supervisor.sh");

/// The shell that stops the server and removes its folder when this process ends.
///
/// Dropping it does both at once and waits. Statics are never dropped and a killed process drops
/// nothing, so the shell also watches a pipe: the system closes the other end when this process
/// ends in any way. (Linux can signal the server itself on the death of its parent, but that refers
/// to the parent's thread, and macOS cannot.)
pub(crate) struct Supervisor {
    shell: Child,
    // Child processes do not inherit it, because Rust opens pipes close-on-exec.
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
            // Test runners wait for every process that holds the output of a test.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is sent to the terminal's whole process group. The server must stop only when
            // the pipe closes, after the processes that still use it.
            .process_group(0)
            .spawn()
            .map_err(|source| PostgresStartError::Run {
                program: "/bin/sh".into(),
                source,
            })?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }

    /// Whether the shell itself has ended, which this crate never causes.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.shell.try_wait(), Ok(None))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // This fails only if the shell has been waited for already.
        let _ = self.shell.wait();
    }
}
