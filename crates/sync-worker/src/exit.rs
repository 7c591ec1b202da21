/// How a command ended, for scripts and for Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// All that was asked is done.
    Done,
    /// The database or the configuration does not allow it.
    CouldNotRun,
    /// The command line makes no sense.
    WrongUsage,
    /// It ran, and some members failed.
    SomeFailed,
    /// It ran, and some work was put off: by the quota, or by a stop.
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

/// Why a command did not run: what is wrong, and what to do about it.
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
