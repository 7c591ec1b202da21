use crate::house::{House, plenty};

/// Selects everything that a run could write.
const STATE: &str = "
    SELECT concat_ws(' ', 'user', user_id, status, lease_holder, lease_until, xmin) FROM whoop_users
    UNION ALL SELECT concat_ws(' ', 'token', user_id, xmin) FROM whoop_tokens
    UNION ALL SELECT concat_ws(' ', 'log', user_id, data_type, xmin) FROM whoop_sync_log
    UNION ALL SELECT concat_ws(' ', 'run', id, xmin) FROM whoop_sync_run
    UNION ALL SELECT concat_ws(' ', 'budget', id, xmin) FROM whoop_call_budget
    UNION ALL SELECT concat_ws(' ', 'sleep', id, xmin) FROM whoop_sleep
    ORDER BY 1";

#[tokio::test]
async fn a_dry_run_prints_the_number_of_calls_and_calls_and_changes_nothing() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;
    house.connect("bob", 1).await;
    house
        .worker(&["run", "--slot=morning", "--user=bob"])
        .await
        .expect_code(0);
    house.an_hour_passes().await;
    let before = house.texts(STATE).await;
    house.world().reset_calls();

    let table = house.worker(&["run", "--slot=night", "--dry-run"]).await;
    let json = house
        .worker(&["run", "--slot=night", "--dry-run", "--json"])
        .await;

    table.expect_code(0);
    for expected in ["alice", "bob", "recovery", "backfill", "about 8 call(s)"] {
        assert!(
            table.stdout.contains(expected),
            "no {expected} in {table:#?}"
        );
    }
    let plan = json.expect_code(0).json();
    assert_eq!(plan["dry_run"], true);
    assert_eq!(plan["slot"], "night");
    assert_eq!(plan["members"], 2);
    // Every window takes one page of a data type, even the first window.
    assert_eq!(plan["calls"], 4 + 4);
    assert_eq!(house.world().call_count(), 0);
    assert_eq!(house.texts(STATE).await, before);
}

#[tokio::test]
async fn a_dry_run_counts_backfills_even_if_no_member_is_due() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;
    house
        .worker(&["run", "--slot=night", "--max-calls=9"])
        .await
        .expect_code(4);

    let table = house.worker(&["run", "--slot=night", "--dry-run"]).await;
    let json = house
        .worker(&["run", "--slot=night", "--dry-run", "--json"])
        .await;

    let expected =
        "0 member(s), about 0 call(s) to WHOOP, and the calls for the backfill of 1 member(s)";
    assert!(table.expect_code(0).stdout.contains(expected), "{table:#?}");
    assert_eq!(json.expect_code(0).json()["histories"], 1);
}

#[tokio::test]
async fn a_run_makes_as_many_calls_as_its_dry_run_planned() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;
    house.worker(&["run", "--slot=night"]).await.expect_code(0);
    house.an_hour_passes().await;

    let plan = house
        .worker(&["run", "--slot=night", "--dry-run", "--json"])
        .await
        .json();
    let run = house
        .worker(&["run", "--slot=night", "--json"])
        .await
        .json();

    assert_eq!(plan["calls"], 4);
    assert_eq!(run["calls"], plan["calls"]);
}

#[tokio::test]
async fn a_dry_run_names_members_that_cannot_be_read() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;

    house
        .worker(&["users", "disconnect", "alice"])
        .await
        .expect_code(0);

    let ended = house
        .worker(&["run", "--slot=night", "--dry-run", "--user=alice"])
        .await;

    ended.expect_code(3);
    assert!(
        ended
            .stdout
            .contains("alice: no member with this id is connected to WHOOP"),
        "{ended:#?}"
    );
}
