use whoop_sim::{Fault, FaultKind, SimConfig};

use crate::house::{House, plenty};

#[tokio::test]
async fn slow_refreshes_of_many_members_do_not_use_up_the_database_connections() {
    let house = House::new(SimConfig {
        people: 5,
        ..plenty()
    })
    .await;
    for person in 0..4 {
        house.connect(&format!("expired-{person}"), person).await;
    }
    house.world().oauth().expire_access_tokens();
    house.connect("fresh", 4).await;
    // Longer than the timeout for a connection of the pool.
    house.world().add_fault(Fault {
        millis: Some(5_500),
        ..Fault::new("token", FaultKind::Latency)
    });

    let ended = house
        .worker(&[
            "run",
            "--slot=night",
            "--parallel=5",
            "--database-pool-size=4",
            "--json",
        ])
        .await;

    let report = ended.expect_code(0).json();
    assert_eq!(report["synced"], 5);
    for whoop_user_id in &house.world().people()[..4] {
        assert_eq!(house.world().oauth().refresh_count(*whoop_user_id), 1);
    }
}

#[tokio::test]
async fn two_connections_are_enough_to_refresh_many_members() {
    let people = 6;
    let house = House::new(SimConfig { people, ..plenty() }).await;
    for person in 0..people {
        house.connect(&format!("expired-{person}"), person).await;
    }
    house.world().oauth().expire_access_tokens();
    house.world().add_fault(Fault {
        millis: Some(100),
        ..Fault::new("token", FaultKind::Latency)
    });

    let ended = house
        .worker(&[
            "run",
            "--slot=night",
            "--parallel=6",
            "--database-pool-size=2",
            "--json",
        ])
        .await;

    assert_eq!(ended.expect_code(0).json()["synced"], people);
    for whoop_user_id in house.world().people() {
        assert_eq!(house.world().oauth().refresh_count(whoop_user_id), 1);
    }
}
