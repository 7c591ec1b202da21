use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ExtraFields, Record, ScoreState, ValidationError, lenient, validate};
use crate::{DataType, WorkoutId, instant};

/// A workout, or another activity such as a sauna or an ice bath, for which WHOOP scores few
/// figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workout {
    pub id: WorkoutId,
    #[serde(default, deserialize_with = "lenient::whole")]
    pub v1_id: Option<i64>,
    pub user_id: i64,
    #[serde(with = "instant")]
    pub created_at: DateTime<Utc>,
    #[serde(with = "instant")]
    pub updated_at: DateTime<Utc>,
    #[serde(with = "instant")]
    pub start: DateTime<Utc>,
    #[serde(default, with = "instant::option")]
    pub end: Option<DateTime<Utc>>,
    pub timezone_offset: Option<String>,
    /// WHOOP's name of the sport, such as `running` or `hot_tub`. WHOOP may add names at any time.
    pub sport_name: Option<String>,
    pub score_state: ScoreState,
    pub score: Option<WorkoutScore>,
    /// WHOOP's former numeric id of the sport. WHOOP has deprecated the field and sends null for
    /// newer sports.
    #[serde(default, deserialize_with = "lenient::whole")]
    pub sport_id: Option<i64>,
    #[serde(flatten)]
    pub extra: ExtraFields,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WorkoutScore {
    /// Strain of the workout, 0 to 21. The scale is not linear, so the strains of two workouts
    /// cannot be added.
    pub strain: Option<f64>,
    pub average_heart_rate: Option<f64>,
    pub max_heart_rate: Option<f64>,
    pub kilojoule: Option<f64>,
    /// Part of the workout for which heart rate data was recorded. The value is stored as sent:
    /// WHOOP documents a percentage, but sends a fraction of 1.
    pub percent_recorded: Option<f64>,
    pub distance_meter: Option<f64>,
    pub altitude_gain_meter: Option<f64>,
    pub altitude_change_meter: Option<f64>,
    pub zone_durations: Option<ZoneDurations>,
    #[serde(flatten)]
    pub extra: ExtraFields,
}

/// Time in each of the heart rate zones 0 to 5, in milliseconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ZoneDurations {
    #[serde(deserialize_with = "lenient::whole")]
    pub zone_zero_milli: Option<i64>,
    #[serde(deserialize_with = "lenient::whole")]
    pub zone_one_milli: Option<i64>,
    #[serde(deserialize_with = "lenient::whole")]
    pub zone_two_milli: Option<i64>,
    #[serde(deserialize_with = "lenient::whole")]
    pub zone_three_milli: Option<i64>,
    #[serde(deserialize_with = "lenient::whole")]
    pub zone_four_milli: Option<i64>,
    #[serde(deserialize_with = "lenient::whole")]
    pub zone_five_milli: Option<i64>,
    #[serde(flatten)]
    pub extra: ExtraFields,
}

impl Record for Workout {
    const DATA_TYPE: DataType = DataType::Workout;

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn whoop_user_id(&self) -> i64 {
        self.user_id
    }

    fn created_at(&self) -> DateTime<Utc> {
        self.created_at
    }

    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }

    fn score_state(&self) -> &ScoreState {
        &self.score_state
    }

    fn validate(&self) -> Result<(), ValidationError> {
        validate::id("id", &self.id.0)?;
        validate::instant("created_at", Some(self.created_at))?;
        validate::instant("updated_at", Some(self.updated_at))?;
        validate::instant("start", Some(self.start))?;
        validate::instant("end", self.end)?;
        validate::text("timezone_offset", self.timezone_offset.as_deref())?;
        validate::state(&self.score_state)?;
        validate::text("sport_name", self.sport_name.as_deref())?;
        validate::extra(&self.extra)?;
        let Some(score) = &self.score else {
            return Ok(());
        };
        validate::extra(&score.extra)?;
        if let Some(zones) = &score.zone_durations {
            validate::extra(&zones.extra)?;
        }
        Ok(())
    }
}
