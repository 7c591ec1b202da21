//! Tests of law 8 for refused tokens: one member's refused tokens require a new connection, but
//! refused tokens of all members are an outage of WHOOP.
//!
//! Neither case delays other members.

use std::sync::Mutex;

use chrono::TimeDelta;
use whoop_core::plan::Slot;
use whoop_sim::{Fault, FaultKind, SimConfig};
use whoop_sync::{
    MemberOutcome, MemberReport, SyncError,
    run::{RunObserver, RunReport, RunTask},
    tokens::retry::RetryOutcome,
};

use crate::harness::{
    Member, SilentObserver, Stage, context_without_retries, half_a_year, plan, slot,
};

async fn with_people(people: usize) -> (Stage, Vec<Member>) {
    let stage = Stage::with(SimConfig {
        people,
        days: 30,
        ..half_a_year()
    })
    .await;
    let mut members = Vec::with_capacity(people);
    for person in 0..people {
        members.push(stage.connect_person(person).await);
    }
    (stage, members)
}

fn for_member(member: &Member, fault: Fault) -> Fault {
    Fault {
        whoop_user_id: Some(member.whoop_user_id),
        ..fault
    }
}

fn invalid_request() -> Fault {
    Fault::new("token", FaultKind::InvalidRequest)
}

fn unauthorized() -> Fault {
    Fault::new("api", FaultKind::ExpiredToken)
}

async fn run(stage: &Stage) -> RunReport {
    let plan = plan(RunTask::Sync(slot(Slot::Night)));
    stage
        .engine
        .runs
        .run(&plan, &context_without_retries(), &SilentObserver)
        .await
        .unwrap()
}

async fn try_token(stage: &Stage, member: &Member) -> Result<(), SyncError> {
    let token = stage
        .engine
        .calls
        .access_token(&member.user_id, &context_without_retries(), None)
        .await;
    token.map(drop)
}

async fn statuses(stage: &Stage, members: &[Member]) -> Vec<String> {
    let mut statuses = Vec::with_capacity(members.len());
    for member in members {
        statuses.push(stage.connection_status(member).await);
    }
    statuses
}

/// Observer that records the order in which a run finishes its members.
#[derive(Default)]
struct Order(Mutex<Vec<(String, MemberOutcome)>>);

impl RunObserver for Order {
    fn on_start(&self, _: usize, _: usize) {}

    fn on_member_done(&self, report: &MemberReport) {
        let done = (report.user_id.clone(), report.outcome);
        self.0.lock().unwrap().push(done);
    }
}

#[tokio::test]
async fn refused_tokens_of_four_members_do_not_delay_a_run() {
    let (stage, members) = with_people(7).await;
    let (stale, good) = members.split_at(4);
    stage.advance(TimeDelta::hours(2));
    stage.world().reset_calls();
    for member in stale {
        stage
            .world()
            .add_fault(for_member(member, invalid_request()));
    }

    let order = Order::default();
    let plan = plan(RunTask::Sync(slot(Slot::Night)));
    let report = stage
        .engine
        .runs
        .run(&plan, &context_without_retries(), &order)
        .await
        .unwrap();

    assert_eq!((report.synced, report.failed), (3, 4), "{report:?}");
    let order = order.0.into_inner().unwrap();
    let first: Vec<MemberOutcome> = order.iter().map(|(_, outcome)| *outcome).take(3).collect();
    assert_eq!(first, [MemberOutcome::Done; 3], "{order:?}");
    // Each refused refresh was tried once in the order of the selection, and once more at the end
    // of the run.
    assert_eq!(stage.token_calls().len(), 4 * 2 + good.len());
    let error = stage.error_of(&stale[0], whoop_core::DataType::Sleep).await;
    assert!(error.unwrap().contains("invalid_request"));
    assert_eq!(statuses(&stage, stale).await, ["connected"; 4]);
}

#[tokio::test]
async fn a_refresh_that_fails_once_is_repeated_at_the_end_of_the_run() {
    let (stage, members) = with_people(2).await;
    stage.advance(TimeDelta::hours(2));
    stage.world().add_fault(Fault {
        times: Some(1),
        ..for_member(&members[0], Fault::status("token", 502))
    });

    let report = run(&stage).await;

    assert_eq!((report.synced, report.failed), (2, 0), "{report:?}");
}

#[tokio::test]
async fn half_an_hour_of_invalid_request_requires_reauthorization_if_other_tokens_are_renewed() {
    let (stage, members) = with_people(2).await;
    let (stale, other) = (&members[0], &members[1]);
    stage.advance(TimeDelta::hours(2));
    stage
        .world()
        .add_fault(for_member(stale, invalid_request()));
    assert!(
        try_token(&stage, stale)
            .await
            .unwrap_err()
            .is_refresh_failure()
    );

    stage.advance(TimeDelta::minutes(29));
    try_token(&stage, other).await.unwrap();
    assert!(
        try_token(&stage, stale)
            .await
            .unwrap_err()
            .is_refresh_failure()
    );
    assert_eq!(stage.connection_status(stale).await, "connected");

    stage.advance(TimeDelta::minutes(2));
    let error = try_token(&stage, stale).await.unwrap_err();
    assert!(matches!(error, SyncError::ReauthRequired), "{error:?}");
    assert_eq!(stage.connection_status(stale).await, "reauth_required");
    let detail = stage.detail_of(stale).await;
    assert!(
        detail.contains("invalid_request since 2026-10-20T17:07"),
        "{detail}"
    );
}

#[tokio::test]
async fn invalid_request_for_all_members_disconnects_no_member() {
    let (stage, members) = with_people(2).await;
    stage.world().add_fault(invalid_request());

    for hours in [2, 10, 100] {
        stage.advance(TimeDelta::hours(hours));
        for member in &members {
            assert!(
                try_token(&stage, member)
                    .await
                    .unwrap_err()
                    .is_refresh_failure()
            );
        }
    }

    assert_eq!(statuses(&stage, &members).await, ["connected"; 2]);
    stage.world().clear_faults();
    for member in &members {
        try_token(&stage, member).await.unwrap();
    }
    // After a successful refresh, the earlier refusals no longer count.
    let since = "SELECT invalid_request_since::TEXT FROM whoop_refresh WHERE user_id = $1";
    assert_eq!(stage.text(since, &members[0]).await, None);
}

#[tokio::test]
async fn a_429_of_the_token_endpoint_defers_only_members_who_need_a_token() {
    let (stage, members) = with_people(3).await;
    // Only the first member's access token is about to expire.
    let ends = "UPDATE whoop_tokens SET expires_at = refreshed_at WHERE user_id = $1";
    stage.execute(ends, &members[0]).await;
    stage.advance(TimeDelta::minutes(20));
    stage.world().reset_calls();
    stage.world().add_fault(Fault::status("token", 429));

    let report = run(&stage).await;

    assert_eq!((report.synced, report.deferred), (2, 1), "{report:?}");
    let deferred = |one: &&MemberReport| one.outcome == MemberOutcome::Deferred;
    let deferred = report.reports.iter().find(deferred).unwrap();
    assert!(deferred.retry_after_seconds > Some(30), "{deferred:?}");
    assert_eq!(
        stage.token_calls().len(),
        1,
        "the rate-limit gate is closed afterwards"
    );
    assert_eq!(statuses(&stage, &members).await, ["connected"; 3]);
}

#[tokio::test]
async fn an_outage_in_which_whoop_refuses_every_token_disconnects_no_member() {
    let (stage, members) = with_people(3).await;
    stage.world().add_fault(unauthorized());

    for wait in [
        TimeDelta::minutes(20),
        TimeDelta::minutes(10),
        TimeDelta::days(2),
    ] {
        stage.advance(wait);
        let report = run(&stage).await;
        assert_eq!((report.synced, report.failed), (0, 3), "{report:?}");
        assert!(report.reports.iter().all(|one| !one.reauth_required));
        let error = report.reports[0].error.as_deref().unwrap_or_default();
        assert!(error.contains("outage of WHOOP"), "{error}");
    }
    assert_eq!(statuses(&stage, &members).await, ["connected"; 3]);
    for member in &members {
        let refreshes = stage.world().oauth().refresh_count(member.whoop_user_id);
        assert!(refreshes <= 2, "{refreshes} refreshes");
    }

    stage.world().clear_faults();
    assert_eq!(run(&stage).await.synced, 3);
}

#[tokio::test]
async fn a_member_whose_tokens_alone_are_refused_has_to_connect_again() {
    let (stage, members) = with_people(2).await;
    let (refused, other) = (&members[0], &members[1]);
    stage.world().add_fault(for_member(refused, unauthorized()));
    stage.advance(TimeDelta::minutes(20));
    let night = slot(Slot::Night);
    assert_eq!(
        stage.sync(refused, &night).await.outcome,
        MemberOutcome::Failed
    );

    stage.advance(TimeDelta::minutes(10));
    let alone = stage.sync(refused, &night).await;
    assert!(
        !alone.reauth_required,
        "no other member was accepted since: {alone:?}"
    );
    assert_eq!(stage.sync(other, &night).await.outcome, MemberOutcome::Done);
    let report = stage.sync(refused, &night).await;

    assert!(report.reauth_required, "{report:?}");
    assert_eq!(stage.connection_status(refused).await, "reauth_required");
    assert_eq!(stage.connection_status(other).await, "connected");
    let detail = stage.detail_of(refused).await;
    assert!(
        detail.contains("refused newly issued tokens of this member"),
        "{detail}"
    );
}

#[tokio::test]
async fn the_only_member_has_to_connect_again_after_an_hour_of_refusals() {
    let (stage, member) = Stage::with_member().await;
    stage.world().add_fault(unauthorized());
    let night = slot(Slot::Night);

    for minutes in [20, 30] {
        stage.advance(TimeDelta::minutes(minutes));
        let report = stage.sync(&member, &night).await;
        assert!(!report.reauth_required, "{report:?}");
    }
    stage.advance(TimeDelta::minutes(31));
    let report = stage.sync(&member, &night).await;

    assert!(report.reauth_required, "{report:?}");
    assert_eq!(stage.connection_status(&member).await, "reauth_required");
}

#[tokio::test]
async fn a_valid_pair_of_a_refused_member_is_renewed_by_a_retry() {
    let (stage, members) = with_people(2).await;
    let (good, dead) = (&members[0], &members[1]);
    stage.world().oauth().revoke_grants(dead.whoop_user_id);
    for member in &members {
        let lost = "UPDATE whoop_users SET status = 'reauth_required', status_detail = 'lost' WHERE user_id = $1";
        stage.execute(lost, member).await;
    }

    let retry = async |member: &Member| {
        let context = context_without_retries();
        let retried = stage
            .engine
            .refresher
            .retry_connection(&member.user_id, &context);
        retried.await.unwrap()
    };

    assert_eq!(retry(good).await, RetryOutcome::Connected);
    assert_eq!(retry(dead).await, RetryOutcome::Refused);
    assert_eq!(retry(good).await, RetryOutcome::NotNeeded);
    assert_eq!(
        statuses(&stage, &members).await,
        ["connected", "reauth_required"]
    );
    let report = stage.sync(good, &slot(Slot::Night)).await;
    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
}
