use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use whoop_sim::{Fault, FaultKind};

use crate::house::{House, ended, plenty};

const CYCLES: &str = "SELECT count(*) FROM whoop_cycle";

fn signal(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    kill_process(pid.unwrap(), signal).unwrap();
}

fn slow(millis: u64) -> Fault {
    Fault {
        millis: Some(millis),
        ..Fault::new("*", FaultKind::Latency)
    }
}

/// Asserts that the records that the sync log counts are stored, and that nothing is marked as
/// running.
async fn expect_consistent(house: &House) {
    for state in [
        "SELECT count(*) FROM whoop_users WHERE lease_holder IS NOT NULL OR lease_until > now()",
        "SELECT count(*) FROM whoop_sync_run WHERE status = 'running' OR finished_at IS NULL",
        "SELECT count(*) FROM whoop_sync_log WHERE sync_status = 'running'",
    ] {
        assert_eq!(house.count(state).await, 0, "{state}");
    }
    let counted = house
        .count("SELECT sum(records_synced)::bigint FROM whoop_sync_log")
        .await;
    let stored = house
        .count(
            "SELECT (SELECT count(*) FROM whoop_cycle) + (SELECT count(*) FROM whoop_recovery)
                     + (SELECT count(*) FROM whoop_sleep) + (SELECT count(*) FROM whoop_workout)",
        )
        .await;
    assert_eq!(counted, stored);
}

#[tokio::test]
async fn sigterm_ends_a_run_after_the_current_page_and_the_next_run_completes_it() {
    let house = House::new(plenty()).await;
    let alice = house.connect("alice", 0).await;
    let bob = house.connect("bob", 1).await;
    house.world().add_fault(slow(250));
    let running = house.start(&["run", "--slot=night", "--parallel=1", "--json"]);
    house.until_at_least(CYCLES, 30).await;

    signal(&running, Signal::TERM);
    let signaled_at = Instant::now();
    let stopped = ended(running).await;

    assert!(
        signaled_at.elapsed() < Duration::from_secs(3),
        "{:?}",
        signaled_at.elapsed()
    );
    let report = stopped.expect_code(4).json();
    assert_eq!(report["stopped"], true);
    assert_eq!(report["exit_code"], 4);
    assert_eq!(report["failed"], 0);
    let inserted = report["inserted"].as_i64().unwrap();
    expect_consistent(&house).await;
    assert_eq!(
        house
            .count("SELECT sum(records_synced)::bigint FROM whoop_sync_log")
            .await,
        inserted
    );
    assert_eq!(
        house.texts("SELECT status FROM whoop_sync_run").await,
        ["stopped"]
    );

    house.world().clear_faults();
    let next = house.worker(&["run", "--slot=night", "--json"]).await;
    assert_eq!(next.expect_code(0).json()["synced"], 2);
    house.expect_truth("alice", alice).await;
    house.expect_truth("bob", bob).await;
    expect_consistent(&house).await;
}

#[tokio::test]
async fn sigterm_while_whoop_does_not_answer_releases_the_leases_within_ten_seconds() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;
    house.world().add_fault(slow(120_000));
    let running = house.start(&["run", "--slot=night"]);
    house
        .until_at_least(
            "SELECT count(*) FROM whoop_sync_log WHERE sync_status = 'running'",
            4,
        )
        .await;

    signal(&running, Signal::TERM);
    let signaled_at = Instant::now();
    let stopped = ended(running).await;

    assert!(
        signaled_at.elapsed() < Duration::from_secs(10),
        "{:?}",
        signaled_at.elapsed()
    );
    stopped.expect_code(4).expect_in_stderr("stopped=true");
    expect_consistent(&house).await;
}

#[tokio::test]
async fn a_second_signal_ends_the_run_at_once() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;
    house.world().add_fault(slow(120_000));
    let running = house.start(&["run", "--slot=night"]);
    house
        .until_at_least(
            "SELECT count(*) FROM whoop_sync_log WHERE sync_status = 'running'",
            4,
        )
        .await;

    signal(&running, Signal::INT);
    let signaled_at = Instant::now();
    // Signals of the same kind that arrive too quickly are merged into one.
    tokio::time::sleep(Duration::from_millis(20)).await;
    signal(&running, Signal::TERM);

    ended(running).await.expect_code(4);
    assert!(
        signaled_at.elapsed() < Duration::from_secs(4),
        "{:?}",
        signaled_at.elapsed()
    );
}

#[tokio::test]
async fn a_run_that_waits_for_the_lease_of_another_process_can_be_stopped() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;
    house
        .execute("UPDATE whoop_users SET lease_holder = 'other', lease_until = now() + interval '1 hour'")
        .await;
    let running = house.start(&["run", "--slot=night"]);
    house
        .until_at_least("SELECT count(*) FROM whoop_sync_run", 1)
        .await;

    signal(&running, Signal::TERM);
    let signaled_at = Instant::now();
    ended(running).await.expect_code(4);

    assert!(
        signaled_at.elapsed() < Duration::from_secs(3),
        "{:?}",
        signaled_at.elapsed()
    );
    assert_eq!(
        house.texts("SELECT lease_holder FROM whoop_users").await,
        ["other"]
    );
}
