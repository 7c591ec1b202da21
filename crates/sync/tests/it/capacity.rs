//! Compares the number of calls that the command `capacity` predicts with the calls that the engine
//! really makes for the same generated members.

use tokio_util::sync::CancellationToken;
use whoop_capacity::{CallConditions, DayVariation, SimulationParameters, simulate};
use whoop_core::{plan::RefreshMode, quota::QuotaLimits};
use whoop_sim::SimConfig;
use whoop_sync::{EngineSettings, SyncContext, run::RunTask};

use crate::harness::{self, CrowdDue, SilentObserver, Stage, crowd_agenda, half_a_year};

fn parameters(users: usize, active_share: f64, days: u32, seed: u64) -> SimulationParameters {
    SimulationParameters {
        begins: "2026-10-21T00:00:00Z".parse().unwrap(),
        users,
        active_share,
        days,
        day_variation: DayVariation {
            deletions: 0.0,
            ..DayVariation::default()
        },
        webhooks: None,
        seed,
        limits: QuotaLimits::default(),
        freshness: EngineSettings::default().freshness,
        // The simulator answers every call at once.
        call_conditions: CallConditions::ideal(),
        launch: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_makes_the_calls_that_capacity_predicts_over_three_days() {
    let users = 12;
    let parameters = SimulationParameters {
        limits: QuotaLimits {
            per_minute: 1_000_000,
            per_day: 1_000_000,
        },
        ..parameters(users, 0.6, 3, 3)
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
    stage.set_time(parameters.begins);
    let before = stage.api_calls().len();

    for (at, due) in crowd_agenda(&parameters) {
        stage.set_time(at);
        match due {
            CrowdDue::Slot(slot) => {
                let plan = harness::plan(RunTask::Sync(harness::slot(slot)));
                let context = SyncContext::scheduled(None, CancellationToken::new());
                let report = stage
                    .engine
                    .runs
                    .run(&plan, &context, &SilentObserver)
                    .await
                    .unwrap();
                assert_eq!(report.failed, 0, "{:?}", report.reports);
            }
            CrowdDue::AppRequest(member) => {
                let user_id = &members[member].user_id;
                let today = stage.engine.days.today(user_id).await.unwrap();
                stage
                    .engine
                    .days
                    .day(user_id, today, RefreshMode::Auto)
                    .await
                    .unwrap();
            }
        }
    }

    let calls = stage.api_calls().len() - before;
    let predicted = usize::try_from(simulate(&parameters).calls).unwrap();
    assert!(
        calls.abs_diff(predicted) * 20 <= predicted,
        "predicted {predicted}, made {calls}"
    );
}
