//! `sync-worker changes restart`, which a restored database needs.

use serde_json::json;

use crate::house::{House, plenty};

#[tokio::test]
async fn after_a_restart_no_sequence_number_is_used_twice() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;
    house.connect("bob", 1).await;
    house
        .worker(&["run", "--slot=morning"])
        .await
        .expect_code(0);
    let highest = house.count("SELECT max(seq) FROM whoop_change").await;
    let records = house.count("SELECT count(*) FROM whoop_cycle").await;

    house
        .worker(&["changes", "restart"])
        .await
        .expect_code(2)
        .expect_in_stderr("--yes");
    let restarted = house
        .worker(&["changes", "restart", "--yes", "--json"])
        .await;

    let restarted = restarted.expect_code(0).json();
    assert_eq!(restarted, json!({"members": 2, "exit_code": 0}));
    assert_eq!(house.count("SELECT count(*) FROM whoop_change").await, 0);
    assert_eq!(
        house.count("SELECT count(*) FROM whoop_cycle").await,
        records
    );
    house.worker(&["run", "--slot=night"]).await.expect_code(0);
    let next = house.count("SELECT min(seq) FROM whoop_change").await;
    assert!(next > highest + 1000, "{next} after {highest}");
}
