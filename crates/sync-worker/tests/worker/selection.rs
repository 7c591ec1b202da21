use chrono::{Timelike, Utc};
use whoop_core::{Clock, SystemClock};

use crate::house::{House, plenty};

#[tokio::test]
async fn each_slot_reads_its_data_types_unless_others_are_given() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;

    for (args, types) in [
        (vec!["--slot=morning"], vec!["recovery", "sleep"]),
        (vec!["--slot=afternoon"], vec!["workout", "cycle"]),
        (vec!["--slot=evening"], vec!["workout", "cycle"]),
        (
            vec!["--slot=night"],
            vec!["recovery", "sleep", "workout", "cycle"],
        ),
        (vec!["--slot=night", "--data-type=sleep"], vec!["sleep"]),
        (
            vec![
                "--slot=morning",
                "--data-type=workout",
                "--data-type=sleep",
                "--data-type=sleep",
            ],
            vec!["sleep", "workout"],
        ),
    ] {
        let args = [vec!["run", "--json"], args].concat();
        house.an_hour_passes().await;
        let report = house.worker(&args).await.expect_code(0).json();
        let read: Vec<&str> = report["reports"][0]["types"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["data_type"].as_str().unwrap())
            .collect();
        assert_eq!(read, types, "{args:?}");
    }
}

#[tokio::test]
async fn a_run_that_finds_nothing_due_makes_no_call() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;
    house.worker(&["run", "--slot=night"]).await.expect_code(0);
    house.world().reset_calls();

    for slot in ["morning", "afternoon", "night"] {
        let again = house.worker(&["run", "--json", "--slot", slot]).await;
        let report = again.expect_code(0).json();
        assert_eq!(report["members"], 0, "{report}");
        assert_eq!(report["fresh"], 1, "{report}");
    }

    assert_eq!(house.world().call_count(), 0);
    // A member who is named is read even if nothing is due.
    let named = ["run", "--json", "--slot=morning", "--user=alice"];
    house.worker(&named).await.expect_code(0);
    assert_eq!(house.world().call_count(), 2);
}

#[tokio::test]
async fn auto_chooses_the_slot_by_the_local_hour() {
    let house = House::new(plenty()).await;
    for (local_hour, slot) in [
        (10, "morning"),
        (16, "afternoon"),
        (21, "evening"),
        (3, "night"),
    ] {
        let utc_hour = i64::from(SystemClock.now().with_timezone(&Utc).hour());
        // In TZ, a positive offset lies west of UTC.
        let west = (utc_hour - local_hour + 36).rem_euclid(24) - 12;
        let mut command = house.command(&["run", "--slot=auto", "--json"]);
        command.env("TZ", format!("<here>{west}"));

        let ended = crate::house::ended(command.spawn().unwrap()).await;

        let report = ended.expect_code(0).json();
        assert_eq!(report["slot"], slot, "{west} h west of UTC at {utc_hour} h");
        ended.expect_in_stderr("slot chosen by the local time");
    }
}

#[tokio::test]
async fn a_member_named_twice_is_synced_once() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;
    house.connect("bob", 1).await;

    let ended = house
        .worker(&[
            "run",
            "--slot=morning",
            "--user=alice",
            "--user=alice",
            "--json",
        ])
        .await;

    let report = ended.expect_code(0).json();
    assert_eq!(report["members"], 1);
    assert_eq!(report["reports"][0]["user_id"], "alice");
}

#[tokio::test]
async fn since_reads_farther_back_and_keeps_the_coverage() {
    let house = House::new(plenty()).await;
    let alice = house.connect("alice", 0).await;
    let far = SystemClock.now().date_naive() - chrono::Days::new(60);
    let today = SystemClock.now().date_naive();

    house
        .worker(&["run", "--slot=morning", &format!("--since={far}")])
        .await
        .expect_code(0);

    let covered = format!("SELECT count(*) FROM whoop_sync_log WHERE covered_from < '{far}'");
    assert_eq!(house.count(&covered).await, 2);
    let older = format!("SELECT count(*) FROM whoop_sleep WHERE start_time < '{far}'::date + 5");
    assert!(house.count(&older).await > 0);

    house.worker(&["run", "--slot=night"]).await.expect_code(0);
    // The state after a week without a run.
    house
        .execute(
            "UPDATE whoop_sync_log SET covered_until = covered_until - interval '7 days',
                 last_sync_at = last_sync_at - interval '7 days'",
        )
        .await;
    house
        .worker(&["run", "--slot=morning", &format!("--since={today}")])
        .await
        .expect_code(0);
    let whole = "SELECT count(*) FROM whoop_sync_log WHERE list_end_seen_at IS NOT NULL";
    assert_eq!(house.count(whole).await, 4);
    house.expect_truth("alice", alice).await;
}
