//! App open days: the bits stored by PostgreSQL match those computed by `core`.

use chrono::TimeDelta;
use proptest::prelude::*;
use whoop_core::plan::app_opens::AppOpenHistory;
use whoop_storage::{member_states, table::users};

use crate::stand::{for_any, now};

#[test]
fn the_days_of_visits_are_kept_as_they_are_meant() {
    let hours = prop::collection::vec(1_i64..900, 1..12);
    for_any(24, hours, async |stand, member, pauses| {
        let mut conn = stand.connection().await;
        let (mut at, mut meant) = (now(), AppOpenHistory::default());
        for pause in pauses {
            at += TimeDelta::hours(pause);
            meant = meant.with_open(at);
            users::mark_seen(&mut conn, member, at, TimeDelta::minutes(5))
                .await
                .unwrap();
        }

        let everybody = member_states::list(&mut conn, at).await.unwrap();
        let kept = everybody
            .iter()
            .find(|one| one.user_id == member.as_str())
            .unwrap();

        assert_eq!(kept.sync_state.app_opens, meant);
        assert_eq!(kept.sync_state.last_sync_at, [None; 4]);
        assert!(!kept.history_complete);
    });
}
