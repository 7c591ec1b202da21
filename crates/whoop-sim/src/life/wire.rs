//! WHOOP's JSON objects, defined for the simulator independently of the client.

use serde::Serialize;

use crate::number::SinglePrecision;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum SimScoreState {
    Scored,
    PendingScore,
    Unscorable,
}

/// Value of an optional key: `None` omits the key, `Some(None)` sends null. WHOOP does both.
pub(crate) type MaybeAbsent<T> = Option<Option<T>>;

#[derive(Serialize)]
pub(crate) struct CycleJson {
    pub(crate) id: i64,
    pub(crate) user_id: i64,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) start: String,
    pub(crate) end: Option<String>,
    pub(crate) timezone_offset: String,
    pub(crate) score_state: SimScoreState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) score: MaybeAbsent<CycleScoreJson>,
    pub(crate) step_count: Option<i64>,
}

#[derive(Serialize)]
pub(crate) struct CycleScoreJson {
    pub(crate) strain: SinglePrecision,
    pub(crate) kilojoule: SinglePrecision,
    pub(crate) average_heart_rate: i64,
    pub(crate) max_heart_rate: i64,
}

impl CycleScoreJson {
    /// The score of a cycle in which nothing was measured.
    pub(crate) const ZERO: Self = Self {
        strain: SinglePrecision::ZERO,
        kilojoule: SinglePrecision::ZERO,
        average_heart_rate: 0,
        max_heart_rate: 0,
    };
}

#[derive(Serialize)]
pub(crate) struct RecoveryJson {
    pub(crate) cycle_id: i64,
    pub(crate) sleep_id: String,
    pub(crate) user_id: i64,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) score_state: SimScoreState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) score: MaybeAbsent<RecoveryScoreJson>,
}

/// Score of a recovery. The numbers are null while WHOOP calibrates a new member.
#[derive(Serialize)]
pub(crate) struct RecoveryScoreJson {
    pub(crate) user_calibrating: bool,
    pub(crate) recovery_score: Option<SinglePrecision>,
    pub(crate) resting_heart_rate: Option<SinglePrecision>,
    pub(crate) hrv_rmssd_milli: Option<SinglePrecision>,
    pub(crate) spo2_percentage: Option<SinglePrecision>,
    pub(crate) skin_temp_celsius: Option<SinglePrecision>,
}

impl RecoveryScoreJson {
    /// Returns the score object with zeros that WHOOP sends in some unscored recoveries.
    pub(crate) fn zero() -> Self {
        Self {
            user_calibrating: false,
            recovery_score: Some(SinglePrecision::ZERO),
            resting_heart_rate: Some(SinglePrecision::ZERO),
            hrv_rmssd_milli: Some(SinglePrecision::ZERO),
            spo2_percentage: None,
            skin_temp_celsius: None,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct SleepJson {
    pub(crate) id: String,
    pub(crate) cycle_id: i64,
    pub(crate) v1_id: Option<i64>,
    pub(crate) user_id: i64,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) start: String,
    pub(crate) end: String,
    pub(crate) timezone_offset: String,
    pub(crate) nap: bool,
    pub(crate) score_state: SimScoreState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) score: MaybeAbsent<SleepScoreJson>,
}

#[derive(Serialize)]
pub(crate) struct SleepScoreJson {
    pub(crate) stage_summary: StageSummaryJson,
    pub(crate) sleep_needed: SleepNeededJson,
    pub(crate) respiratory_rate: Option<SinglePrecision>,
    pub(crate) sleep_performance_percentage: Option<SinglePrecision>,
    pub(crate) sleep_consistency_percentage: Option<SinglePrecision>,
    pub(crate) sleep_efficiency_percentage: Option<SinglePrecision>,
}

impl SleepScoreJson {
    /// Returns the score object with zeros that WHOOP sends in some unscored sleeps.
    pub(crate) fn zero() -> Self {
        Self {
            stage_summary: StageSummaryJson {
                total_in_bed_time_milli: 0,
                total_awake_time_milli: 0,
                total_no_data_time_milli: 0,
                total_light_sleep_time_milli: 0,
                total_slow_wave_sleep_time_milli: 0,
                total_rem_sleep_time_milli: 0,
                sleep_cycle_count: 0,
                disturbance_count: 0,
            },
            sleep_needed: SleepNeededJson {
                baseline_milli: 0,
                need_from_sleep_debt_milli: 0,
                need_from_recent_strain_milli: 0,
                need_from_recent_nap_milli: 0,
            },
            respiratory_rate: None,
            sleep_performance_percentage: Some(SinglePrecision::ZERO),
            sleep_consistency_percentage: None,
            sleep_efficiency_percentage: Some(SinglePrecision::ZERO),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct StageSummaryJson {
    pub(crate) total_in_bed_time_milli: i64,
    pub(crate) total_awake_time_milli: i64,
    pub(crate) total_no_data_time_milli: i64,
    pub(crate) total_light_sleep_time_milli: i64,
    pub(crate) total_slow_wave_sleep_time_milli: i64,
    pub(crate) total_rem_sleep_time_milli: i64,
    pub(crate) sleep_cycle_count: i64,
    pub(crate) disturbance_count: i64,
}

#[derive(Serialize)]
pub(crate) struct SleepNeededJson {
    pub(crate) baseline_milli: i64,
    pub(crate) need_from_sleep_debt_milli: i64,
    pub(crate) need_from_recent_strain_milli: i64,
    pub(crate) need_from_recent_nap_milli: i64,
}

#[derive(Serialize)]
pub(crate) struct WorkoutJson {
    pub(crate) id: String,
    pub(crate) v1_id: Option<i64>,
    pub(crate) user_id: i64,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) start: String,
    pub(crate) end: String,
    pub(crate) timezone_offset: String,
    pub(crate) sport_name: &'static str,
    pub(crate) score_state: SimScoreState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) score: MaybeAbsent<WorkoutScoreJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sport_id: MaybeAbsent<i64>,
}

#[derive(Serialize)]
pub(crate) struct WorkoutScoreJson {
    pub(crate) strain: SinglePrecision,
    pub(crate) average_heart_rate: i64,
    pub(crate) max_heart_rate: i64,
    pub(crate) kilojoule: SinglePrecision,
    pub(crate) percent_recorded: SinglePrecision,
    pub(crate) distance_meter: Option<SinglePrecision>,
    pub(crate) altitude_gain_meter: Option<SinglePrecision>,
    pub(crate) altitude_change_meter: Option<SinglePrecision>,
    pub(crate) zone_durations: ZonesJson,
}

impl WorkoutScoreJson {
    /// Returns the score object with zeros that WHOOP sends in some unscored workouts.
    pub(crate) fn zero() -> Self {
        Self {
            strain: SinglePrecision::ZERO,
            average_heart_rate: 0,
            max_heart_rate: 0,
            kilojoule: SinglePrecision::ZERO,
            percent_recorded: SinglePrecision::ZERO,
            distance_meter: None,
            altitude_gain_meter: None,
            altitude_change_meter: None,
            zone_durations: ZonesJson::Empty {},
        }
    }
}

/// Time in each heart rate zone; `{}` if no heart rate was recorded.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum ZonesJson {
    Durations(ZoneDurationsJson),
    Empty {},
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are WHOOP's")]
pub(crate) struct ZoneDurationsJson {
    pub(crate) zone_zero_milli: i64,
    pub(crate) zone_one_milli: i64,
    pub(crate) zone_two_milli: i64,
    pub(crate) zone_three_milli: i64,
    pub(crate) zone_four_milli: i64,
    pub(crate) zone_five_milli: i64,
}

#[derive(Serialize)]
pub(crate) struct ProfileJson {
    pub(crate) user_id: i64,
    pub(crate) email: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
}

#[derive(Serialize)]
pub(crate) struct BodyMeasurementJson {
    pub(crate) height_meter: SinglePrecision,
    pub(crate) weight_kilogram: SinglePrecision,
    pub(crate) max_heart_rate: i64,
}
