//! Law 6 for the table `whoop_sync_log`: its coverage matches the stored records.

use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection, RunQueryDsl};
use whoop_core::{
    DataType, UserId,
    coverage::{Coverage, CoveredSpan, WindowRead},
    retention::RetentionStart,
};
use whoop_storage::{
    PooledConnection, StorageError, member_states, overview, retention,
    table::{
        sync_log::{self, CompletedWindow, SyncLogRow},
        sync_run, users, webhook_signal,
    },
};

use crate::test_env::{TestEnv, at, connect, now, user};

fn day(day: u32) -> DateTime<Utc> {
    at(&format!("2026-05-{day:02}T00:00:00Z"))
}

/// A completed window with pages that reached back to `from`.
fn span(from: u32, until: u32) -> CompletedWindow {
    CompletedWindow {
        read: WindowRead {
            until: day(until),
            oldest: Some(day(from)),
            list_ended: false,
            read_at: day(until),
        },
        up_to_now: true,
        signal_at: None,
        rejected: 0,
        written: 0,
    }
}

async fn log_of(conn: &mut PooledConnection, member: &UserId) -> SyncLogRow {
    let mut rows = sync_log::list(conn, member).await.unwrap();
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

async fn complete(conn: &mut PooledConnection, member: &UserId, span: CompletedWindow) {
    sync_log::begin(conn, member, DataType::Sleep, now())
        .await
        .unwrap();
    sync_log::complete(conn, member, DataType::Sleep, span)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_window_that_is_rolled_back_was_never_read() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    complete(&mut conn, &member, span(1, 5)).await;
    let before = log_of(&mut conn, &member).await;

    let outcome: Result<(), StorageError> = conn
        .transaction(async |conn| {
            sync_log::begin(conn, &member, DataType::Sleep, now()).await?;
            sync_log::add_written(conn, &member, DataType::Sleep, 25).await?;
            sync_log::complete(conn, &member, DataType::Sleep, span(1, 9)).await?;
            // This failing statement simulates a crash.
            diesel::sql_query("SELECT 1 / 0").execute(conn).await?;
            Ok(())
        })
        .await;

    assert!(outcome.is_err());
    assert_eq!(log_of(&mut conn, &member).await, before);
}

#[tokio::test]
async fn a_failure_is_stored_and_the_coverage_is_kept() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    complete(&mut conn, &member, span(1, 5)).await;
    sync_log::add_written(&mut conn, &member, DataType::Sleep, 4)
        .await
        .unwrap();
    let before = log_of(&mut conn, &member).await;

    sync_log::begin(&mut conn, &member, DataType::Sleep, day(6))
        .await
        .unwrap();
    assert_eq!(log_of(&mut conn, &member).await.sync_status, "running");
    sync_log::fail(
        &mut conn,
        &member,
        DataType::Sleep,
        "WHOOP answered 503",
        day(6),
    )
    .await
    .unwrap();

    let expected = SyncLogRow {
        sync_status: "failed".to_owned(),
        last_attempt_at: Some(day(6)),
        last_error: Some("WHOOP answered 503".to_owned()),
        last_error_at: Some(day(6)),
        ..before.clone()
    };
    assert_eq!(log_of(&mut conn, &member).await, expected);

    complete(&mut conn, &member, span(4, 7)).await;
    let healed = log_of(&mut conn, &member).await;
    assert_eq!(
        (healed.sync_status.as_str(), healed.last_error),
        ("success", None)
    );
    assert_eq!(healed.records_synced, 4);
}

#[tokio::test]
async fn a_deferred_sync_is_no_failure_and_ends_no_failure() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let defer = async |conn: &mut PooledConnection, day_number: u32| {
        let (sleep, day) = (DataType::Sleep, day(day_number));
        sync_log::begin(conn, &member, sleep, day).await.unwrap();
        sync_log::note_deferred(conn, &member, sleep, "the quota is spent", day)
            .await
            .unwrap();
        let row = log_of(conn, &member).await;
        (
            row.sync_status,
            row.last_error.unwrap(),
            row.last_error_at.unwrap(),
        )
    };
    let row_with = |status: &str, error: &str, day_number: u32| {
        (status.to_owned(), error.to_owned(), day(day_number))
    };

    let deferral = "the quota is spent";
    assert_eq!(defer(&mut conn, 1).await, row_with("never", deferral, 1));
    complete(&mut conn, &member, span(1, 2)).await;
    assert_eq!(defer(&mut conn, 3).await, row_with("success", deferral, 3));

    let error = "WHOOP answered 503";
    for day_number in [4, 5] {
        sync_log::begin(&mut conn, &member, DataType::Sleep, day(day_number))
            .await
            .unwrap();
        sync_log::fail(&mut conn, &member, DataType::Sleep, error, day(day_number))
            .await
            .unwrap();
    }
    assert_eq!(defer(&mut conn, 6).await, row_with("failed", error, 5));
    assert_eq!(defer(&mut conn, 7).await, row_with("failed", error, 5));

    complete(&mut conn, &member, span(1, 8)).await;
    assert_eq!(defer(&mut conn, 9).await, row_with("success", deferral, 9));
}

#[tokio::test]
async fn failures_of_an_earlier_connection_are_deleted_by_a_new_one() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    complete(&mut conn, &member, span(1, 2)).await;
    let sleep = DataType::Sleep;
    for day_number in [3, 4] {
        sync_log::begin(&mut conn, &member, sleep, day(day_number))
            .await
            .unwrap();
        sync_log::fail(&mut conn, &member, sleep, "connect again", day(day_number))
            .await
            .unwrap();
    }

    sync_log::note_not_granted(&mut conn, &member, &[])
        .await
        .unwrap();

    let row = log_of(&mut conn, &member).await;
    assert_eq!(
        (row.sync_status.as_str(), row.last_error),
        ("success", None)
    );
    sync_log::begin(&mut conn, &member, sleep, day(5))
        .await
        .unwrap();
    sync_log::note_deferred(&mut conn, &member, sleep, "the quota is spent", day(5))
        .await
        .unwrap();
    assert_eq!(log_of(&mut conn, &member).await.sync_status, "success");
}

#[tokio::test]
async fn a_window_with_rejected_records_is_a_success_with_a_note() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;

    complete(
        &mut conn,
        &member,
        CompletedWindow {
            rejected: 2,
            ..span(1, 5)
        },
    )
    .await;

    let log = log_of(&mut conn, &member).await;
    assert_eq!(log.sync_status, "success");
    assert!(log.last_error.unwrap().starts_with("2 record(s)"));
    assert_eq!(log.last_sync_at, Some(day(5)));
}

#[tokio::test]
async fn a_sync_that_has_only_begun_covers_nothing() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;

    sync_log::begin(&mut conn, &member, DataType::Sleep, day(3))
        .await
        .unwrap();

    let log = log_of(&mut conn, &member).await;
    assert_eq!(
        (log.last_sync_at, log.covered_from, log.covered_until),
        (None, None, None)
    );
    assert_eq!(log.coverage(), Some(Coverage::empty(DataType::Sleep)));
}

/// Returns the coverage after reading the windows one by one.
async fn covered(windows: &[CompletedWindow]) -> (u32, u32, bool, u32) {
    use chrono::Datelike;

    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    for window in windows {
        complete(&mut conn, &member, *window).await;
    }
    let log = log_of(&mut conn, &member).await;
    let day = |instant: Option<DateTime<Utc>>| instant.unwrap().day();
    (
        day(log.covered_from),
        day(log.covered_until),
        log.whole_history,
        log.last_sync_at.map_or(0, |at| at.day()),
    )
}

#[tokio::test]
async fn windows_that_touch_are_joined() {
    assert_eq!(covered(&[span(3, 5), span(5, 8)]).await, (3, 8, false, 8));
    assert_eq!(covered(&[span(3, 8), span(4, 5)]).await, (3, 8, false, 8));
}

#[tokio::test]
async fn a_gap_between_two_windows_is_not_covered() {
    assert_eq!(covered(&[span(3, 5), span(6, 8)]).await, (6, 8, false, 8));
}

fn earlier_of(log: &SyncLogRow) -> Option<CoveredSpan> {
    log.coverage().unwrap().earlier
}

/// Creates a member with a gap in the coverage between the 28th and the 30th.
async fn with_gap(conn: &mut PooledConnection) -> UserId {
    let member = connect(conn, "mara").await;
    complete(conn, &member, span(1, 28)).await;
    complete(conn, &member, span(30, 31)).await;
    member
}

#[tokio::test]
async fn a_gap_is_stored_until_the_windows_meet() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = with_gap(&mut conn).await;

    let log = log_of(&mut conn, &member).await;
    let earlier = CoveredSpan {
        from: day(1),
        until: day(7),
    };
    assert_eq!(earlier_of(&log), Some(earlier));
    assert_eq!(log.covered_from, Some(day(30)));
    let members = member_states::list(&mut conn, day(31)).await.unwrap();
    assert!(!members[0].history_complete);

    complete(&mut conn, &member, span(8, 30)).await;
    assert_eq!(earlier_of(&log_of(&mut conn, &member).await), Some(earlier));
    complete(&mut conn, &member, span(7, 8)).await;
    let log = log_of(&mut conn, &member).await;
    assert_eq!((earlier_of(&log), log.earlier_from), (None, None));
    assert_eq!(log.covered_from, Some(day(1)));
}

#[tokio::test]
async fn retention_shortens_the_spans_on_both_sides_of_a_gap() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = with_gap(&mut conn).await;
    for (start, from, earlier) in [(3, 30, Some((3, 7))), (7, 30, None), (30, 30, None)] {
        let start = RetentionStart {
            date: day(start).date_naive(),
            instant: day(start),
        };
        retention::purge_records(&mut conn, &member, start, day(31))
            .await
            .unwrap();

        let log = log_of(&mut conn, &member).await;
        assert_eq!(log.covered_from, Some(day(from)), "{start:?}");
        assert_eq!(log.covered_until, Some(day(31)));
        let span = |(from, until)| CoveredSpan {
            from: day(from),
            until: day(until),
        };
        assert_eq!(earlier_of(&log), earlier.map(span), "{start:?}");
    }
}

#[tokio::test]
async fn pending_records_older_than_every_window_are_counted() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    connect(&mut conn, "mara").await;
    connect(&mut conn, "Noa").await;
    let sql =
        "INSERT INTO whoop_cycle (user_id, id, local_date, score_state, created_at, updated_at,
                   synced_at, start_time)
               SELECT 'mara', day::text, '2026-05-01'::date - day, CASE day % 2 WHEN 0 THEN 'SCORED'
                   ELSE 'PENDING_SCORE' END, now(), now(), now(),
                   '2026-05-01T00:00:00Z'::timestamptz - day * interval '1 day'
               FROM generate_series(1, 50) AS day";
    TestEnv::execute(&env, sql).await;

    let members = member_states::list(&mut conn, day(1)).await.unwrap();

    let pending_counts_of = |name: &str| {
        let mut members = members.iter();
        let member = members.find(|member| member.user_id == name).unwrap();
        member.sync_state.old_pending_counts
    };
    // Records of the days 23, 25, … 49 are counted; the look-back covers the later ones.
    assert_eq!(pending_counts_of("mara"), [0, 0, 0, 14]);
    assert_eq!(pending_counts_of("Noa"), [0; 4]);
}

/// A process of the previous version does not know the columns of the older span.
#[tokio::test]
async fn a_coverage_written_by_an_older_version_joins_or_drops_the_older_span() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = with_gap(&mut conn).await;
    for (changed, from, is_gap) in [
        ("covered_from = '2026-05-10T00:00:00Z'", Some(10), true),
        ("covered_from = '2026-05-04T00:00:00Z'", Some(1), false),
        (
            "covered_from = NULL, covered_until = NULL, last_sync_at = NULL",
            None,
            false,
        ),
    ] {
        TestEnv::execute(&env, &format!("UPDATE whoop_sync_log SET {changed}")).await;

        let coverage = log_of(&mut conn, &member).await.coverage().unwrap();

        assert_eq!(coverage.covered_from, from.map(day), "{changed}");
        assert_eq!(coverage.earlier.is_some(), is_gap, "{changed}");
    }
}

#[tokio::test]
async fn a_backfill_extends_the_coverage_and_keeps_last_sync_at() {
    let history = |from, until, list_ended, read_at| CompletedWindow {
        read: WindowRead {
            list_ended,
            read_at: day(read_at),
            ..span(from, until).read
        },
        up_to_now: false,
        ..span(from, until)
    };
    let seen_once = [
        span(20, 25),
        history(10, 20, false, 25),
        history(4, 10, true, 25),
    ];
    assert_eq!(covered(&seen_once).await, (4, 25, false, 25));

    let windows = [
        seen_once[0],
        seen_once[1],
        seen_once[2],
        history(4, 4, true, 26),
    ];

    assert_eq!(covered(&windows).await, (4, 25, true, 25));
}

#[tokio::test]
async fn the_last_sync_never_moves_back() {
    assert_eq!(covered(&[span(3, 9), span(3, 7)]).await, (3, 9, false, 9));
}

#[tokio::test]
async fn each_data_type_of_each_member_has_its_own_row() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let mara = connect(&mut conn, "mara").await;
    connect(&mut conn, "noa").await;
    for data_type in DataType::ALL {
        sync_log::begin(&mut conn, &mara, data_type, now())
            .await
            .unwrap();
    }

    sync_log::complete(&mut conn, &mara, DataType::Cycle, span(1, 5))
        .await
        .unwrap();

    let rows = sync_log::list(&mut conn, &mara).await.unwrap();
    let coverage = sync_log::coverage_of(&rows);
    let read: Vec<DataType> = coverage
        .iter()
        .filter(|one| one.last_sync_at.is_some())
        .map(|one| one.data_type)
        .collect();
    assert_eq!((coverage.len(), read), (4, vec![DataType::Cycle]));
    assert_eq!(sync_log::list(&mut conn, &user("noa")).await.unwrap(), []);
    // Data types that were never read are included with an empty coverage.
    assert_eq!(
        sync_log::coverage_of(&[]),
        DataType::ALL.map(Coverage::empty)
    );
}

#[tokio::test]
async fn two_concurrent_windows_are_both_added() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    complete(&mut conn, &member, span(10, 15)).await;
    let read = async |span: CompletedWindow| {
        let mut conn = env.connection().await;
        conn.transaction(async |conn| {
            sync_log::complete(conn, &member, DataType::Sleep, span).await
        })
        .await
        .unwrap();
    };

    futures::future::join(read(span(5, 10)), read(span(15, 20))).await;

    let log = log_of(&mut conn, &member).await;
    assert_eq!(
        (log.covered_from, log.covered_until),
        (Some(day(5)), Some(day(20)))
    );
}

#[tokio::test]
async fn a_window_that_ends_in_the_future_by_the_databases_clock_is_refused() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    complete(&mut conn, &member, span(1, 5)).await;
    let ahead = chrono::TimeDelta::days(30);
    let clock =
        env.value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')");
    let until = at(&clock.await.unwrap()) + ahead;
    let mut window = span(1, 5);
    window.read.until = until;
    window.read.read_at = until;

    let refused = sync_log::complete(&mut conn, &member, DataType::Sleep, window).await;

    let error = refused.unwrap_err().to_string();
    assert!(error.contains("clock is 25919"), "{error}");
    assert_eq!(log_of(&mut conn, &member).await.last_sync_at, Some(day(5)));
}

#[tokio::test]
async fn a_coverage_in_the_future_is_deleted_at_the_next_sync() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    complete(&mut conn, &member, span(1, 5)).await;
    TestEnv::execute(
        &env,
        "UPDATE whoop_sync_log SET last_sync_at = now() + interval '30 days',
                 earlier_from = '2026-04-01', earlier_until = '2026-04-20',
                 covered_until = now() + interval '30 days', whole_history = TRUE",
    )
    .await;

    complete(&mut conn, &member, span(10, 12)).await;

    let log = log_of(&mut conn, &member).await;
    assert_eq!(log.last_sync_at, Some(day(12)));
    assert_eq!(
        (log.covered_from, log.covered_until),
        (Some(day(10)), Some(day(12)))
    );
    assert!(!log.whole_history);
    assert_eq!((log.earlier_from, log.earlier_until), (None, None));
}

#[tokio::test]
async fn the_running_status_of_a_killed_process_is_reset() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    for (name, status) in [
        ("read", "success"),
        ("new", "never"),
        ("broken", "failed"),
        ("alive", "running"),
    ] {
        let member = connect(&mut conn, name).await;
        if name == "read" {
            complete(&mut conn, &member, span(1, 5)).await;
        }
        let begin = sync_log::begin(&mut conn, &member, DataType::Sleep, now());
        begin.await.unwrap();
        if status == "failed" {
            let fail = sync_log::fail(&mut conn, &member, DataType::Sleep, "no", now());
            fail.await.unwrap();
            let begin = sync_log::begin(&mut conn, &member, DataType::Sleep, now());
            begin.await.unwrap();
        }
    }
    TestEnv::execute(
            &env,
            "UPDATE whoop_users SET lease_until = now() - interval '1 second';
             UPDATE whoop_users SET lease_until = now() + interval '1 hour' WHERE user_id = 'alive'",
        )
        .await;

    sync_log::reset_interrupted(&mut conn).await.unwrap();

    let sql = "SELECT string_agg(user_id || ' ' || sync_status, ', ' ORDER BY user_id)
                 FROM whoop_sync_log WHERE data_type = 'sleep'";
    assert_eq!(
        env.value(sql).await.as_deref(),
        Some("alive running, broken failed, new never, read success")
    );
}

#[tokio::test]
async fn a_run_without_a_sign_of_life_counts_as_killed() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let minute = std::time::Duration::from_secs(60);
    let begin = sync_run::begin(&mut conn, Some("night"), "scheduled", now(), minute);
    let killed = begin.await.unwrap();
    let status = async || {
        overview::last_runs(&env.database).await.unwrap()[0]
            .status
            .clone()
    };
    assert_eq!(status().await, "running");

    TestEnv::execute(
        &env,
        "UPDATE whoop_sync_run SET alive_until = now() - interval '1 second'",
    )
    .await;
    assert_eq!(status().await, "failed");

    let begin = sync_run::begin(&mut conn, Some("night"), "scheduled", now(), minute);
    begin.await.unwrap();
    let detail =
        format!("SELECT status || ': ' || detail FROM whoop_sync_run WHERE id = '{killed}'");
    assert_eq!(
        env.value(&detail).await.as_deref(),
        Some("failed: the process was killed")
    );
}

#[tokio::test]
async fn the_last_sync_of_a_member_is_the_oldest_of_the_granted_types() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    for data_type in [DataType::Recovery, DataType::Sleep, DataType::Cycle] {
        let begin = sync_log::begin(&mut conn, &member, data_type, now());
        begin.await.unwrap();
        let last = if data_type == DataType::Sleep { 6 } else { 9 };
        let complete = sync_log::complete(&mut conn, &member, data_type, span(1, last));
        complete.await.unwrap();
    }
    let last_sync = async || overview::list(&env.database, None).await.unwrap()[0].last_sync_at;
    assert_eq!(last_sync().await, None, "workouts were never read");

    let note = sync_log::note_not_granted(&mut conn, &member, &[DataType::Workout]);
    note.await.unwrap();

    assert_eq!(last_sync().await, Some(day(6)));
}

#[tokio::test]
async fn a_signal_during_a_read_stays_open_even_if_the_receivers_clock_is_behind() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let account: i64 = users::find(&mut conn, &member)
        .await
        .unwrap()
        .unwrap()
        .whoop_user_id;
    let open_signal = async |conn: &mut PooledConnection, at| {
        webhook_signal::open(conn, account, DataType::Sleep, at)
            .await
            .unwrap();
    };
    open_signal(&mut conn, day(4)).await;
    let start = sync_log::begin(&mut conn, &member, DataType::Sleep, day(5))
        .await
        .unwrap();
    open_signal(&mut conn, day(3)).await;

    let completed = CompletedWindow {
        signal_at: start.signal_at,
        ..span(1, 5)
    };
    sync_log::complete(&mut conn, &member, DataType::Sleep, completed)
        .await
        .unwrap();

    assert!(log_of(&mut conn, &member).await.signal_open);
    let start = sync_log::begin(&mut conn, &member, DataType::Sleep, day(6))
        .await
        .unwrap();
    let history = CompletedWindow {
        signal_at: start.signal_at,
        up_to_now: false,
        ..span(1, 1)
    };
    sync_log::complete(&mut conn, &member, DataType::Sleep, history)
        .await
        .unwrap();
    let is_open = log_of(&mut conn, &member).await.signal_open;
    assert!(is_open, "a backfill page does not close the signal");
    let completed = CompletedWindow {
        signal_at: start.signal_at,
        ..span(1, 6)
    };
    sync_log::complete(&mut conn, &member, DataType::Sleep, completed)
        .await
        .unwrap();
    assert!(!log_of(&mut conn, &member).await.signal_open);
}
