//! `sync-worker backfill`: to the end of the history, to a given date, and continued after a stop.

use whoop_core::{Clock, SystemClock};

use crate::house::{House, plenty};

const WHOLE: &str = "SELECT count(*) FROM whoop_sync_log WHERE whole_history";

#[tokio::test]
async fn a_backfill_reads_everything_once_and_then_has_nothing_to_do() {
    let house = House::new(plenty()).await;
    let alice = house.connect("alice", 0).await;
    let bob = house.connect("bob", 1).await;

    let filled = house.worker(&["backfill", "--json"]).await;
    let report = filled.expect_code(0).json();
    assert_eq!(report["synced"], 2, "{report}");
    house.expect_truth("alice", alice).await;
    house.expect_truth("bob", bob).await;
    // The end of a list is accepted only if WHOOP shows it on a second day.
    assert_eq!(house.count(WHOLE).await, 0);
    house.a_day_passes().await;
    house.worker(&["backfill"]).await.expect_code(0);
    assert_eq!(house.count(WHOLE).await, 8);
    house.world().reset_calls();

    let again = house.worker(&["backfill", "--json"]).await;
    assert_eq!(again.expect_code(0).json()["members"], 0);
    house
        .worker(&["backfill", "--user=bob"])
        .await
        .expect_code(0);
    assert_eq!(house.world().call_count(), 0);
}

#[tokio::test]
async fn a_backfill_stops_at_the_given_date_and_continues_later() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;
    let from = SystemClock.now().date_naive() - chrono::Days::new(60);

    house
        .worker(&["backfill", &format!("--from={from}")])
        .await
        .expect_code(0);
    let reached = format!(
        "SELECT count(*) FROM whoop_sync_log WHERE covered_from <= '{from}' \
         AND covered_from > '{from}'::date - 60 AND NOT whole_history"
    );
    assert_eq!(house.count(&reached).await, 4);

    house.worker(&["backfill"]).await.expect_code(0);
    house.a_day_passes().await;
    house.worker(&["backfill"]).await.expect_code(0);
    assert_eq!(house.count(WHOLE).await, 4);
}

#[tokio::test]
async fn a_backfill_in_pieces_reads_no_page_twice() {
    let whole = House::new(plenty()).await;
    whole.connect("alice", 0).await;
    whole.worker(&["backfill"]).await.expect_code(0);
    let calls_of_one = whole.world().call_count();

    let house = House::new(plenty()).await;
    let alice = house.connect("alice", 0).await;
    house
        .worker(&["run", "--slot=night", "--max-calls=8"])
        .await;
    let mut runs = 0;
    loop {
        let piece = house.worker(&["backfill", "--max-calls=2"]).await;
        runs += 1;
        match piece.code {
            Some(0) => break,
            Some(4) => assert!(runs < 100, "{piece:#?}"),
            _ => panic!("{piece:#?}"),
        }
    }

    assert!(runs > 2, "{runs} runs");
    let calls = house.world().call_count();
    assert!(
        calls <= calls_of_one + 4,
        "{calls} calls for {calls_of_one}"
    );
    house.expect_truth("alice", alice).await;
}

#[tokio::test]
async fn a_backfill_from_a_future_date_is_wrong_usage() {
    let house = House::new(plenty()).await;
    let tomorrow = SystemClock.now().date_naive() + chrono::Days::new(3);

    let future = house
        .worker(&["backfill", &format!("--from={tomorrow}")])
        .await;
    future
        .expect_code(2)
        .expect_in_stderr("--from: this time is in the future");
}
