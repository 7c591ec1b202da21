//! WHOOP's four data types.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SimDataType {
    Cycle,
    Recovery,
    Sleep,
    Workout,
}

impl SimDataType {
    pub const ALL: [Self; 4] = [Self::Cycle, Self::Recovery, Self::Sleep, Self::Workout];

    /// Returns the JSON key under which `GET /_sim/truth` lists the records of this data type.
    pub(crate) fn list_key(self) -> &'static str {
        match self {
            Self::Cycle => "cycles",
            Self::Recovery => "recoveries",
            Self::Sleep => "sleeps",
            Self::Workout => "workouts",
        }
    }
}
