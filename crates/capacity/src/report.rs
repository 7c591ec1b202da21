//! Report of a simulation, with the goals that the simulation has to meet.

mod launch;
mod outage;

use chrono::TimeDelta;
use serde::Serialize;
use whoop_core::{DataType, plan::selection::FORTNIGHT, quota::PriorityClass};

use super::{SimulationParameters, counters::SimulationCounters};

pub use launch::LaunchReport;
pub use outage::OutageReport;

/// Goal: maximum time by which stored data is behind WHOOP at an app request, for data types for
/// which WHOOP sends webhooks.
const MAX_LAG_WITH_WEBHOOKS: TimeDelta = TimeDelta::minutes(5);

/// Goal: maximum time by which stored data is behind WHOOP at an app request, for data types for
/// which WHOOP sends no webhooks.
///
/// These are the cycles, or all data types if the simulation has no webhooks.
const MAX_LAG: TimeDelta = TimeDelta::minutes(15);

/// Report of a simulation.
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
    /// Average number of calls in each of the 24 hours of a day.
    pub by_hour: Vec<f64>,
    pub visits: u64,
    /// Number of app requests that were answered without a call to WHOOP.
    pub visits_without_a_call: u64,
    /// Number of app requests whose sync was deferred because the quota did not suffice.
    pub visits_put_off: u64,
    /// Number of members that the scheduled runs selected, counted once per run.
    pub turns: u64,
    /// Number of selected members, counted once per run, whose sync was not begun or not completed
    /// because the quota did not suffice.
    pub turns_put_off: u64,
    /// Average number of members per run that were skipped because the quota did not suffice.
    pub left: u64,
    /// Time by which the stored data was behind WHOOP at app requests, per data type.
    pub behind: Vec<TypeLag>,
    /// Time by which the stored data was behind WHOOP at app requests, for reads that were skipped
    /// because the quota was scarce.
    ///
    /// These are reads of a night that already has its score, which WHOOP may have scored again,
    /// and reads of the recovery before the sleep has its score.
    pub settled: DurationPercentiles,
    /// Time since the last read of the least recently read data type, for members who did not open
    /// the app.
    pub away: DurationPercentiles,
    /// Number of pages that were read after the first page of a list.
    pub second_pages: u64,
    /// Number of calls that requested a single record by its id.
    pub calls_by_id: u64,
    /// Number of token refreshes. They do not count against the quota.
    pub refreshes: u64,
    /// Number of calls for members for whom WHOOP answers every call with a 5xx.
    pub calls_of_failing_members: u64,
    /// Number of app requests of members for whom every call fails. These app requests are not
    /// included in the goals.
    pub visits_of_failing_members: u64,
    /// Report about the outages of WHOOP; `None` if the simulation had none.
    pub outages: Option<OutageReport>,
    pub launch: Option<LaunchReport>,
    pub goals: Vec<GoalResult>,
    /// Whether the simulation met every goal.
    pub held: bool,
}

/// Number of calls on one day, by priority class.
#[derive(Debug, Clone, Serialize)]
pub struct DayCalls {
    pub day: usize,
    /// Number of calls for app requests.
    pub interactive: u64,
    pub webhook: u64,
    pub scheduled: u64,
    /// Number of calls for inactive members, who do not use the app.
    pub inactive: u64,
    /// Number of calls that read history (backfill).
    pub backfill: u64,
    pub total: u64,
    /// Number of app requests whose sync was deferred because the quota did not suffice.
    pub visits_put_off: u64,
}

/// Time by which the stored data of one data type was behind WHOOP at app requests, and the goal.
#[derive(Debug, Clone, Serialize)]
pub struct TypeLag {
    pub data_type: DataType,
    pub goal_seconds: i64,
    #[serde(flatten)]
    pub spread: DurationPercentiles,
}

/// Number, median, 95th percentile and maximum of a list of durations. The durations are in
/// seconds.
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
            let index = (seconds.len() * percent).div_ceil(100).max(1) - 1;
            seconds.get(index).copied().unwrap_or(0)
        };
        Self {
            count: seconds.len(),
            median_seconds: at(50),
            p95_seconds: at(95),
            worst_seconds: at(100),
        }
    }
}

/// Result of one goal: a maximum value, the measured value, and whether the goal was met.
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
    pub(super) fn of(parameters: &SimulationParameters, mut counters: SimulationCounters) -> Self {
        let most_in_a_minute = counters.max_calls_within(TimeDelta::seconds(60));
        let most_in_a_day = counters.max_calls_within(TimeDelta::days(1));
        let (by_day, by_hour) = calls_by_time(parameters, &counters);
        let behind: Vec<TypeLag> = DataType::ALL
            .into_iter()
            .zip(&mut counters.lags)
            .map(|(data_type, seconds)| TypeLag {
                data_type,
                goal_seconds: if parameters.webhooks.is_some() && data_type != DataType::Cycle {
                    MAX_LAG_WITH_WEBHOOKS.num_seconds()
                } else {
                    MAX_LAG.max(parameters.freshness).num_seconds()
                },
                spread: DurationPercentiles::of(seconds),
            })
            .collect();
        let mut away = DurationPercentiles::of(&mut counters.inactive_ages);
        away.worst_seconds = away.worst_seconds.max(counters.max_inactive_age);

        let mut goals = vec![
            GoalResult::new(
                "calls in any 60 seconds",
                parameters.limits.per_minute.into(),
                most_in_a_minute.into(),
            ),
            GoalResult::new(
                "calls in any 24 hours",
                parameters.limits.per_day.into(),
                most_in_a_day.into(),
            ),
        ];
        goals.extend(behind.iter().map(|lag| {
            GoalResult::new(
                format!("{} behind WHOOP at an app request (seconds)", lag.data_type),
                lag.goal_seconds,
                lag.spread.worst_seconds,
            )
        }));
        goals.push(GoalResult::new(
            "time since the last read of an inactive member (seconds)",
            FORTNIGHT.num_seconds(),
            away.worst_seconds,
        ));
        let outages = OutageReport::of(parameters, &counters);
        let launch = LaunchReport::of(parameters, &counters);
        goals.extend(outages.map(|outages| outages.goal_result()));
        goals.extend(launch.iter().flat_map(LaunchReport::goal_results));
        let runs = u64::from(parameters.days) * 4;
        Self {
            users: parameters.users,
            active_share: parameters.active_share,
            days: parameters.days,
            webhooks: parameters.webhooks.is_some(),
            seed: parameters.seed,
            calls_per_minute: parameters.limits.per_minute,
            calls_per_day: parameters.limits.per_day,
            calls: by_day.iter().map(|day| day.total).sum(),
            most_in_a_minute,
            most_in_a_day,
            by_day,
            by_hour,
            visits: counters.app_requests,
            visits_without_a_call: counters.app_requests_without_call,
            visits_put_off: counters.deferred_app_requests.len() as u64,
            turns: counters.selected_members,
            turns_put_off: counters.deferred_members,
            left: counters.skipped_for_quota.checked_div(runs).unwrap_or(0),
            behind,
            settled: DurationPercentiles::of(&mut counters.skipped_read_lags),
            away,
            second_pages: counters.second_pages,
            calls_by_id: counters.calls_by_id,
            refreshes: counters.refreshes,
            calls_of_failing_members: counters.calls_of_failing_members,
            visits_of_failing_members: counters.app_requests_of_failing_members,
            outages,
            launch,
            held: goals.iter().all(|goal| goal.held),
            goals,
        }
    }
}

fn calls_by_time(
    parameters: &SimulationParameters,
    counters: &SimulationCounters,
) -> (Vec<DayCalls>, Vec<f64>) {
    let mut by_day: Vec<DayCalls> = (0..parameters.days as usize)
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
    let begins = parameters.begins;
    let to_index = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    for at in &counters.deferred_app_requests {
        if let Some(day) = by_day.get_mut(to_index((*at - begins).num_days())) {
            day.visits_put_off += 1;
        }
    }
    for (at, class, calls) in counters.calls() {
        let elapsed = *at - begins;
        if let Some(day) = by_day.get_mut(to_index(elapsed.num_days())) {
            let count = u64::from(*calls);
            day.total += count;
            match class {
                PriorityClass::Interactive => day.interactive += count,
                PriorityClass::Webhook => day.webhook += count,
                PriorityClass::Scheduled => day.scheduled += count,
                PriorityClass::Inactive => day.inactive += count,
                PriorityClass::Backfill => day.backfill += count,
            }
        }
        if let Some(hour) = by_hour.get_mut(to_index(elapsed.num_hours() % 24)) {
            *hour += f64::from(*calls) / f64::from(parameters.days);
        }
    }
    (by_day, by_hour)
}
