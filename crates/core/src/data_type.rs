use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Data type: one of the four kinds of records that WHOOP lists page by page.
///
/// - `recovery`: the recovery of a cycle, which WHOOP scores from the night of the cycle
/// - `sleep`: a main sleep or a nap
/// - `workout`: a workout
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
    /// All four data types, in the order that the API contract defines.
    pub const ALL: [Self; 4] = [Self::Recovery, Self::Sleep, Self::Workout, Self::Cycle];

    /// Returns the name of the data type that tables, routes and command-line options use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recovery => "recovery",
            Self::Sleep => "sleep",
            Self::Workout => "workout",
            Self::Cycle => "cycle",
        }
    }

    /// Returns the OAuth scope that a member has to grant before the service can read the data
    /// type.
    pub const fn scope(self) -> &'static str {
        match self {
            Self::Recovery => "read:recovery",
            Self::Sleep => "read:sleep",
            Self::Workout => "read:workout",
            Self::Cycle => "read:cycles",
        }
    }

    /// Returns the data types that cannot be read with the granted scopes.
    ///
    /// `scopes` is a list of OAuth scopes, separated by spaces.
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

/// Error: a text is not the name of a data type. Contains at most the first 40 characters of the
/// text.
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
