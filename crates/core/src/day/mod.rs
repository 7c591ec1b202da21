//! The day that an app displays for a member, in one response, with a reason for each absent part.
//!
//! Only kilocalories are rounded. The figures of a record without a score are null, even if WHOOP
//! sent some. One cycle is displayed for each date, with its recovery and all its main sleeps.
//! [`crate::date_assignment`] chooses this cycle when the records are stored. Records of other
//! cycles of the date are listed in `others`, so that the response contains every record of the
//! date.

mod brief;
mod compose;
mod parts;
mod stored;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use brief::BriefDay;
pub use compose::{DayContext, assemble_day};
pub use parts::{CyclePart, RecoveryPart, SleepPart, SleepStages, WorkoutPart};
pub use stored::{DanglingReferences, DayCycle, DayRecords, DayRecovery, DaySleep, DayWorkout};

use crate::{UserId, instant};

/// All data of one member for one local date.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Day {
    /// The app's id of the member.
    #[schema(value_type = String, example = "user123")]
    pub user_id: UserId,
    /// Local date to which the records of the day belong.
    pub date: NaiveDate,
    /// Recovery of the cycle that is displayed for the date; null unless WHOOP has scored the
    /// recovery.
    pub recovery: Option<RecoveryPart>,
    /// Night of the cycle that is displayed for the date: all its main sleeps combined. Null if
    /// there is no main sleep.
    pub sleep: Option<SleepPart>,
    /// Naps of the date, ordered by start.
    pub naps: Vec<SleepPart>,
    /// Cycle that is displayed for the date; null if there is none.
    pub cycle: Option<CyclePart>,
    /// Workouts of the date, ordered by start.
    pub workouts: Vec<WorkoutPart>,
    /// Records of the date that belong to another cycle than the displayed one; absent if there are
    /// none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub others: Option<OtherRecords>,
    /// Reason for each part that is absent or has no score yet. The key is the name of the part.
    #[schema(value_type = MissingParts)]
    pub missing: BTreeMap<&'static str, MissingReason>,
    /// Source and freshness of the data in this response.
    pub meta: DayMeta,
}

/// Main sleeps, recoveries and cycles of the date that do not belong to the displayed cycle.
#[derive(Debug, Clone, PartialEq, Default, Serialize, utoipa::ToSchema)]
pub struct OtherRecords {
    /// Main sleeps, ordered by start.
    pub sleeps: Vec<SleepPart>,
    /// Recoveries, ordered by the id of their cycle.
    pub recoveries: Vec<RecoveryPart>,
    /// Cycles, ordered by start.
    pub cycles: Vec<CyclePart>,
}

impl OtherRecords {
    const fn is_empty(&self) -> bool {
        self.sleeps.is_empty() && self.recoveries.is_empty() && self.cycles.is_empty()
    }
}

/// Reasons for the parts of a day that are absent or have no score yet.
///
/// The object has a key only for such a part. It has no other keys than the four below.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only its description is used")]
pub struct MissingParts {
    /// Reason for a null `recovery`.
    #[schema(nullable = false)]
    recovery: Option<MissingReason>,
    /// Reason for a null `sleep`, or for a `sleep` without a score.
    #[schema(nullable = false)]
    sleep: Option<MissingReason>,
    /// Reason for a null `cycle`, or for a `cycle` without a score.
    #[schema(nullable = false)]
    cycle: Option<MissingReason>,
    /// Reason for an empty list `workouts`.
    #[schema(nullable = false)]
    workouts: Option<MissingReason>,
}

/// Reason for a part of a day that is absent or has no score yet.
///
/// - `pending_score`: WHOOP has the record and has not scored it yet
/// - `unscorable`: WHOOP has the record and will never score it
/// - `not_recorded`: the date was read from WHOOP completely, and WHOOP has no such record
/// - `not_synced`: the data was not read from WHOOP yet
/// - `reauth_required`: the data was not read, because the member has to connect WHOOP again
/// - `quota`: the data was not read, because WHOOP's quota is used up for now
/// - `not_granted`: the data was not read, because the member did not grant the scope at WHOOP
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingReason {
    PendingScore,
    Unscorable,
    NotRecorded,
    NotSynced,
    ReauthRequired,
    Quota,
    NotGranted,
}

/// Source and freshness of the data in a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct DayMeta {
    /// Source of the data: the database alone, or a read from WHOOP for this request.
    pub source: AnswerSource,
    /// State of the member's connection to WHOOP.
    pub connection: ConnectionStatus,
    /// Time up to which all granted data types were read completely: the oldest of the times at
    /// which the data types were last read. Null if one of them was never read.
    #[serde(with = "instant::option")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub last_synced_at: Option<DateTime<Utc>>,
    /// True if some of the data in this response is out of date or incomplete. While the quota is
    /// scarce, a night that already has its score is not read again, and does not count as stale.
    pub stale: bool,
    /// Result of the sync that this request triggered.
    pub sync: SyncOutcome,
    /// Explanation of `sync` that can be shown to the member; null if none is necessary.
    pub detail: Option<String>,
}

/// Source of the data in a response.
///
/// - `database`: only data that was already stored
/// - `whoop`: data that was read from WHOOP for this request
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AnswerSource)]
pub enum AnswerSource {
    Database,
    Whoop,
}

/// State of a member's connection to WHOOP.
///
/// - `connected`: the service reads the member's data from WHOOP
/// - `reauth_required`: WHOOP no longer accepts the connection; the member has to connect again
/// - `disconnected`: the connection was ended, and the stored data was kept
/// - `never_connected`: the member never connected, or all data of the member was erased
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ConnectionStatus)]
pub enum ConnectionStatus {
    Connected,
    ReauthRequired,
    Disconnected,
    NeverConnected,
}

impl ConnectionStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::ReauthRequired => "reauth_required",
            Self::Disconnected => "disconnected",
            Self::NeverConnected => "never_connected",
        }
    }
}

/// Result of the sync that a request for a day triggered.
///
/// - `not_needed`: no read from WHOOP was necessary
/// - `done`: the data was read from WHOOP for this request
/// - `shared`: the request used the result of another sync of the same member; or the request
///   forced a read although all data had been read less than a minute before
/// - `deferred`: WHOOP's quota did not allow the sync now
/// - `failed`: the sync failed; the response contains the data that was already stored
/// - `off`: no sync was possible or wanted, because the member is not connected or the request
///   contains `refresh=never`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncOutcome {
    NotNeeded,
    Done,
    Shared,
    Deferred,
    Failed,
    Off,
}
