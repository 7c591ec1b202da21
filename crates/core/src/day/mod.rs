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
    #[schema(value_type = String, example = "user123")]
    pub user_id: UserId,
    pub date: NaiveDate,
    pub recovery: Option<RecoveryPart>,
    pub sleep: Option<SleepPart>,
    pub naps: Vec<SleepPart>,
    pub cycle: Option<CyclePart>,
    pub workouts: Vec<WorkoutPart>,
    /// Records of other cycles of the same date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others: Option<OtherRecords>,
    /// Reason why a part is absent or has no score yet, by the part's name.
    #[schema(value_type = MissingParts)]
    pub missing: BTreeMap<&'static str, MissingReason>,
    pub meta: DayMeta,
}

/// Main sleeps, recoveries and cycles of the date that do not belong to the shown cycle.
#[derive(Debug, Clone, PartialEq, Default, Serialize, utoipa::ToSchema)]
pub struct OtherRecords {
    pub sleeps: Vec<SleepPart>,
    pub recoveries: Vec<RecoveryPart>,
    pub cycles: Vec<CyclePart>,
}

impl OtherRecords {
    const fn is_empty(&self) -> bool {
        self.sleeps.is_empty() && self.recoveries.is_empty() && self.cycles.is_empty()
    }
}

/// Schema of `missing`: the parts that can be absent. It has no other keys.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "only its description is used")]
pub struct MissingParts {
    #[schema(nullable = false)]
    recovery: Option<MissingReason>,
    #[schema(nullable = false)]
    sleep: Option<MissingReason>,
    #[schema(nullable = false)]
    cycle: Option<MissingReason>,
    #[schema(nullable = false)]
    workouts: Option<MissingReason>,
}

/// Reason why a part of a day is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingReason {
    /// WHOOP has the record and is still scoring it.
    PendingScore,
    /// WHOOP has the record and will never score it.
    Unscorable,
    /// The date was read completely and WHOOP has no such record.
    NotRecorded,
    /// Not read from WHOOP yet.
    NotSynced,
    /// Not read because the member has to connect WHOOP again.
    ReauthRequired,
    /// Not read because WHOOP's quota is used up for now.
    Quota,
    /// Not read because the member did not grant the scope at WHOOP.
    NotGranted,
}

/// Source and freshness of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct DayMeta {
    pub source: AnswerSource,
    pub connection: ConnectionStatus,
    /// Time of the last complete read of the least recently read data type, among the granted ones.
    #[serde(with = "instant::option")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub last_synced_at: Option<DateTime<Utc>>,
    /// True if the shown data is older than it should be. While the quota is scarce, the read of a
    /// night that already has its score may be skipped.
    pub stale: bool,
    pub sync: SyncOutcome,
    /// A sentence for the member that explains `sync`, if it needs an explanation.
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AnswerSource)]
pub enum AnswerSource {
    Database,
    /// Data was read from WHOOP for this request.
    Whoop,
}

/// State of a member's connection to WHOOP.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncOutcome {
    NotNeeded,
    Done,
    /// The request used the result of another sync of the same member, or all data was read less
    /// than a minute before this forced read.
    Shared,
    /// The sync was deferred because WHOOP's quota did not allow it.
    Deferred,
    /// The sync failed; the answer contains the stored data.
    Failed,
    /// No sync was possible or wanted: the member is not connected, or the request has
    /// `refresh=never`.
    Off,
}
