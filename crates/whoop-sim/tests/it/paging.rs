//! Tests of the collections: pages, offsets, intervals and invalid queries.

use crate::support::{COLLECTIONS, Member, frozen};
use serde_json::json;
use whoop_sim::{SimDataType, SimServer};

#[tokio::test]
async fn all_pages_together_equal_the_truth() {
    let sim = SimServer::start(frozen()).await.unwrap();
    for index in 0..3 {
        let member = Member::connect(&sim, index).await;
        let truth = sim.world().records().truth(member.id);
        for (path, key) in COLLECTIONS {
            for limit in ["25", "7"] {
                let records = member.read_all(path, limit).await;
                assert_eq!(&json!(records), &truth[key], "{path} by {limit}");
            }
        }
    }
}

#[tokio::test]
async fn a_page_without_a_limit_has_ten_records_and_the_token_is_an_offset() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;

    let page = member.get("cycle").await.json();
    assert_eq!(page["records"].as_array().unwrap().len(), 10);
    let five = member.page("cycle", &[("limit", "5")]).await.json();
    assert_eq!(five["next_token"], "eyIkIjoib0AxIiwibyI6NX0=");
}

#[tokio::test]
async fn a_record_inserted_between_two_pages_repeats_one() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let first = member
        .page("activity/workout", &[("limit", "5")])
        .await
        .json();
    let token = first["next_token"].as_str().unwrap();

    let record = json!({"start": "2026-11-20T17:00:00.000Z", "end": "2026-11-20T17:30:00.000Z"});
    sim.world()
        .records()
        .insert(member.id, SimDataType::Workout, record)
        .unwrap();

    let query = [("limit", "5"), ("nextToken", token)];
    let second = member.page("activity/workout", &query).await.json();
    assert_eq!(second["records"][0], first["records"][4]);
}

#[tokio::test]
async fn an_interval_includes_the_records_that_overlap_it() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let truth = sim.world().records().truth(member.id);
    let cycle = &truth["cycles"][5];
    let ids = async |start: &str, end: &str| {
        let page = member
            .page("cycle", &[("start", start), ("end", end)])
            .await;
        let records = page.json()["records"].as_array().unwrap().clone();
        records
            .iter()
            .map(|it| it["id"].clone())
            .collect::<Vec<_>>()
    };
    let (start, end) = (
        cycle["start"].as_str().unwrap(),
        cycle["end"].as_str().unwrap(),
    );

    // The earlier cycle ends exactly at `start` and is included. The later cycle begins exactly at
    // `end` and is not included.
    let later = truth["cycles"][4]["id"].clone();
    let earlier = truth["cycles"][6]["id"].clone();
    assert_eq!(ids(start, end).await, [cycle["id"].clone(), earlier]);
    let after = "2099-01-01T00:00:00Z";
    assert!(
        ids(end, after)
            .await
            .ends_with(&[later, cycle["id"].clone()])
    );
}

#[tokio::test]
async fn a_recovery_is_filtered_by_the_times_of_its_sleep() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let truth = sim.world().records().truth(member.id);
    let sleeps = truth["sleeps"].as_array().unwrap();
    let sleep = sleeps
        .iter()
        .filter(|it| it["nap"] == false)
        .nth(3)
        .unwrap();

    let window = [
        ("start", sleep["start"].as_str().unwrap()),
        ("end", sleep["end"].as_str().unwrap()),
    ];
    let page = member.page("recovery", &window).await.json();
    assert_eq!(page["records"].as_array().unwrap().len(), 1);
    assert_eq!(page["records"][0]["sleep_id"], sleep["id"]);
}

#[tokio::test]
async fn an_empty_window_is_an_empty_page() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let window = [
        ("start", "2001-01-01T00:00:00Z"),
        ("end", "2001-02-01T00:00:00Z"),
    ];
    let page = member.page("cycle", &window).await;
    assert_eq!(page.text, r#"{"records":[],"next_token":null}"#);
}

#[tokio::test]
async fn malformed_requests_get_a_400_without_a_body() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    for path in [
        "cycle?limit=26",
        "recovery?limit=0",
        "activity/sleep?start=today",
        "activity/workout?nextToken=abc",
        "cycle/not-a-number",
        "cycle/99999999999999999999/sleep",
        "activity/sleep/17",
    ] {
        let answer = member.get(path).await;
        assert_eq!((answer.status, answer.text.as_str()), (400, ""), "{path}");
    }
}

#[tokio::test]
async fn unknown_records_and_routes_get_a_404_without_a_body() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;
    let other = sim.world().records().truth(sim.world().people()[1]);
    let foreign_sleep = other["sleeps"][0]["id"].as_str().unwrap();
    for path in [
        "cycle/1",
        "cycle/1/recovery",
        "activity/workout/5ac0e1b9-48d7-4213-9f6e-0b7c2d8e1f66",
        &format!("activity/sleep/{foreign_sleep}"),
        "recovery/1",
        "../v1/cycle",
        "nowhere",
        "%ff",
    ] {
        let answer = member.get(path).await;
        assert_eq!((answer.status, answer.text.as_str()), (404, ""), "{path}");
        assert!(!answer.header("x-ratelimit-limit").is_empty(), "{path}");
    }
}
