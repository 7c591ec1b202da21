//! Tests of law 10 (always a reason, never a guess): if WHOOP is unavailable, the answer has the
//! stored data and the reason.

use chrono::{Days, NaiveDate, TimeDelta};
use whoop_core::{
    day::{AnswerSource, ConnectionStatus, Day, MissingReason, SyncOutcome},
    plan::RefreshMode,
};
use whoop_sim::{Fault, FaultKind};

use whoop_storage::table::audit::Actor;

use crate::harness::{Member, Stage, all_missing, now};

fn today() -> NaiveDate {
    now().date_naive()
}

async fn request_day(stage: &Stage, member: &Member, date: NaiveDate) -> Day {
    stage.world().reset_calls();
    let day = stage
        .engine
        .days
        .day(&member.user_id, date, RefreshMode::Auto)
        .await;
    day.unwrap()
}

/// Creates a member whose newest day was read an hour ago. Returns this day too.
async fn with_a_day_read_an_hour_ago() -> (Stage, Member, Day) {
    let (stage, member) = Stage::with_member().await;
    let latest = stage.latest_day(&member).await;
    let before = request_day(&stage, &member, latest).await;
    assert!(before.sleep.is_some() && before.cycle.is_some());
    stage.advance(TimeDelta::hours(1) + TimeDelta::minutes(1));
    (stage, member, before)
}

fn assert_still_shows(day: &Day, before: &Day) {
    assert_eq!(day.sleep, before.sleep);
    assert_eq!(day.recovery, before.recovery);
    assert_eq!(day.cycle, before.cycle);
    assert_eq!(day.workouts, before.workouts);
    assert_eq!(day.meta.source, AnswerSource::Database);
    assert_eq!(day.meta.last_synced_at, before.meta.last_synced_at);
}

#[tokio::test]
async fn a_stored_day_is_answered_as_stale_while_whoop_is_down() {
    for fault in [
        Fault::status("*", 503),
        Fault::new("*", FaultKind::Reset),
        Fault::new("*", FaultKind::NotJson),
    ] {
        let (stage, member, before) = with_a_day_read_an_hour_ago().await;
        // Only the data API fails. If the token endpoint failed too, a token pair could be lost in
        // transit, which would end the connection.
        for route in ["cycle", "recovery", "sleep", "workout"] {
            stage.world().add_fault(Fault {
                route: route.to_owned(),
                ..fault.clone()
            });
        }

        let day = request_day(&stage, &member, before.date).await;

        assert_eq!(day.meta.sync, SyncOutcome::Failed, "{fault:?}");
        assert!(day.meta.stale);
        assert!(day.meta.detail.is_some());
        assert_eq!(day.meta.connection, ConnectionStatus::Connected);
        assert_still_shows(&day, &before);
    }
}

#[tokio::test]
async fn a_day_that_was_never_read_is_not_synced_while_whoop_is_down() {
    let (stage, member) = Stage::with_member().await;
    stage.forget(&member).await;
    stage.world().add_fault(Fault::status("*", 503));

    let day = request_day(&stage, &member, today()).await;

    assert_eq!(day.meta.sync, SyncOutcome::Failed);
    assert_eq!(all_missing(&day), Some(MissingReason::NotSynced));
    assert_eq!(day.meta.last_synced_at, None);
}

#[tokio::test]
async fn a_used_up_quota_defers_the_sync_and_answers_with_stored_data() {
    let (stage, member, before) = with_a_day_read_an_hour_ago().await;
    stage.world().add_fault(Fault::status("*", 429));

    let day = request_day(&stage, &member, before.date).await;

    // The first request was the refresh of the token. WHOOP refused it with 429 too.
    assert_eq!(day.meta.sync, SyncOutcome::Deferred, "{:?}", day.meta);
    assert!(day.meta.stale);
    assert_still_shows(&day, &before);
}

#[tokio::test]
async fn a_used_up_quota_is_the_missing_reason_of_an_empty_day() {
    let (stage, member) = Stage::with_member().await;
    stage.forget(&member).await;
    stage.world().add_fault(Fault::status("*", 429));

    let day = request_day(&stage, &member, today()).await;

    assert_eq!(day.meta.sync, SyncOutcome::Deferred);
    assert_eq!(all_missing(&day), Some(MissingReason::Quota));
}

#[tokio::test]
async fn no_call_is_made_after_a_429_until_the_limit_resets() {
    let (stage, member) = Stage::with_member().await;
    stage.forget(&member).await;
    stage.world().add_fault(Fault::status("*", 429));
    request_day(&stage, &member, today()).await;
    stage.world().clear_faults();

    let day = request_day(&stage, &member, today()).await;

    assert_eq!(day.meta.sync, SyncOutcome::Deferred);
    assert_eq!(stage.world().call_count(), 0);
}

#[tokio::test]
async fn a_lost_connection_is_detected_once_and_not_retried() {
    let (stage, member, before) = with_a_day_read_an_hour_ago().await;
    stage.world().oauth().revoke_grants(member.whoop_user_id);

    let first = request_day(&stage, &member, before.date).await;
    assert_eq!(first.meta.sync, SyncOutcome::Failed);
    assert_eq!(first.meta.connection, ConnectionStatus::ReauthRequired);
    assert_still_shows(&first, &before);

    let second = request_day(&stage, &member, before.date).await;
    assert_eq!(stage.world().call_count(), 0);
    assert_eq!(second.meta.sync, SyncOutcome::Off);
    assert_eq!(second.meta.connection, ConnectionStatus::ReauthRequired);
    assert!(second.meta.stale);
    assert_still_shows(&second, &before);
    let unread = request_day(&stage, &member, today() - Days::new(60)).await;
    assert_eq!(all_missing(&unread), Some(MissingReason::ReauthRequired));
}

#[tokio::test]
async fn a_disconnected_member_gets_stored_data_without_a_call() {
    let (stage, member, before) = with_a_day_read_an_hour_ago().await;
    stage
        .engine
        .connections
        .disconnect(&member.user_id, false, &Actor::member())
        .await
        .unwrap();

    let day = request_day(&stage, &member, before.date).await;

    assert_eq!(stage.world().call_count(), 0);
    assert_eq!(day.meta.sync, SyncOutcome::Off);
    assert_eq!(day.meta.connection, ConnectionStatus::Disconnected);
    assert!(day.meta.stale);
    assert_still_shows(&day, &before);
}

#[tokio::test]
async fn a_member_who_never_connected_gets_an_empty_day_and_no_row() {
    let stage = Stage::new().await;
    let stranger = Member {
        user_id: "stranger".parse().unwrap(),
        whoop_user_id: 0,
    };

    let day = request_day(&stage, &stranger, today()).await;

    assert_eq!(stage.world().call_count(), 0);
    assert_eq!(day.meta.sync, SyncOutcome::Off);
    assert_eq!(day.meta.connection, ConnectionStatus::NeverConnected);
    assert_eq!(day.meta.last_synced_at, None);
    assert!(day.meta.stale);
    assert_eq!(all_missing(&day), Some(MissingReason::NotSynced));
    let rows = stage
        .texts(
            "SELECT user_id FROM whoop_users WHERE user_id = $1",
            &stranger,
        )
        .await;
    assert_eq!(rows, Vec::<Option<String>>::new());
}
