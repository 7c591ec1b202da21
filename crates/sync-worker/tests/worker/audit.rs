//! `sync-worker audit`, and the rows that commands add to the audit trail.

use serde_json::Value;

use crate::house::{House, plenty};

async fn actions(house: &House, more: &[&str]) -> Vec<String> {
    let mut args = vec!["audit", "--json"];
    args.extend(more);
    let listed = house.worker(&args).await.expect_code(0).json();
    let entries = listed["entries"].as_array().unwrap();
    let action = |one: &Value| one["action"].as_str().unwrap().to_owned();
    entries.iter().map(action).collect()
}

#[tokio::test]
async fn commands_that_change_something_are_found_by_caller_member_and_time() {
    let house = House::new(plenty()).await;
    house.connect("mara", 0).await;
    for (args, code) in [
        (
            vec!["service-keys", "create", "--name=a", "--scope=read"],
            0,
        ),
        (vec!["service-keys", "revoke", "a"], 0),
        (vec!["service-keys", "revoke", "a"], 1),
        (vec!["keys", "rotate", "--dry-run"], 0),
        (vec!["keys", "rotate"], 0),
        (vec!["webhooks", "replay", "--state=dead"], 0),
        (vec!["changes", "restart", "--yes"], 0),
        (vec!["adopt", "--dry-run"], 0),
        (vec!["adopt"], 0),
        (vec!["users", "disconnect", "mara"], 0),
        (vec!["users", "erase", "mara", "--yes"], 0),
    ] {
        house.worker(&args).await.expect_code(code);
    }

    assert_eq!(
        actions(&house, &["--caller=cli"]).await,
        [
            "erase",
            "disconnect",
            "adopt",
            "changes-restart",
            "webhooks-replay",
            "keys-rotate",
            "service-keys-revoke",
            "service-keys-create",
        ]
    );
    assert_eq!(actions(&house, &["--caller=whoop"]).await, ["connect"]);
    // The rows are found by the id, although no row contains it any more.
    assert_eq!(
        actions(&house, &["--user=mara"]).await,
        ["erase", "disconnect", "connect"]
    );
    assert_eq!(
        house
            .count("SELECT count(*) FROM whoop_audit WHERE user_id = 'mara'")
            .await,
        0
    );
    assert_eq!(actions(&house, &["--limit=1"]).await, ["erase"]);
    assert!(actions(&house, &["--caller=key:a"]).await.is_empty());
    house
        .execute("UPDATE whoop_audit SET at = at - interval '3 days' WHERE action <> 'erase'")
        .await;
    let yesterday = (whoop_core::Clock::now(&whoop_core::SystemClock) - chrono::TimeDelta::days(1))
        .to_rfc3339();
    assert_eq!(actions(&house, &["--since", &yesterday]).await, ["erase"]);
    let table = house.worker(&["audit"]).await;
    table.expect_code(0);
    assert!(table.stdout.contains("erased:"), "{table:#?}");
}

#[tokio::test]
async fn the_night_run_deletes_old_rows_and_pseudonymizes_ids_of_unknown_members() {
    let house = House::new(plenty()).await;
    house.connect("mara", 0).await;
    house
        .execute(
            "INSERT INTO whoop_audit (at, caller, action, user_id) VALUES \
             (now() - interval '50 days', 'member', 'export', 'mara'), \
             (now() - interval '40 days', 'member', 'export', 'mara'), \
             (now() - interval '2 days', 'key:backend', 'read', 'nobody')",
        )
        .await;
    let mut command = house.command(&["run", "--slot=night"]);
    command.env("AUDIT_RETENTION_DAYS", "45");

    crate::house::ended(command.spawn().unwrap())
        .await
        .expect_code(0);

    let sql = "SELECT user_id FROM whoop_audit WHERE action <> 'connect' ORDER BY at";
    let remaining = house.texts(sql).await;
    assert_eq!(remaining.len(), 2, "{remaining:?}");
    assert_eq!(remaining[0], "mara");
    assert!(remaining[1].starts_with("erased:"), "{remaining:?}");
}

#[tokio::test]
async fn an_invalid_filter_is_wrong_usage() {
    let house = House::new(plenty()).await;

    for (arg, expected) in [
        ("--user=", "must not be empty"),
        ("--since=2999-01-01", "in the future"),
        ("--since=soon", "2026-01-31"),
        ("--caller=", "key:backend"),
        ("--caller=key:", "key:backend"),
        ("--caller=alice", "key:backend"),
        ("--limit=0", "1..=100000"),
    ] {
        let ended = house.worker(&["audit", arg]).await;
        ended.expect_code(2).expect_in_stderr(expected);
    }
    for days in ["29", "3651", "long"] {
        let mut command = house.command(&["run", "--slot=night"]);
        command.env("AUDIT_RETENTION_DAYS", days);
        let ended = crate::house::ended(command.spawn().unwrap()).await;
        ended
            .expect_code(1)
            .expect_in_stderr("AUDIT_RETENTION_DAYS is not usable");
    }
}
