//! App open days: the bits stored by PostgreSQL match those computed by `core`.

use chrono::TimeDelta;
use proptest::prelude::*;
use whoop_core::plan::app_opens::AppOpenHistory;
use whoop_storage::{member_states, table::users};

use crate::test_env::{for_any, now};

#[test]
fn the_stored_days_of_app_opens_match_the_history() {
    let hours = prop::collection::vec(1_i64..900, 1..12);
    for_any(24, hours, async |env, member, pauses| {
        let mut conn = env.connection().await;
        let (mut at, mut expected) = (now(), AppOpenHistory::default());
        for pause in pauses {
            at += TimeDelta::hours(pause);
            expected = expected.with_open(at);
            users::mark_seen(&mut conn, member, at, TimeDelta::minutes(5))
                .await
                .unwrap();
        }

        let members = member_states::list(&mut conn, at).await.unwrap();
        let stored = members
            .iter()
            .find(|state| state.user_id == member.as_str())
            .unwrap();

        assert_eq!(stored.sync_state.app_opens, expected);
        assert_eq!(stored.sync_state.last_sync_at, [None; 4]);
        assert!(!stored.history_complete);
    });
}
