//! Tests of law 12 (a webhook is a hint and is never lost): a webhook opens the signal of a data
//! type, and every read of the data type up to the present closes it.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use whoop_core::{
    DataType,
    day::SyncOutcome,
    plan::{RefreshMode, Slot},
    quota::QuotaLimits,
};
use whoop_sim::{Fault, FaultKind, SimConfig, WebhookFaults};
use whoop_sync::{Engine, SyncContext, inbox::DrainReport, run::RunTask};

use crate::harness::{
    Hold, Member, SilentObserver, Stage, at_whoop, half_a_year, id_of, list_of, now, plan, slot,
    text_of,
};

const NOWHERE: &str = "http://127.0.0.1:9/nowhere";

/// Creates a test environment with one member, in which webhooks reach the service.
async fn with_webhooks() -> (Stage, Member) {
    let stage = Stage::with_webhooks(half_a_year()).await;
    let member = stage.connect_person(0).await;
    (stage, member)
}

async fn drain(engine: &Engine) -> DrainReport {
    let context = SyncContext::webhook(CancellationToken::new());
    engine.inbox.drain_webhooks(&context, true).await.unwrap()
}

impl Stage {
    /// Moves the clocks by a minute, and then delivers the webhooks that WHOOP has to send.
    async fn deliver_after_a_minute(&self) {
        self.advance(TimeDelta::minutes(1));
        self.sim.deliver_webhooks().await;
    }

    async fn pending(&self) -> i64 {
        self.number("SELECT count(*) FROM whoop_webhook_event WHERE state = 'pending'")
            .await
    }

    async fn open_signals(&self) -> i64 {
        self.number("SELECT count(*) FROM whoop_sync_log WHERE signal_open")
            .await
    }

    async fn number(&self, sql: &str) -> i64 {
        self.sql.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Removes the stored webhook events about a member and their signals, as if the webhooks had
    /// not arrived.
    async fn lose_webhooks_of(&self, member: &Member) {
        let account = member.whoop_user_id;
        let delete = format!("DELETE FROM whoop_webhook_event WHERE whoop_user_id = {account}");
        self.sql.batch_execute(&delete).await.unwrap();
        let forget = "UPDATE whoop_sync_log SET signal_at = signal_read_at WHERE user_id = $1";
        self.execute(forget, member).await;
    }

    /// Returns another process for which calls are scarce: most of its day quota is used up, but
    /// some calls remain.
    async fn with_scarce_calls(&self) -> Engine {
        let spent = 1_000_000 - self.engine.quota.remaining_quota().await.unwrap().day;
        let interactive_calls = 4 * spent;
        for _ in 0..interactive_calls {
            self.engine.quota.ping().await.unwrap();
        }
        self.engine_within(QuotaLimits {
            per_minute: 1_000,
            per_day: interactive_calls * 3 / 2,
        })
    }

    async fn paths(&self) -> Vec<String> {
        let calls = self.api_calls().into_iter();
        calls.map(|call| call.path).collect()
    }

    /// Reads the member's whole history, and returns a workout that is more than two months old.
    async fn old_workout(&self, member: &Member) -> Value {
        self.read_whole_history(member).await;
        let long_ago = self.now() - TimeDelta::days(60);
        let mut workouts = self.dated(member, DataType::Workout).into_iter();
        workouts.find(|(start, _)| *start < long_ago).unwrap().1
    }

    fn now(&self) -> DateTime<Utc> {
        whoop_core::Clock::now(&self.clock)
    }

    async fn score_of(&self, member: &Member, recovery: &Value) -> f64 {
        let stored = self.stored(member, DataType::Recovery).await;
        let cycle = id_of(DataType::Recovery, recovery);
        stored[&cycle]["score"]["recovery_score"].as_f64().unwrap()
    }
}

fn rescored(score: i32) -> Value {
    json!({"score": {"recovery_score": score}})
}

fn scored(stage: &Stage, member: &Member) -> Value {
    let nights = stage.listed(member, DataType::Recovery).into_iter();
    let mut nights = nights.filter(|one| one["score_state"] == "SCORED");
    nights.next().unwrap()
}

#[tokio::test]
async fn a_burst_of_twenty_events_costs_one_list_per_data_type() {
    let (stage, member) = with_webhooks().await;
    for data_type in [DataType::Recovery, DataType::Sleep, DataType::Workout] {
        for record in &stage.listed(&member, data_type)[..7] {
            stage.change(&member, data_type, record, json!({"unknown": "field"}));
        }
    }
    stage.deliver_after_a_minute().await;
    assert!(stage.pending().await >= 20);
    stage.world().reset_calls();

    let report = drain(&stage.engine).await;

    assert_eq!((report.calls, report.put_off), (3, 0), "{report:?}");
    assert_eq!(stage.api_calls().len(), 3);
    assert_eq!(stage.open_signals().await, 0);
}

#[tokio::test]
async fn an_update_of_a_record_that_no_list_shows_is_fetched_by_its_id() {
    let (stage, member) = with_webhooks().await;
    let old = stage.old_workout(&member).await;
    stage.change(
        &member,
        DataType::Workout,
        &old,
        json!({"sport_name": "pilates"}),
    );
    stage.deliver_after_a_minute().await;
    stage.world().reset_calls();

    let report = drain(&stage.engine).await;

    let id = id_of(DataType::Workout, &old);
    let list = list_of(DataType::Workout);
    assert_eq!(stage.paths().await, [list, &format!("{list}/{id}")]);
    assert_eq!((report.done, report.put_off), (1, 0), "{report:?}");
    let stored = stage.stored(&member, DataType::Workout).await;
    assert_eq!(stored[&id]["sport_name"], "pilates");
}

#[tokio::test]
async fn a_deletion_of_a_record_that_no_list_shows_is_confirmed_by_its_id() {
    let (stage, member) = with_webhooks().await;
    let old = stage.old_workout(&member).await;
    let id = id_of(DataType::Workout, &old);
    stage
        .world()
        .records()
        .delete(member.whoop_user_id, at_whoop(DataType::Workout), &id)
        .unwrap();
    stage.deliver_after_a_minute().await;

    let report = drain(&stage.engine).await;

    assert_eq!((report.calls, report.done), (2, 1), "{report:?}");
    assert!(
        !stage
            .stored(&member, DataType::Workout)
            .await
            .contains_key(&id)
    );
}

#[tokio::test]
async fn an_announced_record_that_whoop_does_not_show_yet_is_not_lost() {
    let (stage, member) = with_webhooks().await;
    let before = stage.listed(&member, DataType::Workout);
    let start = text_of(now() - TimeDelta::minutes(40));
    let id = stage.insert(&member, DataType::Workout, json!({"start": start}));
    stage.deliver_after_a_minute().await;
    // At first, neither the list nor a request for the workout by its id shows the new workout.
    let body = json!({"records": before[..25], "next_token": "eyJv"}).to_string();
    stage.world().add_fault(Fault {
        status: Some(200),
        body: Some(body),
        times: Some(1),
        ..Fault::new("workout", FaultKind::Status)
    });
    stage.world().add_fault(Fault {
        times: Some(2),
        ..Fault::status("workout", 404)
    });

    for (minutes, is_stored) in [(0, false), (1, false), (9, false), (1, true)] {
        stage.advance(TimeDelta::minutes(minutes));
        drain(&stage.engine).await;
        let stored = stage.stored(&member, DataType::Workout).await;
        assert_eq!(stored.contains_key(&id), is_stored, "after {minutes} more");
    }
    assert_eq!(stage.pending().await, 0);
}

#[tokio::test]
async fn late_repeated_and_unordered_events_end_equal_to_whoop() {
    let stage = Stage::with_webhooks(SimConfig {
        webhook_faults: WebhookFaults {
            lose: 0.0,
            duplicate: 0.5,
            delay_seconds: 3 * 3600,
            reorder: true,
            fresh_timestamp_on_retry: false,
        },
        ..half_a_year()
    })
    .await;
    let member = stage.connect_person(0).await;
    let workouts = stage.listed(&member, DataType::Workout);
    for (nth, workout) in workouts[..12].iter().enumerate() {
        stage.change(
            &member,
            DataType::Workout,
            workout,
            json!({"sport_name": "yoga"}),
        );
        if nth % 3 == 0 {
            let id = id_of(DataType::Workout, workout);
            let world = stage.world();
            world
                .records()
                .delete(member.whoop_user_id, at_whoop(DataType::Workout), id)
                .unwrap();
        }
    }
    stage.change(
        &member,
        DataType::Recovery,
        &scored(&stage, &member),
        rescored(9),
    );

    for _ in 0..8 {
        stage.advance(TimeDelta::minutes(30));
        stage.sim.deliver_webhooks().await;
        drain(&stage.engine).await;
    }

    assert_eq!((stage.pending().await, stage.open_signals().await), (0, 0));
    for data_type in [DataType::Workout, DataType::Recovery] {
        let truth = stage.truth(&member, data_type);
        let stored = stage.stored(&member, data_type).await;
        let ids = |records: &std::collections::BTreeMap<String, Value>| -> BTreeSet<String> {
            records.keys().cloned().collect()
        };
        // The service has not read the rest of the history yet.
        assert!(ids(&stored).is_subset(&ids(&truth)), "{data_type}");
        for (id, record) in &stored {
            assert_eq!(record["sport_name"], truth[id]["sport_name"], "{id}");
            let score = |one: &Value| one["score"]["recovery_score"].as_f64();
            assert_eq!(score(record), score(&truth[id]), "{id}");
        }
    }
}

#[tokio::test]
async fn a_signal_that_arrives_during_the_read_stays_open() {
    let (stage, member) = with_webhooks().await;
    let night = scored(&stage, &member);
    let cycle = id_of(DataType::Recovery, &night);
    stage.change(&member, DataType::Recovery, &night, rescored(11));
    stage.deliver_after_a_minute().await;
    let hold = Hold::row(&stage, &member, DataType::Recovery, &cycle).await;
    let engine = stage.engine.clone();
    let draining = tokio::spawn(async move { drain(&engine).await });
    // The service has fetched the page with the first score, but has not stored it yet.
    stage.until_a_transaction_waits().await;
    stage.change(&member, DataType::Recovery, &night, rescored(22));
    stage.sim.deliver_webhooks().await;
    hold.release().await;
    draining.await.unwrap();

    assert!((stage.score_of(&member, &night).await - 11.0).abs() < 0.1);
    assert_eq!(stage.open_signals().await, 1);
    assert!(stage.pending().await > 0);

    drain(&stage.engine).await;

    assert!((stage.score_of(&member, &night).await - 22.0).abs() < 0.1);
    assert_eq!((stage.pending().await, stage.open_signals().await), (0, 0));
}

#[tokio::test]
async fn a_drain_that_is_killed_after_the_read_repeats_no_call() {
    let (stage, member) = with_webhooks().await;
    let night = scored(&stage, &member);
    stage.change(&member, DataType::Recovery, &night, rescored(33));
    stage.deliver_after_a_minute().await;
    let other = stage.db.client().await;
    other
        .batch_execute("BEGIN; SELECT 1 FROM whoop_webhook_event FOR UPDATE")
        .await
        .unwrap();
    tokio::select! {
        report = drain(&stage.engine) => panic!("the drain ended: {report:?}"),
        () = stage.until_a_transaction_waits() => {}
    }
    // The process's connection is terminated too, because PostgreSQL would continue the statement
    // of a process that no longer exists.
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                WHERE datname = current_database() AND wait_event_type = 'Lock'";
    stage.sql.batch_execute(kill).await.unwrap();
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!((stage.pending().await, stage.open_signals().await), (1, 0));
    let restarted = stage.another_engine();

    let report = drain(&restarted).await;

    assert_eq!((report.done, report.calls), (1, 0), "{report:?}");
    assert!((stage.score_of(&member, &night).await - 33.0).abs() < 0.1);
}

#[tokio::test]
async fn an_app_request_and_a_run_close_the_signals_of_the_data_types_that_they_read() {
    let (stage, member) = with_webhooks().await;
    let change = async || {
        stage.change(
            &member,
            DataType::Recovery,
            &scored(&stage, &member),
            rescored(5),
        );
        stage.deliver_after_a_minute().await;
        assert_eq!(stage.open_signals().await, 1);
    };
    change().await;
    let today = stage.engine.days.today(&member.user_id).await.unwrap();
    let day = stage
        .engine
        .days
        .day(&member.user_id, today, RefreshMode::Auto)
        .await;
    assert_eq!(day.unwrap().meta.sync, SyncOutcome::Done);
    assert_eq!(stage.open_signals().await, 0);

    change().await;
    let run = plan(RunTask::Sync(slot(Slot::Morning)));
    let context = SyncContext::scheduled(None, CancellationToken::new());
    stage
        .engine
        .runs
        .run(&run, &context, &SilentObserver)
        .await
        .unwrap();
    assert_eq!(stage.open_signals().await, 0);

    let report = drain(&stage.engine).await;
    assert_eq!((report.done, report.calls), (2, 0), "{report:?}");
}

#[tokio::test]
async fn an_event_is_read_for_both_members_of_one_account() {
    let (stage, ann) = with_webhooks().await;
    let ben = stage.connect("ben", ann.whoop_user_id).await;
    let night = scored(&stage, &ann);
    stage.change(&ann, DataType::Recovery, &night, rescored(44));
    stage.deliver_after_a_minute().await;

    let report = drain(&stage.engine).await;

    assert_eq!((report.done, report.calls), (1, 2), "{report:?}");
    for member in [&ann, &ben] {
        assert!((stage.score_of(member, &night).await - 44.0).abs() < 0.1);
    }
}

#[tokio::test]
async fn a_refused_quota_pauses_the_drain_and_changes_no_event() {
    let (stage, member) = with_webhooks().await;
    let other = stage.connect_person(1).await;
    for one in [&member, &other] {
        stage.change(one, DataType::Recovery, &scored(&stage, one), rescored(5));
    }
    stage.deliver_after_a_minute().await;
    let spent = 1_000_000 - stage.engine.quota.remaining_quota().await.unwrap().day;
    let exhausted = stage.engine_within(QuotaLimits {
        per_minute: 1_000,
        per_day: spent,
    });
    let context = SyncContext::webhook(CancellationToken::new());

    let report = exhausted
        .inbox
        .drain_webhooks(&context, false)
        .await
        .unwrap();

    assert!(report.paused_for.is_some(), "{report:?}");
    assert_eq!((report.done, report.calls, report.put_off), (0, 0, 2));
    let touched = "SELECT count(*) FROM whoop_webhook_event \
                   WHERE attempts > 0 OR due_at <> received_at OR last_error IS NOT NULL";
    assert_eq!(stage.number(touched).await, 0);
    assert_eq!(drain(&stage.engine).await.done, 2);
}

#[tokio::test]
async fn only_members_who_are_using_the_app_are_read_if_calls_are_scarce() {
    let (stage, inactive) = with_webhooks().await;
    let using_app = stage.connect_person(1).await;
    for one in [&inactive, &using_app] {
        stage.change(one, DataType::Recovery, &scored(&stage, one), rescored(5));
    }
    stage.deliver_after_a_minute().await;
    stage
        .engine
        .days
        .note_app_open(&using_app.user_id)
        .await
        .unwrap();
    let scarce = stage.with_scarce_calls().await;

    let report = drain(&scarce).await;

    assert_eq!(
        (report.done, report.calls, report.put_off),
        (1, 1, 1),
        "{report:?}"
    );
    let waits = "SELECT u.user_id FROM whoop_webhook_event e \
                 JOIN whoop_users u USING (whoop_user_id) WHERE state = 'pending' AND $1 = $1";
    assert_eq!(
        stage.text(waits, &inactive).await,
        Some(inactive.user_id.to_string())
    );
}

/// Test of an earlier defect: an event about an older night stayed pending for a long time, and
/// then its record was fetched by its id.
#[tokio::test]
async fn a_month_of_scarce_calls_causes_no_backlog() {
    let stage = Stage::with_webhooks(SimConfig {
        freeze_records: false,
        ..half_a_year()
    })
    .await;
    let mut members = Vec::new();
    for person in 0..3 {
        members.push(stage.connect_person(person).await);
    }
    let scarce = stage.with_scarce_calls().await;
    let calls = stage.api_calls().len();
    let mut most_pending = 0;
    for _ in 0..30 {
        stage.advance(TimeDelta::days(1));
        let nights = stage.listed(&members[0], DataType::Recovery);
        stage.change(&members[0], DataType::Recovery, &nights[8], rescored(7));
        stage.sim.deliver_webhooks().await;
        drain(&scarce).await;
        stage.engine.retention.purge_expired().await.unwrap();
        most_pending = most_pending.max(stage.pending().await);
    }
    let oldest = "SELECT (extract(epoch FROM max(received_at) - min(received_at)) / 86400)::BIGINT \
                  FROM whoop_webhook_event WHERE state = 'pending'";
    assert_eq!(stage.api_calls().len(), calls, "no call was made");
    assert!(stage.number(oldest).await <= 14);
    assert!(most_pending > 40, "pending webhooks: {most_pending}");
    assert!(stage.open_signals().await <= 9);

    // A read of the lists completes the events, including the events about older nights.
    let [one, another, last] = &members[..] else {
        unreachable!()
    };
    for member in [one, another] {
        let today = scarce.days.today(&member.user_id).await.unwrap();
        stage.sync(member, &slot(Slot::Night)).await;
        scarce
            .days
            .day(&member.user_id, today, RefreshMode::Auto)
            .await
            .unwrap();
    }
    stage.world().reset_calls();
    drain(&scarce).await;
    let by_id = stage.paths().await;
    assert!(by_id.is_empty(), "{by_id:?}");

    // When enough calls are available again, the service reads the lists instead of single records.
    drain(&stage.engine).await;
    let lists = DataType::ALL.map(list_of);
    let paths = stage.paths().await;
    let by_id = paths.iter().filter(|path| !lists.contains(&path.as_str()));
    println!("{paths:?}");
    assert!(by_id.count() <= 3, "{paths:?}");
    assert!(paths.len() <= 10, "{paths:?}");
    assert_eq!((stage.pending().await, stage.open_signals().await), (0, 0));
    for member in [one, another, last] {
        stage.sync(member, &slot(Slot::Night)).await;
        stage.assert_sync_log_is_correct(member).await;
    }
}

#[tokio::test]
async fn signals_from_before_a_reconnect_are_cleared() {
    let (stage, member) = with_webhooks().await;
    stage.change(
        &member,
        DataType::Recovery,
        &scored(&stage, &member),
        rescored(5),
    );
    stage.deliver_after_a_minute().await;
    let lost = "UPDATE whoop_users SET status = 'reauth_required' WHERE user_id = $1";
    stage.execute(lost, &member).await;
    let report = drain(&stage.engine).await;
    assert_eq!(
        (report.calls, report.put_off),
        (0, 1),
        "the event waits: {report:?}"
    );

    stage
        .connect(member.user_id.as_str(), member.whoop_user_id)
        .await;

    assert_eq!((stage.pending().await, stage.open_signals().await), (0, 0));
}

/// Creates two members for whom webhooks have arrived and were processed, so that the service
/// trusts WHOOP's webhooks.
async fn two_with_webhooks() -> (Stage, Member, Member) {
    let (stage, ann) = with_webhooks().await;
    let ben = stage.connect_person(1).await;
    stage.advance(TimeDelta::hours(1));
    for one in [&ann, &ben] {
        for data_type in [DataType::Recovery, DataType::Sleep, DataType::Workout] {
            let record = stage.listed(one, data_type)[0].clone();
            stage.change(one, data_type, &record, json!({"unknown": "field"}));
        }
    }
    stage.deliver_after_a_minute().await;
    drain(&stage.engine).await;
    assert_eq!(stage.open_signals().await, 0);
    (stage, ann, ben)
}

/// Lets the member's app request today, and returns the sport of the workout that is stored
/// afterwards.
async fn sport_after_request(stage: &Stage, member: &Member, workout: &Value) -> Value {
    let today = stage.engine.days.today(&member.user_id).await.unwrap();
    let request = stage
        .engine
        .days
        .day(&member.user_id, today, RefreshMode::Auto);
    request.await.unwrap();
    let stored = stage.stored(member, DataType::Workout).await;
    stored[&id_of(DataType::Workout, workout)]["sport_name"].clone()
}

#[tokio::test]
async fn after_an_outage_of_the_receiver_data_types_without_webhooks_are_read_again() {
    let (stage, ann, ben) = two_with_webhooks().await;
    stage.world().send_webhooks_to(NOWHERE);
    stage.advance(TimeDelta::hours(1));
    let workout = stage.listed(&ben, DataType::Workout)[0].clone();
    stage.change(
        &ben,
        DataType::Workout,
        &workout,
        json!({"sport_name": "pilates"}),
    );
    let night = scored(&stage, &ann);
    stage.change(&ann, DataType::Recovery, &night, rescored(66));
    stage.advance(TimeDelta::hours(1));
    // Ben's app requests the day. No webhook has announced a changed workout, so the service treats
    // the stored data as current.
    assert_ne!(sport_after_request(&stage, &ben, &workout).await, "pilates");

    // A scheduled run reads Ann's change, although no webhook announced it.
    stage.sync(&ann, &slot(Slot::Morning)).await;

    assert_eq!(sport_after_request(&stage, &ben, &workout).await, "pilates");
    // The workouts are read again once. After that, the service again takes it as unchanged if no
    // webhook arrives.
    stage.advance(TimeDelta::hours(1));
    stage.world().reset_calls();
    sport_after_request(&stage, &ben, &workout).await;
    assert!(
        !stage
            .paths()
            .await
            .contains(&list_of(DataType::Workout).to_owned())
    );
}

#[tokio::test]
async fn one_lost_webhook_opens_no_signals_of_other_members() {
    let (stage, ann, ben) = two_with_webhooks().await;
    stage.advance(TimeDelta::hours(1));
    stage.change(
        &ann,
        DataType::Recovery,
        &scored(&stage, &ann),
        rescored(66),
    );
    stage.deliver_after_a_minute().await;
    stage.lose_webhooks_of(&ann).await;
    stage.advance(TimeDelta::minutes(5));
    stage.change(
        &ben,
        DataType::Recovery,
        &scored(&stage, &ben),
        rescored(77),
    );
    stage.deliver_after_a_minute().await;
    drain(&stage.engine).await;
    stage.advance(TimeDelta::hours(1));

    stage.sync(&ann, &slot(Slot::Morning)).await;

    assert_eq!(stage.open_signals().await, 0);
}
