//! The number of calls for app requests of one member.

use futures::future::join_all;
use whoop_storage::member_calls::count_call;

use crate::test_env::{TestEnv, connect};

/// Law 15: concurrent calls are counted one by one, including the first ones of a day.
#[tokio::test]
async fn concurrent_calls_are_all_counted() {
    let env = TestEnv::new().await;
    let member = connect(&mut env.connection().await, "member").await;
    let other = env.db.client().await;
    let lock_sql = "BEGIN; SELECT FROM whoop_users FOR UPDATE";
    other.batch_execute(lock_sql).await.unwrap();

    let calls = (0..4).map(|_| async {
        let mut conn = env.connection().await;
        count_call(&mut conn, &member, 3).await.unwrap()
    });
    let release = async {
        let waiting = "SELECT count(*)::text FROM pg_stat_activity \
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while env.value(waiting).await.as_deref() != Some("4") {
            tokio::task::yield_now().await;
        }
        other.batch_execute("COMMIT").await.unwrap();
    };
    let (counted, ()) = tokio::join!(join_all(calls), release);

    let allowed = counted.iter().filter(|resets_in| resets_in.is_none());
    assert_eq!(allowed.count(), 3, "{counted:?}");
}
