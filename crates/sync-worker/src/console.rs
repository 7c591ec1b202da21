//! Output for people: bars and tables on a terminal, otherwise log lines.

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
    /// Whether writing a result has failed.
    write_failed: Arc<AtomicBool>,
}

/// Destination of results.
#[derive(Debug, Clone)]
enum ResultSink {
    StandardOutput,
    Captured(CapturedResults),
}

/// Results that are kept in memory instead of printed.
#[derive(Debug, Clone, Default)]
pub struct CapturedResults(Arc<Mutex<Vec<u8>>>);

impl CapturedResults {
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Output of `--json` if the command has no result.
#[derive(Serialize)]
struct ErrorResult<'a> {
    error: &'a str,
    exit_code: u8,
}

impl Console {
    /// Creates a console of this process. It is a terminal if standard error is one, because people
    /// read standard error.
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

    /// Creates a console without a terminal. Its results are returned to the caller that runs the
    /// worker in its own process.
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

    /// Returns a writer of log lines to standard error that keeps the lines from overwriting a
    /// progress bar.
    pub fn log_writer(&self) -> impl Fn() -> LogWriter + Send + Sync + 'static {
        let bars = self.bars.clone();
        move || LogWriter(bars.clone())
    }

    /// Prints a result for people to standard output.
    pub(crate) fn print(&self, text: impl fmt::Display) {
        let result = match &self.sink {
            ResultSink::StandardOutput => self
                .bars
                .suspend(|| write_line(&mut io::stdout().lock(), &text)),
            ResultSink::Captured(CapturedResults(bytes)) => write_line(
                &mut *bytes.lock().unwrap_or_else(PoisonError::into_inner),
                &text,
            ),
        };
        // Logged after the bars are resumed, because writing a log line suspends them as well.
        if let Err(error) = result {
            self.write_failed.store(true, Ordering::Relaxed);
            tracing::error!(%error, "result could not be written to standard output");
        }
    }

    /// Whether a result could not be written, for example because the disk is full. A pipe that its
    /// reader has closed does not count.
    pub(crate) fn write_failed(&self) -> bool {
        self.write_failed.load(Ordering::Relaxed)
    }

    /// Prints a message for people that is not the result, to standard error.
    pub(crate) fn print_to_stderr(&self, text: impl fmt::Display) {
        // If standard error is closed, there is no other place for the message.
        let _ = self
            .bars
            .suspend(|| write_line(&mut io::stderr().lock(), &text));
    }

    /// Prints the one object that `--json` promises.
    pub(crate) fn print_json(&self, result: &impl Serialize) {
        match serde_json::to_string(result) {
            Ok(text) => self.print(text),
            Err(error) => tracing::error!(%error, "result cannot be written as JSON"),
        }
    }

    pub(crate) fn print_error(&self, refusal: &CommandError, json: bool) {
        let CommandError { exit, message } = refusal;
        if *exit == ExitStatus::WrongUsage {
            // The format of clap's own errors, without a reference to the help: the message names
            // the remedy.
            self.print_to_stderr(format_args!("error: {message}"));
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

/// Writes a line. `println!` would panic if the reader of a pipe has closed it, as in `| head`.
fn write_line(to: &mut dyn Write, text: &dyn fmt::Display) -> io::Result<()> {
    match writeln!(to, "{text}").and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writer of log lines to standard error.
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
