use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Data type: one of the four kinds of records that WHOOP lists page by page.
///
/// - `recovery`: recovery of a cycle, from its night
/// - `sleep`: main sleep or nap
/// - `workout`: workout
/// - `cycle`: WHOOP's day, from the beginning of one night to the beginning of the next
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum DataType {
    Recovery,
    Sleep,
    Workout,
    Cycle,
}

impl DataType {
    /// All data types, in the order of the API contract.
    pub const ALL: [Self; 4] = [Self::Recovery, Self::Sleep, Self::Workout, Self::Cycle];

    /// Returns the name of the data type in tables, routes and command-line options.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recovery => "recovery",
            Self::Sleep => "sleep",
            Self::Workout => "workout",
            Self::Cycle => "cycle",
        }
    }

    /// Returns the OAuth scope that a member has to grant for the data type.
    pub const fn scope(self) -> &'static str {
        match self {
            Self::Recovery => "read:recovery",
            Self::Sleep => "read:sleep",
            Self::Workout => "read:workout",
            Self::Cycle => "read:cycles",
        }
    }

    /// Returns the data types that a space-separated list of scopes does not allow.
    pub fn not_granted(scopes: &str) -> Vec<Self> {
        let is_missing =
            |data_type: &Self| !scopes.split(' ').any(|scope| scope == data_type.scope());
        Self::ALL.into_iter().filter(is_missing).collect()
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Error: a word is not the name of a data type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a data type; use recovery, sleep, workout or cycle")]
pub struct UnknownDataType(pub String);

impl FromStr for DataType {
    type Err = UnknownDataType;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|data_type| data_type.as_str() == word)
            .ok_or_else(|| UnknownDataType(word.chars().take(40).collect()))
    }
}
