//! The days of visits: what PostgreSQL keeps is what `core` means.

use chrono::TimeDelta;
use proptest::prelude::*;
use whoop_core::plan::visits::Visits;
use whoop_storage::{standing, table::users};

use crate::stand::{for_any, now};

#[test]
fn the_days_of_visits_are_kept_as_they_are_meant() {
    let hours = prop::collection::vec(1_i64..900, 1..12);
    for_any(24, hours, async |stand, member, pauses| {
        let mut conn = stand.connection().await;
        let (mut at, mut meant) = (now(), Visits::default());
        for pause in pauses {
            at += TimeDelta::hours(pause);
            meant = meant.with(at);
            users::seen(&mut conn, member, at, TimeDelta::minutes(5))
                .await
                .unwrap();
        }

        let everybody = standing::list(&mut conn, at).await.unwrap();
        let kept = everybody
            .iter()
            .find(|one| one.user_id == member.as_str())
            .unwrap();

        assert_eq!(kept.standing.visits, meant);
        assert_eq!(kept.standing.last_sync_at, [None; 4]);
        assert!(!kept.history_complete);
    });
}
