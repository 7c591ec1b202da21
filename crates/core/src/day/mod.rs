//! The day that an app shows, in one response, with a reason for each absent part.
//!
//! Only kilocalories are rounded. A record without a score shows no figures, even if it contains
//! some. A date shows one cycle with its recovery and all its main sleeps;
//! [`crate::date_assignment`] chooses the cycle when records are stored. All other records of the
//! date are in `others`, so the day is complete.

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

/// The data of one member and one local date.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Day {
    /// The app's id of the member.
    #[schema(value_type = String, example = "user123")]
    pub user_id: UserId,
    /// Local date of the day.
    pub date: NaiveDate,
    /// Recovery of the shown cycle; null unless WHOOP has scored it.
    pub recovery: Option<RecoveryPart>,
    /// Night of the shown cycle: all its main sleeps combined.
    pub sleep: Option<SleepPart>,
    /// Naps of the date, in the order of their start.
    pub naps: Vec<SleepPart>,
    /// Cycle that the date shows.
    pub cycle: Option<CyclePart>,
    /// Workouts of the date, in the order of their start.
    pub workouts: Vec<WorkoutPart>,
    /// Records of other cycles of the same date; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub others: Option<OtherRecords>,
    /// Reason why a part is absent or has no score yet, by the part's name.
    #[schema(value_type = MissingParts)]
    pub missing: BTreeMap<&'static str, MissingReason>,
    /// Source and freshness of this answer.
    pub meta: DayMeta,
}

/// Main sleeps, recoveries and cycles of the date that do not belong to the shown cycle.
#[derive(Debug, Clone, PartialEq, Default, Serialize, utoipa::ToSchema)]
pub struct OtherRecords {
    /// Main sleeps, in the order of their start.
    pub sleeps: Vec<SleepPart>,
    /// Recoveries, in the order of their cycles.
    pub recoveries: Vec<RecoveryPart>,
    /// Cycles, in the order of their start.
    pub cycles: Vec<CyclePart>,
}

impl OtherRecords {
    const fn is_empty(&self) -> bool {
        self.sleeps.is_empty() && self.recoveries.is_empty() && self.cycles.is_empty()
    }
}

/// Reasons for the parts of a day that are absent or have no score yet.
///
/// A part that is present with its score has no key. There are no other keys.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only its description is used")]
pub struct MissingParts {
    /// Reason why `recovery` is null.
    #[schema(nullable = false)]
    recovery: Option<MissingReason>,
    /// Reason why `sleep` is null or has no score.
    #[schema(nullable = false)]
    sleep: Option<MissingReason>,
    /// Reason why `cycle` is null or has no score.
    #[schema(nullable = false)]
    cycle: Option<MissingReason>,
    /// Reason why `workouts` is empty.
    #[schema(nullable = false)]
    workouts: Option<MissingReason>,
}

/// Reason why a part of a day is absent.
///
/// - `pending_score`: WHOOP has the record and is still scoring it
/// - `unscorable`: WHOOP has the record and will never score it
/// - `not_recorded`: the date was read completely, and WHOOP has no such record
/// - `not_synced`: not read from WHOOP yet
/// - `reauth_required`: not read, because the member has to connect WHOOP again
/// - `quota`: not read, because WHOOP's quota is used up for now
/// - `not_granted`: not read, because the member did not grant the scope at WHOOP
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

/// Source and freshness of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct DayMeta {
    /// Source of the data.
    pub source: AnswerSource,
    /// State of the member's connection to WHOOP.
    pub connection: ConnectionStatus,
    /// Time of the last complete read of the least recently read data type, among the granted
    /// ones; null if one of them was never read.
    #[serde(with = "instant::option")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub last_synced_at: Option<DateTime<Utc>>,
    /// True if the shown data is older than it should be. While the quota is scarce, the read of a
    /// night that already has its score may be skipped.
    pub stale: bool,
    /// Result of the sync that this request triggered.
    pub sync: SyncOutcome,
    /// Explanation of `sync` for the member, if it needs one.
    pub detail: Option<String>,
}

/// Source of an answer.
///
/// - `database`: stored data only
/// - `whoop`: data was read from WHOOP for this request
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AnswerSource)]
pub enum AnswerSource {
    Database,
    Whoop,
}

/// State of a member's connection to WHOOP.
///
/// - `connected`: the service reads the member's data
/// - `reauth_required`: WHOOP no longer accepts the connection; the member has to connect again
/// - `disconnected`: the connection was ended, and the stored data was kept
/// - `never_connected`: the member never connected, or all their data was erased
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
/// - `not_needed`: no read was due
/// - `done`: the data was read from WHOOP
/// - `shared`: the request used the result of another sync of the same member, or all data was
///   read less than a minute before this forced read
/// - `deferred`: WHOOP's quota did not allow the sync now
/// - `failed`: the sync failed; the answer contains the stored data
/// - `off`: no sync was possible or wanted: the member is not connected, or the request has
///   `refresh=never`
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
