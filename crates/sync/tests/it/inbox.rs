//! Test of law 12 (a webhook is a hint and is never lost) over a week: the database has what WHOOP
//! has, even if webhooks are lost, duplicated, late or out of order.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use whoop_capacity::{
    CallConditions, DayVariation, SimulationParameters, WebhookConditions, simulate,
};
use whoop_core::{
    Clock, DataType,
    plan::{RefreshMode, Slot},
    quota::QuotaLimits,
};
use whoop_sim::{SimConfig, WebhookFaults};
use whoop_sync::{EngineSettings, SyncContext, inbox::DrainReport, run::RunTask};

use crate::harness::{self, CrowdDue, Follower, SilentObserver, Stage, crowd_agenda, half_a_year};

const MEMBERS: usize = 50;
const DAYS: u32 = 7;

/// Share of WHOOP's webhooks that are lost.
const LOST: f64 = 0.1;
const LATE: TimeDelta = TimeDelta::hours(3);
const DELIVERY_INTERVAL: TimeDelta = TimeDelta::minutes(10);

fn parameters() -> SimulationParameters {
    SimulationParameters {
        begins: "2026-10-21T00:00:00Z".parse().unwrap(),
        users: MEMBERS,
        active_share: 0.6,
        days: DAYS,
        // These shares fit the simulator's people. Of every twelve people, two are scored in the
        // evening, one no longer has a membership, others do not wear the strap or do not sleep,
        // one naps, and one sleeps twice. One in sixteen uploads is late.
        day_variation: DayVariation {
            late_scores: 0.22,
            missed_nights: 0.16,
            naps: 0.25,
            deletions: 0.0,
            // UTC offsets of the simulator's people in hours, in the order of the people.
            utc_offsets: &[2, 2, 0, -4, 13, 1, -7, 1, -4, 1, -7, 2, -4, 2, -2, 2, 14],
        },
        webhooks: Some(WebhookConditions {
            lost_share: LOST,
            max_delay: LATE + DELIVERY_INTERVAL,
        }),
        seed: 11,
        limits: QuotaLimits {
            per_minute: 1_000_000,
            per_day: 1_000_000,
        },
        freshness: EngineSettings::default().freshness,
        // The simulator answers every call at once.
        call_conditions: CallConditions::ideal(),
        launch: None,
    }
}

enum Due {
    Crowd(CrowdDue),
    /// The webhooks that WHOOP has sent up to this time arrive and are processed.
    Webhooks,
}

fn agenda(parameters: &SimulationParameters) -> Vec<(DateTime<Utc>, Due)> {
    let crowd = crowd_agenda(parameters).into_iter();
    let mut agenda: Vec<_> = crowd.map(|(at, due)| (at, Due::Crowd(due))).collect();
    let ends = parameters.begins + TimeDelta::days(parameters.days.into());
    let mut at = parameters.begins + DELIVERY_INTERVAL / 2;
    while at < ends {
        agenda.push((at, Due::Webhooks));
        at += DELIVERY_INTERVAL;
    }
    agenda.sort_by_key(|(at, _)| *at);
    agenda
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_week_of_fifty_members_with_faulty_webhooks_ends_each_night_equal_to_whoop() {
    let parameters = parameters();
    let webhook_faults = WebhookFaults {
        lose: LOST,
        duplicate: 0.1,
        delay_seconds: LATE.num_seconds().unsigned_abs(),
        reorder: true,
        fresh_timestamp_on_retry: false,
    };
    let config = SimConfig {
        people: MEMBERS,
        days: 15,
        freeze_records: false,
        webhook_faults,
        ..half_a_year()
    };
    let stage = Stage::with_webhooks(config).await;
    let mut members = Vec::new();
    for person in 0..MEMBERS {
        members.push(stage.connect_person(person).await);
    }
    // All earlier history is read first, so that the calls that are counted later are those of the
    // week.
    let context = || SyncContext::scheduled(None, CancellationToken::new());
    let history = harness::plan(RunTask::Backfill { from: None });
    stage
        .engine
        .runs
        .run(&history, &context(), &SilentObserver)
        .await
        .unwrap();
    stage.set_time(parameters.begins);
    let before = stage.api_calls().len();
    let mut followers: Vec<Follower> = members
        .iter()
        .map(|member| Follower::of(&member.user_id))
        .collect();
    let mut random = StdRng::seed_from_u64(parameters.seed);

    for (at, due) in agenda(&parameters) {
        stage.set_time(at);
        match due {
            Due::Crowd(CrowdDue::Slot(slot)) => {
                let plan = harness::plan(RunTask::Sync(harness::slot(slot)));
                let report = stage
                    .engine
                    .runs
                    .run(&plan, &context(), &SilentObserver)
                    .await
                    .unwrap();
                assert_eq!(report.failed, 0, "{:?}", report.reports);
                if slot == Slot::Night {
                    for member in &members {
                        stage.assert_stored_is_truth(member).await;
                    }
                }
            }
            Due::Crowd(CrowdDue::AppRequest(member)) => {
                let user_id = &members[member].user_id;
                let today = stage.engine.days.today(user_id).await.unwrap();
                let day = stage.engine.days.day(user_id, today, RefreshMode::Auto);
                day.await.unwrap();
                followers[member]
                    .poll(&stage.engine, random.random_range(1..50))
                    .await;
            }
            Due::Webhooks => {
                stage.sim.deliver_webhooks().await;
                assert_eq!(stage.drain().await.dead, 0);
            }
        }
    }

    let calls = stage.api_calls().len() - before;
    let predicted = usize::try_from(simulate(&parameters).calls).unwrap();
    let states = stage.event_states().await;
    println!("predicted {predicted}, made {calls}, {states:?}");
    assert!(states["done"] > 500, "{states:?}");
    assert!(
        calls.abs_diff(predicted) * 20 <= predicted,
        "predicted {predicted}, made {calls}"
    );
    for follower in &mut followers {
        follower.assert_ends_equal(&stage.engine).await;
    }
    assert!(stage.clock.now() > parameters.begins);
}

#[tokio::test]
async fn an_event_that_arrives_after_a_read_is_not_closed_by_that_read() {
    let stage = Stage::with_webhooks(half_a_year()).await;
    let member = stage.connect_person(0).await;
    let night = stage.listed(&member, DataType::Recovery)[0].clone();
    let rescored = |score| json!({"score": {"recovery_score": score}});
    stage.advance(TimeDelta::minutes(1));
    stage.change(&member, DataType::Recovery, &night, rescored(11));
    stage.sim.deliver_webhooks().await;
    stage.advance(TimeDelta::minutes(1));
    stage.sync(&member, &harness::slot(Slot::Morning)).await;
    stage.advance(TimeDelta::minutes(1));
    stage.change(&member, DataType::Recovery, &night, rescored(22));
    stage.sim.deliver_webhooks().await;
    stage.world().reset_calls();

    let drained = stage.drain().await;

    assert_eq!((drained.done, drained.calls), (2, 1), "{drained:?}");
    let stored = stage.stored(&member, DataType::Recovery).await;
    let cycle = harness::id_of(DataType::Recovery, &night);
    assert_eq!(stored[&cycle]["score"]["recovery_score"], 22.0);
}

#[tokio::test]
async fn an_event_whose_record_was_read_meanwhile_costs_no_call() {
    let stage = Stage::with_webhooks(half_a_year()).await;
    let member = stage.connect_person(0).await;
    let night = stage.listed(&member, DataType::Sleep)[0].clone();
    let higher_score = json!({"score": {"sleep_performance_percentage": 99}});
    stage.change(&member, DataType::Sleep, &night, higher_score);
    stage.sim.deliver_webhooks().await;
    stage.advance(TimeDelta::minutes(2));
    stage.sync(&member, &harness::slot(Slot::Morning)).await;

    let drained = stage.drain().await;

    assert_eq!((drained.done, drained.calls), (2, 0), "{drained:?}");
}

#[tokio::test]
async fn a_score_whose_webhook_is_lost_arrives_with_the_next_app_request() {
    let stage = Stage::with_webhooks(half_a_year()).await;
    let member = stage.connect_person(0).await;
    let recovery = stage.listed(&member, DataType::Recovery)[0].clone();
    let sleeps = stage.listed(&member, DataType::Sleep);
    let sleep = sleeps
        .iter()
        .find(|one| one["id"] == recovery["sleep_id"])
        .unwrap();
    // The member edits the night. WHOOP therefore has to score it again.
    let pending = json!({"score_state": "PENDING_SCORE", "score": null});
    stage.change(&member, DataType::Sleep, sleep, pending);
    stage.sim.deliver_webhooks().await;
    assert_eq!(stage.drain().await.done, 2);

    // WHOOP scores the sleep and the recovery, and the webhooks about the two scores are lost.
    stage.world().send_webhooks_to("http://127.0.0.1:9/nowhere");
    let scored = json!({"score_state": "SCORED", "score": sleep["score"]});
    stage.change(&member, DataType::Sleep, sleep, scored);
    let rescored = json!({"score": {"recovery_score": 44}});
    stage.change(&member, DataType::Recovery, &recovery, rescored);
    stage.advance(TimeDelta::minutes(31));

    // The app requests the day. The service reads the night again, because the stored night has no
    // score yet.
    let date = stage.latest_day(&member).await;
    let request = stage
        .engine
        .days
        .day(&member.user_id, date, RefreshMode::Auto);
    request.await.unwrap();

    let stored = stage.stored(&member, DataType::Recovery).await;
    let cycle = harness::id_of(DataType::Recovery, &recovery);
    assert_eq!(stored[&cycle]["score"]["recovery_score"], 44.0);
}

#[tokio::test]
async fn a_member_whose_tokens_cannot_be_opened_does_not_block_events_of_other_members() {
    let stage = Stage::with_webhooks(half_a_year()).await;
    let (ann, ben) = (stage.connect_person(0).await, stage.connect_person(1).await);
    stage
        .execute(
            "UPDATE whoop_tokens SET key_id = 'lost' WHERE user_id = $1",
            &ann,
        )
        .await;
    for member in [&ann, &ben] {
        let nights = stage.listed(member, DataType::Recovery);
        let night = nights
            .iter()
            .find(|one| one["score_state"] == "SCORED")
            .unwrap();
        let rescored = json!({"score": {"recovery_score": 3}});
        stage.change(member, DataType::Recovery, night, rescored);
    }
    stage.sim.deliver_webhooks().await;

    let drained = stage.drain().await;

    assert_eq!((drained.done, drained.put_off), (1, 1), "{drained:?}");
}

impl Stage {
    /// Processes the webhook events that are due, as an API process does.
    async fn drain(&self) -> DrainReport {
        let context = SyncContext::webhook(CancellationToken::new());
        let drained = self.engine.inbox.drain_webhooks(&context, true);
        drained.await.unwrap()
    }

    /// Returns the number of webhook events in each state.
    async fn event_states(&self) -> BTreeMap<String, i64> {
        let sql = "SELECT state, count(*) FROM whoop_webhook_event GROUP BY state";
        let rows = self.sql.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}
