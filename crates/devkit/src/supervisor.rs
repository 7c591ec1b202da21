use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};

use crate::PostgresStartError;
use crate::host::ServerHost;

const SCRIPT: &str = include_str!("supervisor.sh");

/// The shell that ends the server, and removes its folder, when we are gone.
///
/// Dropping it does both at once and waits. Statics are never dropped and a
/// killed process drops nothing, so it hangs on a pipe: the system closes our
/// end whatever happens. (Linux could signal the server itself on the death
/// of its parent, but means the parent's thread, and macOS has no such thing.)
pub(crate) struct Supervisor {
    shell: Child,
    // No child of ours inherits it: Rust opens pipes close-on-exec.
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
            // Test runners wait for whoever holds the output of a test.
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C goes to the terminal's whole process group. The pipe alone
            // decides when the server goes, after those who still use it.
            .process_group(0)
            .spawn()
            .map_err(|source| PostgresStartError::Run {
                program: "/bin/sh".into(),
                source,
            })?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }

    /// Whether the shell itself is gone, which nothing of ours makes it do.
    pub(crate) fn is_gone(&mut self) -> bool {
        !matches!(self.shell.try_wait(), Ok(None))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // Fails only if the shell has been waited for already.
        let _ = self.shell.wait();
    }
}
