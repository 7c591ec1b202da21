//! Response times of the API, in comparison with the simulated latency of WHOOP's responses.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use whoop_sim::{Fault, FaultKind};

use crate::harness::{Member, Stage};

const LATENCY: Duration = Duration::from_millis(300);

fn slow_down(stage: &Stage) {
    let millis = LATENCY.as_millis().try_into().ok();
    stage.world().clear_faults();
    stage.world().add_fault(Fault {
        millis,
        ..Fault::new("*", FaultKind::Latency)
    });
}

/// Returns the shortest duration of three attempts, so that a busy machine does not make the API
/// look slow.
async fn quickest(mut attempt: impl AsyncFnMut() -> Duration) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        best = best.min(attempt().await);
    }
    best
}

async fn forget(stage: &Stage) {
    for table in ["recovery", "sleep", "cycle", "workout", "sync_log"] {
        stage.execute(&format!("DELETE FROM whoop_{table}")).await;
    }
}

async fn time_of(alice: &Member, rest: &str, sync: &str) -> Duration {
    let started = Instant::now();
    let day = alice.day(rest).await;
    let took = started.elapsed();
    assert_eq!(day["meta"]["sync"], sync, "{day:#}");
    assert!(day["sleep"].is_object(), "{day:#}");
    took
}

#[tokio::test]
async fn a_missing_day_takes_about_as_long_as_one_call() {
    let (stage, alice) = Stage::with_member().await;
    slow_down(&stage);

    let took = quickest(async || {
        forget(&stage).await;
        stage.world().reset_calls();
        let took = time_of(&alice, "", "done").await;
        assert_eq!(stage.world().call_count(), 4);
        took
    })
    .await;

    assert!(took >= LATENCY, "{took:?}");
    assert!(took < LATENCY * 5 / 2, "{took:?}");
}

#[tokio::test]
async fn a_day_that_is_out_of_date_takes_about_as_long_as_one_call() {
    let (stage, alice) = Stage::with_member().await;
    slow_down(&stage);

    let took = quickest(async || {
        stage.advance(TimeDelta::minutes(16));
        time_of(&alice, "", "done").await
    })
    .await;

    assert!(took < LATENCY * 5 / 2, "{took:?}");
}

#[tokio::test]
async fn a_stored_day_is_answered_without_waiting_for_whoop() {
    let (stage, alice) = Stage::with_member().await;
    slow_down(&stage);
    stage.world().reset_calls();

    for rest in ["", "?date=2026-10-19", "?date=2026-10-01"] {
        let took = quickest(async || time_of(&alice, rest, "not_needed").await).await;
        assert!(took < LATENCY, "{rest}: {took:?}");
    }
    assert_eq!(stage.world().call_count(), 0);
}

#[tokio::test]
async fn concurrent_requests_share_one_read() {
    let (stage, alice) = Stage::with_member().await;
    slow_down(&stage);
    stage.advance(TimeDelta::minutes(16));
    stage.world().reset_calls();

    let asking = (0..10).map(|_| {
        let alice = alice.clone();
        tokio::spawn(async move { alice.day("").await })
    });
    let mut done = 0;
    for day in asking.collect::<Vec<_>>() {
        let day = day.await.unwrap();
        match day["meta"]["sync"].as_str().unwrap() {
            "done" => done += 1,
            "shared" | "not_needed" => {}
            other => panic!("{other}"),
        }
    }

    assert_eq!(done, 1);
    assert_eq!(stage.world().call_count(), 4);
}

#[tokio::test]
async fn a_caller_who_disconnects_does_not_stop_the_read() {
    let (stage, alice) = Stage::with_member().await;
    slow_down(&stage);
    stage.advance(TimeDelta::minutes(16));
    stage.world().reset_calls();

    let request = format!(
        "GET {} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {}\r\n\r\n",
        alice.path("daily-data"),
        alice.token
    );
    stage
        .client
        .send_and_leave(request.as_bytes(), || stage.is_claimed("alice"))
        .await;

    alice.is_read().await;
    let day = alice.day("").await;
    assert_eq!(day["meta"]["sync"], "not_needed");
    assert_eq!(stage.world().call_count(), 4);
}
