use std::fmt;

use serde::{Deserialize, Serialize};

/// WHOOP's score state of a record: whether WHOOP has scored the record, or will score it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum ScoreState {
    Scored,
    PendingScore,
    /// WHOOP will never score the record, because the record contains too little data.
    Unscorable,
    /// A state that WHOOP's documentation does not contain. The text is kept as WHOOP sent it.
    Other(String),
}

impl ScoreState {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Scored => "SCORED",
            Self::PendingScore => "PENDING_SCORE",
            Self::Unscorable => "UNSCORABLE",
            Self::Other(word) => word,
        }
    }

    /// Returns whether WHOOP has scored the record, so that its figures are valid.
    pub const fn is_scored(&self) -> bool {
        matches!(self, Self::Scored)
    }

    /// Returns whether WHOOP may still score the record, so that the record should be read again.
    ///
    /// An unknown state counts as pending, because WHOOP may have introduced a new name for a
    /// pending score.
    pub const fn is_pending(&self) -> bool {
        matches!(self, Self::PendingScore | Self::Other(_))
    }
}

impl From<String> for ScoreState {
    fn from(word: String) -> Self {
        match word.as_str() {
            "SCORED" => Self::Scored,
            "PENDING_SCORE" => Self::PendingScore,
            "UNSCORABLE" => Self::Unscorable,
            _ => Self::Other(word),
        }
    }
}

impl From<ScoreState> for String {
    fn from(state: ScoreState) -> Self {
        match state {
            ScoreState::Other(word) => word,
            known => known.as_str().to_owned(),
        }
    }
}

impl fmt::Display for ScoreState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
