//! Tests of law 14 (every change can be followed): an app that follows the change feed has every
//! stored record, including records that only moved to another date.

use chrono::TimeDelta;
use serde_json::json;
use whoop_core::{DataType, plan::Slot};

use crate::harness::{Follower, Stage, slot};

#[tokio::test]
async fn a_night_that_moves_to_another_date_moves_its_recovery_and_its_cycle() {
    let (stage, member) = Stage::with_member().await;
    let mut follower = Follower::of(&member.user_id);
    follower.assert_ends_equal(&stage.engine).await;
    let recoveries = stage.listed(&member, DataType::Recovery);
    let sleeps = stage.listed(&member, DataType::Sleep);
    // WHOOP changes the time zone of the night to one on the other side of the world.
    let night = sleeps
        .iter()
        .find(|sleep| recoveries.iter().any(|one| one["sleep_id"] == sleep["id"]))
        .unwrap();
    let other_offset = json!({"timezone_offset": "-11:00"});
    stage.advance(TimeDelta::minutes(1));
    stage.change(&member, DataType::Sleep, night, other_offset);

    stage.sync(&member, &slot(Slot::Morning)).await;

    let since = follower.since;
    let moved = format!(
        "SELECT string_agg(data_type, ' ' ORDER BY data_type) FROM whoop_change \
         WHERE user_id = $1 AND seq > {since} AND previous_date <> local_date"
    );
    let moved = stage.text(&moved, &member).await;
    assert_eq!(moved.as_deref(), Some("cycle recovery sleep"));
    follower.assert_ends_equal(&stage.engine).await;
    assert_eq!(follower.restarts, 0);
}
