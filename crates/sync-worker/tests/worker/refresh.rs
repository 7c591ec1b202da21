use whoop_sim::{Fault, FaultKind, SimConfig};

use crate::house::{House, plenty};

#[tokio::test]
async fn slow_refreshes_of_many_members_at_once_starve_nobody_of_connections() {
    let house = House::new(SimConfig {
        people: 8,
        ..plenty()
    })
    .await;
    for person in 0..8 {
        house.connect(&format!("member-{person}"), person).await;
    }
    house.world().expire_access_tokens();
    // Longer than anybody waits for a connection of the pool.
    house.world().fault(Fault {
        millis: Some(5_500),
        ..Fault::new("token", FaultKind::Latency)
    });

    let ended = house
        .worker(&["run", "--slot=night", "--parallel=8", "--json"])
        .await;

    let report = ended.expect_code(0).json();
    assert_eq!(report["synced"], 8);
    for whoop_user_id in house.world().people() {
        assert_eq!(house.world().refresh_count(whoop_user_id), 1);
    }
}
