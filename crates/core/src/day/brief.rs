use chrono::NaiveDate;
use serde::Serialize;

use super::parts::whole_kcal;

/// Key figures of one day, for charts. A figure that is absent is null and never zero.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct BriefDay {
    /// Local date to which the figures belong.
    pub date: NaiveDate,
    /// Recovery score in percent.
    pub recovery_score: Option<f64>,
    /// Heart rate variability (RMSSD) in milliseconds.
    pub hrv_rmssd_milli: Option<f64>,
    /// Resting heart rate in beats per minute.
    pub resting_heart_rate: Option<f64>,
    /// Sleep performance in percent.
    pub sleep_performance: Option<f64>,
    /// Time asleep in milliseconds.
    pub sleep_duration_milli: Option<i64>,
    /// Strain of the cycle that is displayed for the date, 0 to 21. The scale is not linear.
    pub strain: Option<f64>,
    /// Energy in whole kilocalories, including the energy used at rest.
    pub calories: Option<i64>,
    /// Number of workouts on this date; null if the workouts of this date were not read from WHOOP
    /// yet.
    pub workouts: Option<i64>,
}

impl BriefDay {
    /// Converts kilojoules to whole kilocalories, rounded in the same way as in [`super::Day`].
    pub fn calories_of(kilojoule: Option<f64>) -> Option<i64> {
        whole_kcal(kilojoule)
    }
}
