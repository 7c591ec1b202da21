use chrono::{DateTime, Local, Timelike, Utc};
use clap::ValueEnum;
use whoop_core::plan::Slot;

/// The run of the day, as a command line argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SlotArg {
    Morning,
    Afternoon,
    Evening,
    Night,
    Auto,
}

impl SlotArg {
    /// Returns the slot at this moment, in the machine's time zone.
    pub(crate) fn at(self, now: DateTime<Utc>) -> Slot {
        match self {
            Self::Morning => Slot::Morning,
            Self::Afternoon => Slot::Afternoon,
            Self::Evening => Slot::Evening,
            Self::Night => Slot::Night,
            Self::Auto => Slot::at_hour(now.with_timezone(&Local).hour()),
        }
    }
}
