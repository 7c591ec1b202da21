//! Where people read: a terminal with bars and tables, or a log.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

use crate::{ExitStatus, exit::CommandError};

/// This process's standard output and error.
#[derive(Debug, Clone)]
pub struct Console {
    is_terminal: bool,
    bars: MultiProgress,
    sink: ResultSink,
    /// Whether a result could not be written.
    write_failed: Arc<AtomicBool>,
}

/// Where results go.
#[derive(Debug, Clone)]
enum ResultSink {
    StandardOutput,
    Captured(CapturedResults),
}

/// Results that were kept instead of printed.
#[derive(Debug, Clone, Default)]
pub struct CapturedResults(Arc<Mutex<Vec<u8>>>);

impl CapturedResults {
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// What `--json` prints where there is no result.
#[derive(Serialize)]
struct ErrorResult<'a> {
    error: &'a str,
    exit_code: u8,
}

impl Console {
    /// A terminal if standard error is one, as that is where people read.
    pub fn of_process() -> Self {
        let is_terminal = io::stderr().is_terminal();
        let target = if is_terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            is_terminal,
            bars: MultiProgress::with_draw_target(target),
            sink: ResultSink::StandardOutput,
            write_failed: Arc::default(),
        }
    }

    /// No terminal, and results go to whoever runs the worker in its process.
    pub fn capturing() -> (Self, CapturedResults) {
        let kept = CapturedResults::default();
        let console = Self {
            is_terminal: false,
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()),
            sink: ResultSink::Captured(kept.clone()),
            write_failed: Arc::default(),
        };
        (console, kept)
    }

    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    pub(crate) fn bars(&self) -> &MultiProgress {
        &self.bars
    }

    /// Standard error for log lines, which steps around a bar.
    pub fn log_writer(&self) -> impl Fn() -> LogWriter + Send + Sync + 'static {
        let bars = self.bars.clone();
        move || LogWriter(bars.clone())
    }

    /// A result for people, on standard output.
    pub(crate) fn print(&self, text: impl fmt::Display) {
        let said = match &self.sink {
            ResultSink::StandardOutput => self
                .bars
                .suspend(|| write_line(&mut io::stdout().lock(), &text)),
            ResultSink::Captured(CapturedResults(bytes)) => write_line(
                &mut *bytes.lock().unwrap_or_else(PoisonError::into_inner),
                &text,
            ),
        };
        // Only now: a log line steps around the bars as well.
        if let Err(error) = said {
            self.write_failed.store(true, Ordering::Relaxed);
            tracing::error!(%error, "the result could not be written to standard output");
        }
    }

    /// Whether somebody waits for a result in vain, as on a full disk. A reader
    /// who has gone does not.
    pub(crate) fn write_failed(&self) -> bool {
        self.write_failed.load(Ordering::Relaxed)
    }

    /// Something for people that is not the result, on standard error.
    pub(crate) fn print_to_stderr(&self, text: impl fmt::Display) {
        // Where standard error is closed, nobody is left to be told.
        let _ = self
            .bars
            .suspend(|| write_line(&mut io::stderr().lock(), &text));
    }

    /// The one object that `--json` promises.
    pub(crate) fn print_json(&self, result: &impl Serialize) {
        match serde_json::to_string(result) {
            Ok(text) => self.print(text),
            Err(error) => tracing::error!(%error, "the result cannot be written as JSON"),
        }
    }

    pub(crate) fn print_error(&self, refusal: &CommandError, json: bool) {
        let CommandError { exit, message } = refusal;
        if *exit == ExitStatus::WrongUsage {
            // As clap says it.
            self.print_to_stderr(format_args!(
                "error: {message}\n\nFor more information, try '--help'."
            ));
            return;
        }
        if self.is_terminal {
            self.print_to_stderr(format_args!("error: {message}"));
        } else {
            tracing::error!(exit_code = exit.code(), "{message}");
        }
        if json {
            self.print_json(&ErrorResult {
                error: message,
                exit_code: exit.code(),
            });
        }
    }
}

/// `println!` would panic where a pipe's reader has gone, as with `| head`.
fn write_line(to: &mut dyn Write, text: &dyn fmt::Display) -> io::Result<()> {
    match writeln!(to, "{text}").and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// One log line on its way to standard error.
#[derive(Debug)]
pub struct LogWriter(MultiProgress);

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
