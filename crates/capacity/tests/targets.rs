//! Tests of the capacity targets of the design and of WHOOP's limits.
//!
//! The simulations have slow token refreshes, members whose calls fail, an outage, and requests by
//! id.

use chrono::TimeDelta;
use whoop_capacity::{
    CallConditions, DayVariation, Launch, Outage, SimulationParameters, SimulationReport,
    WebhookConditions, simulate,
};
use whoop_core::quota::QuotaLimits;

const SEEDS: [u64; 3] = [1, 2, 3];

fn parameters(users: usize, active_share: f64, days: u32, seed: u64) -> SimulationParameters {
    SimulationParameters {
        begins: "2026-10-21T00:00:00Z".parse().expect("a valid time"),
        users,
        active_share,
        days,
        day_variation: DayVariation::default(),
        webhooks: None,
        seed,
        limits: QuotaLimits::default(),
        freshness: TimeDelta::minutes(15),
        call_conditions: CallConditions {
            // The outage is not in the morning. An outage in the hours with most of the first app
            // requests of a day moves more calls into 24 hours than the quota allows: see
            // docs/decisions.md.
            outages: vec![Outage::one_hour(2, 18)],
            ..CallConditions::default()
        },
        launch: None,
    }
}

fn assert_targets_hold(report: &SimulationReport) {
    assert!(report.held, "seed {}: {:?}", report.seed, report.goals);
    assert_eq!(report.visits_put_off, 0, "seed {}", report.seed);
}

fn assert_hazards_occur(report: &SimulationReport) {
    let outages = report.outages.expect("the report of the outage");
    assert!(outages.visits > 100, "{outages:?}");
    assert!((10..100).contains(&outages.calls), "{outages:?}");
    assert!(report.calls_of_failing_members > 100);
    assert!(report.visits_of_failing_members > 10);
    assert!(report.calls_by_id > 10);
    assert!(report.refreshes > report.visits / 2);
}

#[test]
fn targets_are_met_for_6000_members_a_quarter_active_with_webhooks() {
    for seed in SEEDS {
        let report = simulate(&SimulationParameters {
            webhooks: Some(WebhookConditions::default()),
            ..parameters(6_000, 0.25, 4, seed)
        });

        assert_targets_hold(&report);
        assert_hazards_occur(&report);
        assert!(report.second_pages > 10);
    }
}

#[test]
fn targets_are_met_for_1600_active_members_without_webhooks() {
    for seed in SEEDS {
        let report = simulate(&parameters(1_600, 1.0, 4, seed));

        assert_targets_hold(&report);
        assert_hazards_occur(&report);
    }
}

#[test]
fn targets_are_met_when_1600_new_members_connect_within_an_hour() {
    for seed in SEEDS {
        for webhooks in [None, Some(WebhookConditions::default())] {
            let report = simulate(&SimulationParameters {
                webhooks,
                launch: Some(Launch::second_evening(1_600, TimeDelta::minutes(60))),
                call_conditions: CallConditions::default(),
                ..parameters(50, 0.25, 2, seed)
            });
            let launch = report.launch.unwrap();

            assert!(report.held, "seed {seed}: {launch:?} {:?}", report.goals);
            assert_eq!(launch.members_read, 1_600);
            // Reading 1,600 members takes 8,000 calls, which need 80 minutes at 100 calls per
            // minute.
            assert!(launch.last_member_read_after_seconds > 80 * 60);
            assert!(launch.visits_of_others > 0);
            assert_eq!(launch.visits_of_others_put_off, 0);
        }
    }
}

#[test]
fn app_requests_wait_at_most_one_minute_while_new_members_connect() {
    for seed in SEEDS {
        let report = simulate(&SimulationParameters {
            launch: Some(Launch::second_evening(300, TimeDelta::minutes(10))),
            call_conditions: CallConditions::default(),
            ..parameters(400, 1.0, 2, seed)
        });
        let launch = report.launch.unwrap();

        assert!(report.held, "seed {seed}: {launch:?} {:?}", report.goals);
        assert!(launch.visits_of_others > 10, "{launch:?}");
    }
}

#[test]
fn a_launch_that_exceeds_the_day_quota_misses_the_targets_but_not_the_limits() {
    let report = simulate(&SimulationParameters {
        launch: Some(Launch::second_evening(2_200, TimeDelta::minutes(60))),
        call_conditions: CallConditions::default(),
        ..parameters(50, 0.25, 2, 1)
    });
    let launch = report.launch.unwrap();

    assert!(!report.held);
    assert!(launch.members_read < 2_200, "{launch:?}");
    assert!(report.most_in_a_minute <= 100);
    assert!(report.most_in_a_day <= 10_000);
}

#[test]
fn an_outage_costs_less_than_100_calls_per_hour_at_any_time_of_day() {
    // The first configuration has many app requests; the second has many members in each run.
    for (users, active_share) in [(1_600, 1.0), (600, 0.25)] {
        for hour in [7, 8, 18, 20] {
            let report = simulate(&SimulationParameters {
                webhooks: Some(WebhookConditions::default()),
                call_conditions: CallConditions {
                    outages: vec![Outage::one_hour(1, hour)],
                    ..CallConditions::default()
                },
                ..parameters(users, active_share, 2, 1)
            });
            let outages = report.outages.unwrap();

            assert!(outages.calls < 100, "{users} at {hour}: {outages:?}");
            assert!(outages.calls > 10, "{users} at {hour}: {outages:?}");
        }
    }
}

#[test]
fn a_slow_token_endpoint_delays_app_requests_and_costs_no_calls() {
    let with_refresh = |seconds| {
        simulate(&SimulationParameters {
            call_conditions: CallConditions {
                refresh_duration: TimeDelta::seconds(seconds),
                ..CallConditions::ideal()
            },
            limits: QuotaLimits {
                per_minute: 1_000_000,
                per_day: 1_000_000,
            },
            // The report contains the longest wait of an app request only if there is a launch.
            launch: Some(Launch::second_evening(30, TimeDelta::minutes(30))),
            ..parameters(200, 1.0, 3, 1)
        })
    };
    let (fast, slow) = (with_refresh(0), with_refresh(10));
    let longest_wait = |report: &SimulationReport| {
        report
            .launch
            .map(|launch| launch.longest_wait_of_others_seconds)
    };

    assert!(fast.refreshes > 100);
    assert!(longest_wait(&fast) < Some(5), "{:?}", fast.launch);
    assert!(longest_wait(&slow) >= Some(10), "{:?}", slow.launch);
    assert!(fast.calls.abs_diff(slow.calls) * 100 <= fast.calls);
}

#[test]
fn targets_are_met_for_every_smaller_number_of_members() {
    for users in [300, 700, 1_000, 1_100, 1_150, 1_200, 1_400] {
        let report = simulate(&parameters(users, 1.0, 3, 3));

        assert_eq!(report.visits_put_off, 0, "{users}: {:?}", report.by_day);
        assert!(report.held, "{users}: {:?}", report.goals);
    }
}

#[test]
fn too_many_members_for_the_quota_miss_the_targets_but_not_the_limits() {
    let report = simulate(&parameters(2_500, 1.0, 3, 3));

    assert!(!report.held);
    assert!(report.visits_put_off > 0);
    assert!(report.most_in_a_minute <= 100);
    assert!(report.most_in_a_day <= 10_000);
}

#[test]
fn the_same_seed_gives_the_same_report() {
    let report = || {
        simulate(&SimulationParameters {
            webhooks: Some(WebhookConditions::default()),
            launch: Some(Launch::second_evening(40, TimeDelta::minutes(5))),
            ..parameters(60, 0.5, 3, 9)
        })
    };
    assert_eq!(format!("{:?}", report()), format!("{:?}", report()));
}
