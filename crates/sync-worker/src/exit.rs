/// Outcome of a command, as an exit code for scripts and Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// The command has done all its work.
    Done,
    /// The database or the configuration prevents the command.
    CouldNotRun,
    /// The command line is invalid.
    WrongUsage,
    /// The command ran, and some members failed.
    SomeFailed,
    /// The command ran, and some work was deferred because of the quota or a stop.
    Deferred,
}

impl ExitStatus {
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::CouldNotRun => 1,
            Self::WrongUsage => 2,
            Self::SomeFailed => 3,
            Self::Deferred => 4,
        }
    }
}

/// Reason why a command did not run, and what to do about it.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) exit: ExitStatus,
    pub(crate) message: String,
}

impl CommandError {
    pub(crate) const fn could_not_run(message: String) -> Self {
        Self {
            exit: ExitStatus::CouldNotRun,
            message,
        }
    }

    pub(crate) const fn wrong_usage(message: String) -> Self {
        Self {
            exit: ExitStatus::WrongUsage,
            message,
        }
    }
}
