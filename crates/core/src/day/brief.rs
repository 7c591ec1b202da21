use chrono::NaiveDate;
use serde::Serialize;

use super::parts::whole_kcal;

/// A day in a few numbers, for charts. Absent is null, never zero.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct BriefDay {
    pub date: NaiveDate,
    /// 0 to 100.
    pub recovery_score: Option<f64>,
    /// RMSSD in milliseconds.
    pub hrv_rmssd_milli: Option<f64>,
    /// Beats a minute.
    pub resting_heart_rate: Option<f64>,
    /// Percent.
    pub sleep_performance: Option<f64>,
    /// Time asleep.
    pub sleep_duration_milli: Option<i64>,
    /// 0 to 21, not linear.
    pub strain: Option<f64>,
    /// Whole kilocalories, rest included.
    pub calories: Option<i64>,
    /// How many; null where nobody has read so far back as to know.
    pub workouts: Option<i64>,
}

impl BriefDay {
    /// Whole kilocalories, as a whole day shows them.
    pub fn calories_of(kilojoule: Option<f64>) -> Option<i64> {
        whole_kcal(kilojoule)
    }
}
