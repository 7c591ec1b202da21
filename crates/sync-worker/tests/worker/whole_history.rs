use whoop_sim::SimConfig;

use crate::house::{House, plenty};

#[tokio::test]
async fn after_a_night_run_every_record_of_every_member_is_stored_exactly() {
    let house = House::new(SimConfig {
        people: 9,
        days: 80,
        ..plenty()
    })
    .await;
    let mut members = Vec::new();
    for person in 0..9 {
        let user = format!("member-{person}");
        let whoop_user_id = house.connect(&user, person).await;
        members.push((user, whoop_user_id));
    }

    let night = house.worker(&["run", "--slot", "night", "--json"]).await;

    let report = night.expect_code(0).json();
    assert_eq!(report["synced"], 9);
    assert_eq!(report["rejected"], 0);
    for (user, whoop_user_id) in &members {
        house.expect_truth(user, *whoop_user_id).await;
    }
    house.a_day_passes().await;
    house
        .worker(&["run", "--slot", "night"])
        .await
        .expect_code(0);
    let unfinished = "SELECT count(*) FROM whoop_sync_log
        WHERE NOT whole_history OR sync_status <> 'success' OR last_error IS NOT NULL";
    assert_eq!(house.count(unfinished).await, 0);
    assert_eq!(house.count("SELECT count(*) FROM whoop_sync_log").await, 36);
}

#[tokio::test]
async fn a_second_night_run_writes_nothing() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;
    house.connect("bob", 1).await;
    let first = house.worker(&["run", "--slot", "night", "--json"]).await;
    assert!(first.expect_code(0).json()["inserted"].as_u64() > Some(300));
    house.an_hour_passes().await;
    let before = house.row_versions().await;

    let second = house.worker(&["run", "--slot", "night", "--json"]).await;

    let report = second.expect_code(0).json();
    assert_eq!(report["inserted"], 0);
    assert_eq!(report["updated"], 0);
    assert!(report["unchanged"].as_u64() > Some(0));
    assert_eq!(house.row_versions().await, before);
}

#[tokio::test]
async fn only_the_night_run_reads_history() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;

    for slot in ["morning", "afternoon", "evening"] {
        house.worker(&["run", "--slot", slot]).await.expect_code(0);
    }

    let whole = "SELECT count(*) FROM whoop_sync_log WHERE whole_history";
    assert_eq!(house.count(whole).await, 0);
    assert_eq!(house.count("SELECT count(*) FROM whoop_sync_log").await, 4);
}
