use serde_json::json;
use whoop_client::{ListPage, PageQuery, PageWalker, RecordLookup};
use whoop_core::{
    CycleId, SleepId, WorkoutId,
    record::{Cycle, Record, Recovery, Sleep, Workout},
};
use whoop_sim::{Fault, SimConfig, SimDataType};

use super::member::{connected, short_history};
use crate::payloads::is_same;

#[tokio::test]
async fn every_list_read_to_its_end_equals_the_simulators_records() {
    let member = connected(SimConfig {
        days: 120,
        ..SimConfig::default()
    })
    .await;

    member.assert_list_complete::<Cycle>("cycles").await;
    member.assert_list_complete::<Recovery>("recoveries").await;
    member.assert_list_complete::<Sleep>("sleeps").await;
    member.assert_list_complete::<Workout>("workouts").await;
}

#[tokio::test]
async fn a_page_returns_what_began_before_its_end() {
    let member = connected(short_history()).await;
    let end = member.sim.world().now() - chrono::TimeDelta::days(7);
    let query = PageQuery {
        end,
        next_token: None,
    };

    let page: ListPage<Sleep> = member
        .whoop
        .fetch_page(&member.access_token, &query)
        .await
        .unwrap();

    assert!(!page.records.is_empty());
    assert!(page.records.iter().all(|sleep| sleep.start < end));
}

#[tokio::test]
async fn a_record_is_found_by_its_id_and_a_deleted_one_is_not() {
    let member = connected(short_history()).await;
    let (whoop, token) = (&member.whoop, &member.access_token);
    let cycles = member.walk::<Cycle>().await;
    let sleeps = member.walk::<Sleep>().await;
    let workouts = member.walk::<Workout>().await;
    let recoveries = member.walk::<Recovery>().await;

    let cycle = whoop.fetch_cycle(token, cycles[3].id).await.unwrap();
    assert_eq!(cycle, RecordLookup::Record(Box::new(cycles[3].clone())));
    let sleep = whoop.fetch_sleep(token, &sleeps[3].id).await.unwrap();
    assert_eq!(sleep, RecordLookup::Record(Box::new(sleeps[3].clone())));
    let workout = whoop.fetch_workout(token, &workouts[3].id).await.unwrap();
    assert_eq!(workout, RecordLookup::Record(Box::new(workouts[3].clone())));
    let recovery = &recoveries[3];
    let of_cycle = whoop
        .fetch_recovery(token, recovery.cycle_id)
        .await
        .unwrap();
    assert_eq!(of_cycle, RecordLookup::Record(Box::new(recovery.clone())));

    let world = member.sim.world();
    let user_id = member.whoop_user_id;
    world
        .records()
        .delete(user_id, SimDataType::Sleep, &recovery.sleep_id)
        .unwrap();
    let sleep = whoop.fetch_sleep(token, &recovery.sleep_id).await.unwrap();
    assert_eq!(sleep, RecordLookup::NotFound);
    let of_cycle = whoop
        .fetch_recovery(token, recovery.cycle_id)
        .await
        .unwrap();
    assert_eq!(of_cycle, RecordLookup::NotFound);
    assert_eq!(
        whoop.fetch_cycle(token, CycleId(1)).await.unwrap(),
        RecordLookup::NotFound,
        "this cycle never existed"
    );
    let unknown = "00000000-0000-4000-8000-000000000000".to_owned();
    assert_eq!(
        whoop
            .fetch_workout(token, &WorkoutId(unknown.clone()))
            .await
            .unwrap(),
        RecordLookup::NotFound
    );
    assert_eq!(
        whoop.fetch_sleep(token, &SleepId(unknown)).await.unwrap(),
        RecordLookup::NotFound
    );
}

#[tokio::test]
async fn profile_and_body_measurement_equal_the_simulators() {
    let member = connected(short_history()).await;
    let truth = member.sim.world().records().truth(member.whoop_user_id);

    let profile = member
        .whoop
        .fetch_profile(&member.access_token)
        .await
        .unwrap();
    let body = member
        .whoop
        .fetch_body_measurement(&member.access_token)
        .await;

    assert_eq!(profile.user_id, member.whoop_user_id);
    assert_eq!(serde_json::to_value(profile).unwrap(), truth["profile"]);
    assert!(is_same(
        &truth["body_measurement"],
        &serde_json::to_value(body.unwrap()).unwrap()
    ));

    member.fault(1, Fault::status("body", 404));
    let none = member
        .whoop
        .fetch_body_measurement(&member.access_token)
        .await;
    assert_eq!(none.unwrap(), None);
}

#[tokio::test]
async fn an_unknown_field_and_an_unknown_state_are_kept() {
    let member = connected(short_history()).await;
    let world = member.sim.world();
    world.add_fault(Fault::every_record(
        "sleep",
        "snoring",
        json!({"minutes": 4}),
    ));

    let page = member.first_page::<Sleep>().await.unwrap();

    assert_eq!(page.rejected, []);
    assert!(
        page.records
            .iter()
            .all(|sleep| sleep.extra["snoring"] == json!({"minutes": 4}))
    );
}

#[tokio::test]
async fn records_inserted_or_deleted_between_two_pages_hide_no_other() {
    let member = connected(short_history()).await;
    let (whoop, token) = (&member.whoop, &member.access_token);
    let mut walker = PageWalker::new(member.everything());
    let first: ListPage<Sleep> = whoop
        .fetch_page(token, walker.query().unwrap())
        .await
        .unwrap();
    walker.accept(&first).unwrap();

    let nap = json!({
        "start": "2026-11-20T10:00:00.000Z", "end": "2026-11-20T10:20:00.000Z", "nap": true,
        "score_state": "PENDING_SCORE", "score": null,
    });
    let world = member.sim.world();
    world
        .records()
        .insert(member.whoop_user_id, SimDataType::Sleep, nap)
        .unwrap();
    for deleted in &first.records[5..8] {
        world
            .records()
            .delete(member.whoop_user_id, SimDataType::Sleep, deleted.id())
            .unwrap();
    }

    let mut ids: Vec<String> = first.records.iter().map(Sleep::id).collect();
    while let Some(query) = walker.query() {
        let page: ListPage<Sleep> = whoop.fetch_page(token, query).await.unwrap();
        walker.accept(&page).unwrap();
        ids.extend(page.records.iter().map(Sleep::id));
    }
    let remaining = member
        .truth("sleeps")
        .into_iter()
        .map(|one| one["id"].clone());
    let missed: Vec<_> = remaining
        .filter(|id| !ids.iter().any(|seen| id == seen))
        .collect();
    assert_eq!(missed.len(), 1, "only the inserted nap: {missed:?}");
}
