//! Records older than the retention period are deleted at night and not read again.

use whoop_sim::SimConfig;

use crate::house::{Ended, House, ended, plenty};

const TABLES: [&str; 4] = [
    "whoop_cycle",
    "whoop_recovery",
    "whoop_sleep",
    "whoop_workout",
];

async fn night(house: &House, days: Option<&str>) -> Ended {
    house.an_hour_passes().await;
    house.world().reset_calls();
    let mut command = house.command(&["run", "--slot=night", "--json"]);
    if let Some(days) = days {
        command.env("RETENTION_DAYS", days);
    }
    ended(command.spawn().unwrap()).await
}

async fn older_than(house: &House, days: u32) -> i64 {
    let mut older = 0;
    for table in TABLES {
        // One day of tolerance, because the member's date may differ from the server's.
        let sql = format!(
            "SELECT count(*) FROM {table} WHERE local_date < current_date - {} ",
            days + 1
        );
        older += house.count(&sql).await;
    }
    older
}

async fn all(house: &House) -> Vec<String> {
    let mut rows = Vec::new();
    for table in TABLES {
        let sql = format!("SELECT id || ' ' || local_date FROM {table} ORDER BY 1");
        rows.extend(house.texts(&sql).await);
    }
    rows
}

#[tokio::test]
async fn records_past_the_retention_are_deleted_at_night_and_not_read_again() {
    let house = House::new(SimConfig {
        days: 200,
        ..plenty()
    })
    .await;
    house.connect("mara", 0).await;
    night(&house, None).await.expect_code(0);
    assert!(older_than(&house, 60).await > 100);
    let younger = |rows: Vec<String>| rows.len();
    let before = younger(all(&house).await);

    let first = night(&house, Some("60")).await.expect_code(0).json();

    assert_eq!(older_than(&house, 60).await, 0);
    let removed = first["removed_by_retention"].as_u64().unwrap();
    let kept = all(&house).await;
    assert_eq!(before - kept.len(), usize::try_from(removed).unwrap());
    assert!(kept.len() > 100, "{}", kept.len());
    // The sync log does not claim coverage of the deleted records.
    let claims = "SELECT count(*) FROM whoop_sync_log \
                  WHERE covered_from < current_date - 62 OR whole_history";
    assert_eq!(house.count(claims).await, 0);

    let second = night(&house, Some("60")).await.expect_code(0).json();
    assert_eq!(second["removed_by_retention"], 0);
    assert_eq!(second["inserted"], 0);
    assert_eq!(
        house.world().call_count(),
        4,
        "a window a type, and no history"
    );
    assert_eq!(all(&house).await, kept);
}

#[tokio::test]
async fn history_is_read_back_to_the_retention_limit() {
    let house = House::new(SimConfig {
        days: 300,
        ..plenty()
    })
    .await;
    house.connect("mara", 0).await;

    let first = night(&house, Some("90")).await.expect_code(0).json();
    let kept = all(&house).await;
    let calls = house.world().call_count();

    assert!(first["inserted"].as_u64() > Some(200), "{first}");
    assert!(calls < 40, "{calls} calls");
    assert_eq!(older_than(&house, 90).await, 0);
    let oldest = "SELECT count(*) FROM whoop_sleep WHERE local_date <= current_date - 87";
    assert!(house.count(oldest).await > 0);
    night(&house, Some("90")).await.expect_code(0);
    assert_eq!(house.world().call_count(), 4);
    assert_eq!(all(&house).await, kept);
    // With a longer retention period, the missing records are read.
    night(&house, None).await.expect_code(0);
    assert!(older_than(&house, 290).await > 0);
}

#[tokio::test]
async fn records_of_disconnected_members_are_deleted_too() {
    let house = House::new(SimConfig {
        days: 100,
        ..plenty()
    })
    .await;
    house.connect("mara", 0).await;
    night(&house, None).await.expect_code(0);
    house
        .execute("UPDATE whoop_users SET status = 'disconnected'; DELETE FROM whoop_tokens")
        .await;

    let night = night(&house, Some("31")).await.expect_code(0).json();

    assert_eq!(night["members"], 0);
    assert!(night["removed_by_retention"].as_u64() > Some(100));
    assert_eq!(older_than(&house, 31).await, 0);
}

#[tokio::test]
async fn a_retention_shorter_than_a_sync_reads_is_refused() {
    let house = House::new(plenty()).await;

    for days in ["30", "0", "-1", "ever"] {
        let refused = night(&house, Some(days)).await;
        refused
            .expect_code(1)
            .expect_in_stderr("RETENTION_DAYS is not usable");
    }
}

#[tokio::test]
async fn old_runs_are_deleted_from_the_list() {
    let house = House::new(plenty()).await;
    house
        .execute(
            "INSERT INTO whoop_sync_run (trigger, started_at) VALUES \
             ('scheduled', now() - interval '91 days'), ('scheduled', now() - interval '89 days')",
        )
        .await;

    night(&house, None).await.expect_code(0);

    let old = "SELECT count(*) FROM whoop_sync_run WHERE started_at < now() - interval '1 day'";
    assert_eq!(house.count(old).await, 1);
}

#[tokio::test]
async fn records_past_the_retention_are_no_difference_and_are_not_read_on_request() {
    let house = House::new(SimConfig {
        days: 200,
        ..plenty()
    })
    .await;
    house.connect("mara", 0).await;
    night(&house, None).await.expect_code(0);
    night(&house, Some("60")).await.expect_code(0);
    let before = older_than(&house, 62).await;

    let from = "2020-01-01";
    let mut reconcile = house.command(&["reconcile", "--from", from, "--json"]);
    reconcile.env("RETENTION_DAYS", "60");
    let report = ended(reconcile.spawn().unwrap()).await;
    let mut since = house.command(&["run", "--slot=evening", "--since", from]);
    since.env("RETENTION_DAYS", "60");
    ended(since.spawn().unwrap()).await.expect_code(0);

    // The night before the first retained day may be read with that day.
    let found = report.expect_code(0).json()["differences"]
        .as_u64()
        .unwrap();
    assert!(found <= 12, "{found}");
    assert_eq!(older_than(&house, 62).await, before);
}
