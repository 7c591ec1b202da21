use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The app's id of a member: a Supabase UUID or any other text.
///
/// The id has 1 to 128 characters and contains no control characters. Every stored record has a
/// user id, because it is the first column of every primary key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(String);

/// Reason for which a text is rejected as a user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUserId {
    #[error("a user id must not be empty")]
    Empty,
    #[error("a user id has at most 128 characters, this one has {0}")]
    TooLong(usize),
    #[error("a user id must not contain control characters")]
    ControlCharacter,
}

impl UserId {
    pub const MAX_CHARS: usize = 128;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserId {
    type Err = InvalidUserId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for UserId {
    type Error = InvalidUserId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() {
            return Err(InvalidUserId::Empty);
        }
        let length = text.chars().count();
        if length > Self::MAX_CHARS {
            return Err(InvalidUserId::TooLong(length));
        }
        // PostgreSQL cannot store NUL characters, and a line break would split a log entry into two
        // lines.
        if text.chars().any(char::is_control) {
            return Err(InvalidUserId::ControlCharacter);
        }
        Ok(Self(text))
    }
}

impl From<UserId> for String {
    fn from(id: UserId) -> Self {
        id.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// WHOOP's numeric id of a cycle, a signed 64-bit integer.
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
#[serde(transparent)]
pub struct CycleId(pub i64);

impl fmt::Display for CycleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! uuid_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

uuid_text! {
    /// WHOOP's UUID of a sleep or nap. The text is stored exactly as WHOOP sent it.
    SleepId
}
uuid_text! {
    /// WHOOP's UUID of a workout. The text is stored exactly as WHOOP sent it.
    WorkoutId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_is_any_short_text_without_control_characters() {
        for good in [
            "user123",
            "6f1c…",
            "a/b",
            "..",
            "🙂",
            "' OR 1=1 --",
            &"x".repeat(128),
        ] {
            assert_eq!(
                good.parse::<UserId>().map(String::from),
                Ok(good.to_owned())
            );
        }
        assert_eq!("".parse::<UserId>(), Err(InvalidUserId::Empty));
        assert_eq!(
            "a\0b".parse::<UserId>(),
            Err(InvalidUserId::ControlCharacter)
        );
        assert_eq!(
            "x".repeat(10_000).parse::<UserId>(),
            Err(InvalidUserId::TooLong(10_000))
        );
    }
}
