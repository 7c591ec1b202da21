//! Law 10: if WHOOP is unavailable, the answer has the stored data and the reason.

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

async fn ask(stage: &Stage, member: &Member, date: NaiveDate) -> Day {
    stage.world().reset_calls();
    let day = stage
        .engine
        .day(&member.user_id, date, RefreshMode::Auto)
        .await;
    day.unwrap()
}

/// Creates a member with a latest day that was stored an hour ago.
async fn an_hour_later() -> (Stage, Member, Day) {
    let (stage, member) = Stage::with_member().await;
    let latest = stage.latest_day(&member).await;
    let before = ask(&stage, &member, latest).await;
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
async fn while_whoop_is_down_the_stored_day_is_answered_as_stale() {
    for fault in [
        Fault::status("*", 503),
        Fault::new("*", FaultKind::Reset),
        Fault::new("*", FaultKind::NotJson),
    ] {
        let (stage, member, before) = an_hour_later().await;
        // Only the data API fails, because a token pair that is lost in transit would end the
        // connection.
        for route in ["cycle", "recovery", "sleep", "workout"] {
            stage.world().add_fault(Fault {
                route: route.to_owned(),
                ..fault.clone()
            });
        }

        let day = ask(&stage, &member, before.date).await;

        assert_eq!(day.meta.sync, SyncOutcome::Failed, "{fault:?}");
        assert!(day.meta.stale);
        assert!(day.meta.detail.is_some());
        assert_eq!(day.meta.connection, ConnectionStatus::Connected);
        assert_still_shows(&day, &before);
    }
}

#[tokio::test]
async fn while_whoop_is_down_a_day_never_read_is_not_synced() {
    let (stage, member) = Stage::with_member().await;
    stage.forget(&member).await;
    stage.world().add_fault(Fault::status("*", 503));

    let day = ask(&stage, &member, today()).await;

    assert_eq!(day.meta.sync, SyncOutcome::Failed);
    assert_eq!(all_missing(&day), Some(MissingReason::NotSynced));
    assert_eq!(day.meta.last_synced_at, None);
}

#[tokio::test]
async fn a_spent_quota_defers_the_sync_and_answers_what_is_stored() {
    let (stage, member, before) = an_hour_later().await;
    stage.world().add_fault(Fault::status("*", 429));

    let day = ask(&stage, &member, before.date).await;

    // The refresh of the token was the first request and was refused, too.
    assert_eq!(day.meta.sync, SyncOutcome::Deferred, "{:?}", day.meta);
    assert!(day.meta.stale);
    assert_still_shows(&day, &before);
}

#[tokio::test]
async fn a_spent_quota_is_the_reason_why_a_day_is_empty() {
    let (stage, member) = Stage::with_member().await;
    stage.forget(&member).await;
    stage.world().add_fault(Fault::status("*", 429));

    let day = ask(&stage, &member, today()).await;

    assert_eq!(day.meta.sync, SyncOutcome::Deferred);
    assert_eq!(all_missing(&day), Some(MissingReason::Quota));
}

#[tokio::test]
async fn after_a_429_nobody_calls_until_the_limit_has_turned() {
    let (stage, member) = Stage::with_member().await;
    stage.forget(&member).await;
    stage.world().add_fault(Fault::status("*", 429));
    ask(&stage, &member, today()).await;
    stage.world().clear_faults();

    let day = ask(&stage, &member, today()).await;

    assert_eq!(day.meta.sync, SyncOutcome::Deferred);
    assert_eq!(stage.world().call_count(), 0);
}

#[tokio::test]
async fn a_lost_connection_is_found_out_once_and_then_left_alone() {
    let (stage, member, before) = an_hour_later().await;
    stage.world().revoke_grants(member.whoop_user_id);

    let found_out = ask(&stage, &member, before.date).await;
    assert_eq!(found_out.meta.sync, SyncOutcome::Failed);
    assert_eq!(found_out.meta.connection, ConnectionStatus::ReauthRequired);
    assert_still_shows(&found_out, &before);

    let then = ask(&stage, &member, before.date).await;
    assert_eq!(stage.world().call_count(), 0);
    assert_eq!(then.meta.sync, SyncOutcome::Off);
    assert_eq!(then.meta.connection, ConnectionStatus::ReauthRequired);
    assert!(then.meta.stale);
    assert_still_shows(&then, &before);
    let unread = ask(&stage, &member, today() - Days::new(60)).await;
    assert_eq!(all_missing(&unread), Some(MissingReason::ReauthRequired));
}

#[tokio::test]
async fn a_member_who_left_is_shown_what_is_stored_and_whoop_is_not_asked() {
    let (stage, member, before) = an_hour_later().await;
    stage
        .engine
        .disconnect(&member.user_id, false, &Actor::member())
        .await
        .unwrap();

    let day = ask(&stage, &member, before.date).await;

    assert_eq!(stage.world().call_count(), 0);
    assert_eq!(day.meta.sync, SyncOutcome::Off);
    assert_eq!(day.meta.connection, ConnectionStatus::Disconnected);
    assert!(day.meta.stale);
    assert_still_shows(&day, &before);
}

#[tokio::test]
async fn somebody_who_never_connected_gets_an_empty_day_and_no_row() {
    let stage = Stage::new().await;
    let stranger = Member {
        user_id: "stranger".parse().unwrap(),
        whoop_user_id: 0,
    };

    let day = ask(&stage, &stranger, today()).await;

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
