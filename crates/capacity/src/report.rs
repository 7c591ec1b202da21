//! The result of a simulation and the goals that it has to meet.

mod launch;
mod outage;

use chrono::TimeDelta;
use serde::Serialize;
use whoop_core::{DataType, plan::selection::FORTNIGHT, quota::PriorityClass};

use super::{SimulationParameters, counters::SimulationCounters};

pub use launch::LaunchReport;
pub use outage::OutageReport;

/// Maximum lag behind WHOOP at an app request, if WHOOP sends webhooks for the data type.
const MAX_LAG_WITH_WEBHOOKS: TimeDelta = TimeDelta::minutes(5);

/// Maximum lag behind WHOOP at an app request for the running cycle, about which WHOOP sends no
/// webhooks, and for every data type if there are no webhooks at all.
const MAX_LAG: TimeDelta = TimeDelta::minutes(15);

/// The result of a simulation.
#[derive(Debug, Clone, Serialize)]
pub struct SimulationReport {
    pub users: usize,
    pub active_share: f64,
    pub days: u32,
    pub webhooks: bool,
    pub seed: u64,
    pub calls_per_minute: u32,
    pub calls_per_day: u32,
    pub calls: u64,
    /// Maximum number of calls in any 60 seconds.
    pub most_in_a_minute: u32,
    /// Maximum number of calls in any 24 hours.
    pub most_in_a_day: u32,
    pub by_day: Vec<DayCalls>,
    /// Average number of calls in each hour of the day.
    pub by_hour: Vec<f64>,
    pub visits: u64,
    /// App requests that were answered without a call to WHOOP.
    pub visits_without_a_call: u64,
    /// App requests that were deferred because the quota did not suffice.
    pub visits_put_off: u64,
    /// Members selected by scheduled runs.
    pub turns: u64,
    /// Selected members with a sync that ended because the quota did not suffice.
    pub turns_put_off: u64,
    /// Average number of members per run that were skipped because the quota did not suffice.
    pub left: u64,
    /// Lag behind WHOOP at an app request, per data type.
    pub behind: Vec<TypeLag>,
    /// Lag behind WHOOP at an app request, for reads that were skipped because the quota was
    /// scarce: a night that has its score (WHOOP may have scored it again), or a recovery before
    /// the sleep has its score.
    pub settled: DurationPercentiles,
    /// Time since the last read, for members who did not open the app.
    pub away: DurationPercentiles,
    /// Pages after the first one of a list.
    pub second_pages: u64,
    /// Calls for single records by id.
    pub calls_by_id: u64,
    /// Token refreshes; the quota does not count them.
    pub refreshes: u64,
    /// Calls for members for whom WHOOP answers every call with a 5xx.
    pub calls_of_failing_members: u64,
    /// App requests of these members. No goal includes them.
    pub visits_of_failing_members: u64,
    /// Result of the outages; `None` if there was none.
    pub outages: Option<OutageReport>,
    pub launch: Option<LaunchReport>,
    pub goals: Vec<GoalResult>,
    /// Whether every goal was met.
    pub held: bool,
}

/// Calls of one day.
#[derive(Debug, Clone, Serialize)]
pub struct DayCalls {
    pub day: usize,
    /// Calls for app requests.
    pub interactive: u64,
    pub webhook: u64,
    pub scheduled: u64,
    /// Calls for inactive members, who do not use the app.
    pub inactive: u64,
    /// Calls for the backfill of history.
    pub backfill: u64,
    pub total: u64,
    /// App requests that were deferred because the quota did not suffice.
    pub visits_put_off: u64,
}

/// Lag of one data type behind WHOOP.
#[derive(Debug, Clone, Serialize)]
pub struct TypeLag {
    pub data_type: DataType,
    pub goal_seconds: i64,
    #[serde(flatten)]
    pub spread: DurationPercentiles,
}

/// Median, 95th percentile and maximum of durations, in seconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct DurationPercentiles {
    pub count: usize,
    pub median_seconds: i64,
    pub p95_seconds: i64,
    pub worst_seconds: i64,
}

impl DurationPercentiles {
    fn of(seconds: &mut [i64]) -> Self {
        seconds.sort_unstable();
        let at = |percent: usize| {
            let place = (seconds.len() * percent).div_ceil(100).max(1) - 1;
            seconds.get(place).copied().unwrap_or(0)
        };
        Self {
            count: seconds.len(),
            median_seconds: at(50),
            p95_seconds: at(95),
            worst_seconds: at(100),
        }
    }
}

/// A limit that the simulation has to meet, and the measured value.
#[derive(Debug, Clone, Serialize)]
pub struct GoalResult {
    pub name: String,
    pub at_most: i64,
    pub was: i64,
    pub held: bool,
}

impl GoalResult {
    fn new(name: impl Into<String>, at_most: i64, was: i64) -> Self {
        Self {
            name: name.into(),
            at_most,
            was,
            held: was <= at_most,
        }
    }
}

impl SimulationReport {
    pub(super) fn of(setting: &SimulationParameters, mut tally: SimulationCounters) -> Self {
        let most_in_a_minute = tally.max_calls_within(TimeDelta::seconds(60));
        let most_in_a_day = tally.max_calls_within(TimeDelta::days(1));
        let (by_day, by_hour) = calls_by_time(setting, &tally);
        let behind: Vec<TypeLag> = DataType::ALL
            .into_iter()
            .zip(&mut tally.lags)
            .map(|(data_type, seconds)| TypeLag {
                data_type,
                goal_seconds: if setting.webhooks.is_some() && data_type != DataType::Cycle {
                    MAX_LAG_WITH_WEBHOOKS.num_seconds()
                } else {
                    MAX_LAG.max(setting.freshness).num_seconds()
                },
                spread: DurationPercentiles::of(seconds),
            })
            .collect();
        let mut away = DurationPercentiles::of(&mut tally.inactive_ages);
        away.worst_seconds = away.worst_seconds.max(tally.max_inactive_age);

        let mut goals = vec![
            GoalResult::new(
                "calls in any 60 seconds",
                setting.limits.per_minute.into(),
                most_in_a_minute.into(),
            ),
            GoalResult::new(
                "calls in any 24 hours",
                setting.limits.per_day.into(),
                most_in_a_day.into(),
            ),
        ];
        goals.extend(behind.iter().map(|one| {
            GoalResult::new(
                format!("seconds {} is behind WHOOP at a visit", one.data_type),
                one.goal_seconds,
                one.spread.worst_seconds,
            )
        }));
        goals.push(GoalResult::new(
            "seconds since a member who stays away was read",
            FORTNIGHT.num_seconds(),
            away.worst_seconds,
        ));
        let outages = OutageReport::of(setting, &tally);
        let launch = LaunchReport::of(setting, &tally);
        goals.extend(outages.map(|outages| outages.goal_result()));
        goals.extend(launch.iter().flat_map(LaunchReport::goal_results));
        let runs = u64::from(setting.days) * 4;
        Self {
            users: setting.users,
            active_share: setting.active_share,
            days: setting.days,
            webhooks: setting.webhooks.is_some(),
            seed: setting.seed,
            calls_per_minute: setting.limits.per_minute,
            calls_per_day: setting.limits.per_day,
            calls: by_day.iter().map(|day| day.total).sum(),
            most_in_a_minute,
            most_in_a_day,
            by_day,
            by_hour,
            visits: tally.app_requests,
            visits_without_a_call: tally.app_requests_without_call,
            visits_put_off: tally.deferred_app_requests.len() as u64,
            turns: tally.selected_members,
            turns_put_off: tally.deferred_members,
            left: tally.skipped_for_quota.checked_div(runs).unwrap_or(0),
            behind,
            settled: DurationPercentiles::of(&mut tally.skipped_read_lags),
            away,
            second_pages: tally.second_pages,
            calls_by_id: tally.calls_by_id,
            refreshes: tally.refreshes,
            calls_of_failing_members: tally.calls_of_failing_members,
            visits_of_failing_members: tally.app_requests_of_failing_members,
            outages,
            launch,
            held: goals.iter().all(|goal| goal.held),
            goals,
        }
    }
}

fn calls_by_time(
    setting: &SimulationParameters,
    tally: &SimulationCounters,
) -> (Vec<DayCalls>, Vec<f64>) {
    let mut by_day: Vec<DayCalls> = (0..setting.days as usize)
        .map(|day| DayCalls {
            day: day + 1,
            interactive: 0,
            webhook: 0,
            scheduled: 0,
            inactive: 0,
            backfill: 0,
            total: 0,
            visits_put_off: 0,
        })
        .collect();
    let mut by_hour = vec![0.0; 24];
    let begins = setting.begins;
    let place = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    for at in &tally.deferred_app_requests {
        if let Some(day) = by_day.get_mut(place((*at - begins).num_days())) {
            day.visits_put_off += 1;
        }
    }
    for (at, class, calls) in tally.calls() {
        let since = *at - begins;
        if let Some(day) = by_day.get_mut(place(since.num_days())) {
            let made = u64::from(*calls);
            day.total += made;
            match class {
                PriorityClass::Interactive => day.interactive += made,
                PriorityClass::Webhook => day.webhook += made,
                PriorityClass::Scheduled => day.scheduled += made,
                PriorityClass::Inactive => day.inactive += made,
                PriorityClass::Backfill => day.backfill += made,
            }
        }
        if let Some(hour) = by_hour.get_mut(place(since.num_hours() % 24)) {
            *hour += f64::from(*calls) / f64::from(setting.days);
        }
    }
    (by_day, by_hour)
}
