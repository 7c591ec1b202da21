//! Captures everything that the process logs while a test runs, at every level.

use std::{
    io::Write,
    sync::{Arc, LazyLock, Mutex},
};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter, util::SubscriberInitExt};

/// The log of the whole process. A log for one thread could miss a line that another thread had
/// logged first.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    // The simulator's server is not part of the service, so its log lines are not captured.
    // `try_init` also captures the lines of the `log` crate, which PostgreSQL's driver uses.
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(
            "trace,actix_http=off,actix_web=off,actix_server=off",
        ))
        .with_writer(log.clone())
        .finish()
        .try_init()
        .unwrap();
    log
});

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

/// Starts to capture log lines and returns the log. A test must call this before anything can log.
pub(crate) fn listen() -> Log {
    LOG.clone()
}

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
