use whoop_sim::{Fault, FaultKind};

use crate::house::{House, plenty};

/// Creates two members with all of their records stored.
async fn with_everything() -> (House, i64) {
    let house = House::new(plenty()).await;
    let alice = house.connect("alice", 0).await;
    house.connect("bob", 1).await;
    house.worker(&["run", "--slot=night"]).await.expect_code(0);
    (house, alice)
}

const ALTER: &str = "UPDATE whoop_cycle SET day_strain = 1.5, kilojoule = 7 WHERE (user_id, id) = \
    (SELECT user_id, id FROM whoop_cycle WHERE user_id = 'alice' ORDER BY start_time DESC OFFSET 5 LIMIT 1)";

const LOSE: &str = "DELETE FROM whoop_sleep WHERE (user_id, id) = \
    (SELECT user_id, id FROM whoop_sleep WHERE user_id = 'alice' AND NOT nap ORDER BY start_time DESC OFFSET 9 LIMIT 1)";

#[tokio::test]
async fn differences_are_reported_as_json_and_in_the_log_and_are_repaired() {
    let (house, alice) = with_everything().await;
    house.execute(ALTER).await;
    house.execute(LOSE).await;

    let dry = house.worker(&["reconcile", "--dry-run"]).await;
    dry.expect_code(0);
    let healing = house.worker(&["reconcile", "--json"]).await;
    let report = healing.expect_code(0).json();

    assert_eq!(
        (&report["dry_run"], &report["members"]),
        (&false.into(), &2.into())
    );
    assert_eq!(
        (&report["differences"], &report["healed"]),
        (&2.into(), &2.into())
    );
    assert!(
        report["compared"].as_u64().is_some_and(|count| count > 100),
        "{report}"
    );
    let all = report.to_string();
    for expected in [
        "\"cause\":\"altered\"",
        "\"cause\":\"missing\"",
        "\"name\":\"day_strain\"",
        "\"before\":1.5",
    ] {
        assert!(all.contains(expected), "no {expected} in {all}");
    }
    // The log has one line per difference, with the same text that a terminal shows.
    dry.expect_in_stderr("cause=\"missing\"")
        .expect_in_stderr("differences=2 healed=0")
        .expect_in_stderr("day_strain 1.5 → ");
    house.expect_truth("alice", alice).await;

    let again = house.worker(&["reconcile", "--user=alice", "--json"]).await;
    assert_eq!(again.expect_code(0).json()["differences"], 0);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_counted_and_does_not_fail_the_run() {
    let (house, _) = with_everything().await;
    for (flag, set_aside) in [("--dry-run", 0), ("--parallel=1", 1)] {
        house.world().add_fault(Fault {
            times: Some(1),
            ..Fault::new("sleep", FaultKind::BrokenRecord)
        });

        let ended = house
            .worker(&["reconcile", "--user=alice", flag, "--json"])
            .await;

        let report = ended.expect_code(0).json();
        assert_eq!(
            (&report["rejected"], &report["differences"]),
            (&1.into(), &0.into())
        );
        ended.expect_in_stderr("rejected=1");
        let rows = house
            .count("SELECT count(*) FROM whoop_rejected_record")
            .await;
        assert_eq!(rows, set_aside);
    }
}

#[tokio::test]
async fn only_the_given_span_is_compared() {
    let (house, _) = with_everything().await;
    house.execute("DELETE FROM whoop_workout").await;
    let dates = house
        .texts("SELECT (max(local_date) - 40)::text FROM whoop_cycle UNION ALL SELECT (max(local_date) - 20)::text FROM whoop_cycle ORDER BY 1")
        .await;
    let (from, to) = (format!("--from={}", dates[0]), format!("--to={}", dates[1]));
    let runs = house.count("SELECT count(*) FROM whoop_sync_run").await;

    let dry = house
        .worker(&["reconcile", "--dry-run", "--json", &from, &to])
        .await;
    let report = dry.expect_code(0).json();

    let found = report["differences"].as_u64().unwrap();
    assert!((3..80).contains(&found), "{report}");
    assert_eq!(house.count("SELECT count(*) FROM whoop_workout").await, 0);
    assert_eq!(
        house.count("SELECT count(*) FROM whoop_sync_run").await,
        runs
    );
}

#[tokio::test]
async fn members_beyond_max_calls_are_deferred() {
    let (house, _) = with_everything().await;

    let ended = house
        .worker(&["reconcile", "--max-calls=3", "--parallel=1", "--json"])
        .await;

    let report = ended.expect_code(4).json();
    assert_eq!(
        (&report["calls"], &report["deferred"]),
        (&3.into(), &2.into())
    );
}
