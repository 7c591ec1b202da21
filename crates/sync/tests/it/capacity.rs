//! What `capacity` says, held against a crowd that really calls.

use tokio_util::sync::CancellationToken;
use whoop_capacity::{Days, Setting, Webhooks, simulate};
use whoop_core::{plan::Refresh, quota::Limits};
use whoop_sim::SimConfig;
use whoop_sync::{Job, Settings, run::Task};

use crate::harness::{self, CrowdDue, Nobody, Stage, crowd_agenda, half_a_year};

fn setting(users: usize, active_share: f64, days: u32, webhooks: bool, seed: u64) -> Setting {
    Setting {
        begins: "2026-10-21T00:00:00Z".parse().unwrap(),
        users,
        active_share,
        days,
        member_days: Days::default(),
        webhooks: webhooks.then(Webhooks::default),
        seed,
        limits: Limits::default(),
        freshness: Settings::default().freshness,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_lives_through_three_days_makes_the_calls_that_capacity_predicts() {
    let users = 12;
    let setting = Setting {
        limits: Limits {
            per_minute: 1_000_000,
            per_day: 1_000_000,
        },
        ..setting(users, 0.6, 3, false, 3)
    };
    let stage = Stage::with(SimConfig {
        people: users,
        ..half_a_year()
    })
    .await;
    let mut members = Vec::new();
    for person in 0..users {
        members.push(stage.connect_person(person).await);
    }
    stage.stand_at(setting.begins);
    let before = stage.api_calls().len();

    for (at, due) in crowd_agenda(&setting) {
        stage.stand_at(at);
        match due {
            CrowdDue::Slot(slot) => {
                let plan = harness::plan(Task::Sync(harness::slot(slot)));
                let job = Job::scheduled(None, CancellationToken::new());
                let report = stage.engine.run(&plan, &job, &Nobody).await.unwrap();
                assert_eq!(report.failed, 0, "{:?}", report.reports);
            }
            CrowdDue::Visit(member) => {
                let user_id = &members[member].user_id;
                let today = stage.engine.today(user_id).await.unwrap();
                stage
                    .engine
                    .day(user_id, today, Refresh::Auto)
                    .await
                    .unwrap();
            }
        }
    }

    let made = stage.api_calls().len() - before;
    let predicted = usize::try_from(simulate(&setting).calls).unwrap();
    assert!(
        made.abs_diff(predicted) * 20 <= predicted,
        "predicted {predicted}, made {made}"
    );
}

#[test]
fn six_thousand_members_of_whom_a_quarter_comes_are_carried_with_webhooks() {
    for seed in [1, 2, 3] {
        let report = simulate(&setting(6_000, 0.25, 4, true, seed));

        assert!(report.held, "seed {seed}: {:?}", report.goals);
        assert_eq!(report.visits_put_off, 0, "seed {seed}");
    }
}

#[test]
fn sixteen_hundred_members_who_all_come_every_day_are_carried_without_webhooks() {
    for seed in [1, 2, 3] {
        let report = simulate(&setting(1_600, 1.0, 4, false, seed));

        assert!(report.held, "seed {seed}: {:?}", report.goals);
        assert_eq!(report.visits_put_off, 0, "seed {seed}");
    }
}

#[test]
fn a_crowd_that_leaves_something_over_is_not_worse_off_than_a_larger_one() {
    for users in [300, 700, 1_000, 1_100, 1_150, 1_200, 1_400] {
        let report = simulate(&setting(users, 1.0, 3, false, 3));

        assert_eq!(report.visits_put_off, 0, "{users}: {:?}", report.by_day);
        assert!(report.held, "{users}: {:?}", report.goals);
    }
}

#[test]
fn a_crowd_that_is_too_large_is_said_to_be() {
    let report = simulate(&setting(2_500, 1.0, 3, false, 3));

    assert!(!report.held);
    assert!(report.visits_put_off > 0);
    assert!(report.most_in_a_minute <= 100);
    assert!(report.most_in_a_day <= 10_000);
}
