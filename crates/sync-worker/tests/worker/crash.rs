use whoop_sim::{Fault, FaultKind};

use crate::house::{House, plenty};

#[tokio::test]
async fn kill_9_at_any_moment_and_a_run_after_it_leave_the_truth() {
    let house = House::new(plenty()).await;
    let alice = house.connect("alice", 0).await;
    let bob = house.connect("bob", 1).await;
    house.world().fault(Fault {
        millis: Some(30),
        ..Fault::new("*", FaultKind::Latency)
    });

    for rows in [1, 40, 90, 130] {
        let mut running = house.start(&["run", "--slot=night"]);
        house
            .until_at_least("SELECT count(*) FROM whoop_cycle", rows)
            .await;
        running.kill().await.unwrap();
        // Whoever was killed holds its leases for another minute, which nobody
        // has to wait for here.
        house
            .execute("UPDATE whoop_users SET lease_until = now()")
            .await;
    }
    house.world().clear_faults();
    let last = house.worker(&["run", "--slot=night", "--json"]).await;

    assert_eq!(last.expect_code(0).json()["synced"], 2);
    house.expect_truth("alice", alice).await;
    house.expect_truth("bob", bob).await;
    let unfinished = "SELECT count(*) FROM whoop_sync_log
        WHERE NOT whole_history OR sync_status <> 'success'";
    assert_eq!(house.count(unfinished).await, 0);

    let again = house.worker(&["run", "--slot=night", "--json"]).await;
    let report = again.expect_code(0).json();
    assert_eq!(
        (&report["inserted"], &report["updated"]),
        (&0.into(), &0.into())
    );
}
