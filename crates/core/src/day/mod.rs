//! The one-call day: what an app shows, with a reason for all that is absent.
//!
//! Nothing is rounded but kilocalories. A record that is not scored shows no figures, whatever it
//! carries. A date shows one cycle with its recovery and all its main sleeps together; which one,
//! [`crate::date_assignment`] decides when records are stored. The rest of the date is in `others`: nothing
//! of a day is hidden.

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

/// A member's day.
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
    /// Why a part is absent or has no score yet, by the part's name.
    #[schema(value_type = MissingParts)]
    pub missing: BTreeMap<&'static str, MissingReason>,
    pub meta: DayMeta,
}

/// Main sleeps, recoveries and cycles of the date beside the shown ones.
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

/// `missing` as it is described: nothing else is ever in it.
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

/// Why a part of a day is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MissingReason {
    /// WHOOP has the record and is still scoring it.
    PendingScore,
    /// WHOOP has the record and will never score it.
    Unscorable,
    /// The span was read to its end and WHOOP has none.
    NotRecorded,
    /// Not read from WHOOP yet.
    NotSynced,
    /// Not read because the member has to connect WHOOP again.
    ReauthRequired,
    /// Not read because WHOOP's quota is spent for now.
    Quota,
    /// Never read, because the member did not allow it at WHOOP.
    NotGranted,
}

/// Where an answer comes from and how far it can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct DayMeta {
    pub source: AnswerSource,
    pub connection: ConnectionStatus,
    /// The oldest of the granted types' last complete reads.
    #[serde(with = "instant::option")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub last_synced_at: Option<DateTime<Utc>>,
    /// True when what is shown is older than it should be. A night that has its
    /// score may be spared where calls are scarce.
    pub stale: bool,
    pub sync: SyncOutcome,
    /// A sentence for a person, where `sync` needs one.
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = AnswerSource)]
pub enum AnswerSource {
    Database,
    /// This request read from WHOOP.
    Whoop,
}

/// How a member stands with WHOOP.
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

/// What a request for a day did about freshness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncOutcome {
    NotNeeded,
    Done,
    /// Another sync of the same member was waited for, or all was read less than a minute before a forced
    /// read.
    Shared,
    /// Put off because of WHOOP's quota.
    Deferred,
    /// Tried without success; what is stored is answered.
    Failed,
    /// Not possible or not wanted: no connection, or `refresh=never`.
    Off,
}
