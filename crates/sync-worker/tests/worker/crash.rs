use std::time::Duration;

use whoop_sim::{Fault, FaultKind};

use crate::house::{DEADLINE, House, plenty};

#[tokio::test]
async fn after_kill_9_at_any_moment_the_next_run_stores_every_record() {
    let house = House::new(plenty()).await;
    let alice = house.connect("alice", 0).await;
    let bob = house.connect("bob", 1).await;
    house.world().add_fault(Fault {
        millis: Some(30),
        ..Fault::new("*", FaultKind::Latency)
    });

    for rows in [1, 40, 90, 130] {
        let mut running = house.start(&["run", "--slot=night"]);
        house
            .until_at_least("SELECT count(*) FROM whoop_cycle", rows)
            .await;
        running.kill().await.unwrap();
        // A killed process holds its leases for up to a minute; the test ends them now.
        house
            .execute("UPDATE whoop_users SET lease_until = now()")
            .await;
        house
            .execute("UPDATE whoop_refresh SET claimed_until = now()")
            .await;
    }
    house.world().clear_faults();
    let last = house.worker(&["run", "--slot=night", "--json"]).await;

    assert_eq!(last.expect_code(0).json()["failed"], 0);
    house.expect_truth("alice", alice).await;
    house.expect_truth("bob", bob).await;
    let unfinished = "SELECT count(*) FROM whoop_sync_log
        WHERE list_end_seen_at IS NULL OR sync_status <> 'success'";
    assert_eq!(house.count(unfinished).await, 0);

    let again = house.worker(&["run", "--slot=night", "--json"]).await;
    let report = again.expect_code(0).json();
    assert_eq!(
        (&report["inserted"], &report["updated"]),
        (&0.into(), &0.into())
    );
}

#[tokio::test]
async fn after_fifty_workers_are_killed_between_calls_the_next_run_stores_every_record() {
    if whoop_devkit::pooler_mode() == whoop_storage::PoolerMode::Transaction {
        println!("skipped: a pooler keeps the connections that tell whether a worker is dead");
        return;
    }
    let house = House::new(plenty()).await;
    let alice = house.connect("alice", 0).await;
    let bob = house.connect("bob", 1).await;
    house.world().add_fault(Fault {
        millis: Some(5),
        ..Fault::new("*", FaultKind::Latency)
    });

    let (mut killed, mut round) = (0, 0);
    let mut has_all = true;
    while killed < 50 {
        assert!(round < 150, "only {killed} were killed");
        if has_all || round % 5 == 0 {
            for table in ["recovery", "sleep", "workout", "cycle", "sync_log"] {
                house.execute(&format!("DELETE FROM whoop_{table}")).await;
            }
        }
        house.an_hour_passes().await;
        // A run on empty tables makes more calls than the others.
        let most = if has_all { 37 } else { 9 };
        let calls = house.world().call_count() + 1 + (round * 17) % most;
        let mut running = house.start(&["run", "--slot=night", "--parallel=2"]);
        let mut is_done = false;
        let last_call = async {
            while house.world().call_count() < calls {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            () = last_call => {
                running.kill().await.unwrap();
                killed += 1;
            }
            // The run ended before it had made that number of calls.
            ended = running.wait() => {
                assert!(ended.unwrap().success());
                is_done = true;
            }
            () = tokio::time::sleep(DEADLINE) => panic!("round {round} did not end in time"),
        }
        // A statement of the killed process may still be running and could take a lease.
        let killed_sessions = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'whoop'";
        while house.count(killed_sessions).await > 0 {
            tokio::task::yield_now().await;
        }
        house
            .execute("UPDATE whoop_users SET lease_until = now()")
            .await;
        house
            .execute("UPDATE whoop_refresh SET claimed_until = now()")
            .await;
        has_all = is_done;
        round += 1;
    }
    house.world().clear_faults();
    house.an_hour_passes().await;

    house.worker(&["run", "--slot=night"]).await.expect_code(0);

    house.expect_truth("alice", alice).await;
    house.expect_truth("bob", bob).await;
    let unfinished = "SELECT count(*) FROM whoop_sync_log
        WHERE list_end_seen_at IS NULL OR sync_status <> 'success'";
    assert_eq!(house.count(unfinished).await, 0);
}

#[tokio::test]
async fn a_killed_run_is_recorded_as_failed_by_a_later_run() {
    let house = House::new(plenty()).await;
    house
        .execute(
            "INSERT INTO whoop_sync_run (slot, trigger, started_at) VALUES \
             ('night', 'scheduled', now() - interval '25 hours'), \
             ('morning', 'scheduled', now() - interval '2 hours')",
        )
        .await;

    house
        .worker(&["run", "--slot=evening"])
        .await
        .expect_code(0);

    let query =
        "SELECT concat_ws(' ', slot, status, detail) FROM whoop_sync_run ORDER BY started_at";
    assert_eq!(
        house.texts(query).await,
        [
            "night failed the process was killed",
            "morning running",
            "evening success"
        ]
    );
}
