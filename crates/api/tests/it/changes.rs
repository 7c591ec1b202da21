//! Law 14: an app can follow every change of a member's records.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::{Value, json};
use whoop_sim::SimDataType;

use crate::harness::{Member, Stage};

/// Returns all changes after the sequence number `since`, which are read in pages of `limit`
/// changes.
async fn all_after(member: &Member, mut since: i64, limit: i64) -> Vec<Value> {
    let mut changes = Vec::new();
    loop {
        let rest = format!("?since={since}&limit={limit}");
        let page = member.get("changes", &rest).await.expect(200);
        let found = page["changes"].as_array().unwrap();
        assert!(found.len() <= usize::try_from(limit).unwrap());
        changes.extend(found.iter().cloned());
        since = page["next_since"].as_i64().unwrap();
        if page["more"] == false {
            assert_eq!(page["latest"], since);
            return changes;
        }
    }
}

fn numbers(changes: &[Value]) -> Vec<i64> {
    changes
        .iter()
        .map(|one| one["seq"].as_i64().unwrap())
        .collect()
}

async fn latest(member: &Member) -> i64 {
    let page = member.get("changes", "?limit=1").await.expect(200);
    page["latest"].as_i64().unwrap()
}

#[tokio::test]
async fn sequence_numbers_start_at_one_without_gaps_for_any_page_size() {
    let (stage, alice) = Stage::with_member().await;
    stage.connect_person("bob", 1).await;

    let all = all_after(&alice, 0, 1000).await;
    let by_seven = all_after(&alice, 0, 7).await;

    let expected: Vec<i64> = (1..=i64::try_from(all.len()).unwrap()).collect();
    assert!(all.len() > 60, "{}", all.len());
    assert_eq!(numbers(&all), expected);
    assert_eq!(numbers(&by_seven), expected);
    // The last change of each record contains the whole record.
    let mut last: BTreeMap<(String, String), &Value> = BTreeMap::new();
    for one in &all {
        assert_eq!(one["op"], "upsert");
        last.insert((one["data_type"].to_string(), one["id"].to_string()), one);
    }
    for one in last.into_values() {
        assert_eq!(one["record"]["local_date"], one["local_date"], "{one:#}");
        let id = match one["data_type"].as_str().unwrap() {
            "recovery" => &one["record"]["cycle_id"],
            _ => &one["record"]["id"],
        };
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        assert_eq!(one["id"], id, "{one:#}");
    }
}

#[tokio::test]
async fn a_sync_without_new_data_makes_no_change() {
    let (_stage, alice) = Stage::with_member().await;
    let before = latest(&alice).await;

    alice.day("?refresh=force").await;

    assert_eq!(latest(&alice).await, before);
    assert_eq!(all_after(&alice, before, 10).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_deleted_record_is_listed_with_its_last_local_date() {
    let (stage, alice) = Stage::with_member().await;
    let before = latest(&alice).await;
    let person = stage.world().people()[0];
    let truth = stage.world().records().truth(person);
    let sleeps = truth["sleeps"].as_array().unwrap();
    let night = sleeps.iter().find(|one| one["nap"] == false).unwrap();
    let id = night["id"].as_str().unwrap();
    stage
        .world()
        .records()
        .delete(person, SimDataType::Sleep, id)
        .unwrap();
    // WHOOP's lists contain no newer night, so one 404 is not enough to delete the records. A
    // second one is needed.
    for minutes in [1, 60] {
        stage.advance(TimeDelta::minutes(minutes));
        alice.day("?refresh=force").await;
    }

    let changes = all_after(&alice, before, 10).await;
    let deleted: Vec<&Value> = changes.iter().filter(|one| one["op"] == "delete").collect();
    assert_eq!(deleted.len(), 2, "{changes:#?}");
    assert!(deleted.iter().all(|one| one["record"].is_null()));
    let of = |data_type: &str| deleted.iter().find(|one| one["data_type"] == data_type);
    let (sleep, recovery) = (of("sleep").unwrap(), of("recovery").unwrap());
    assert_eq!(sleep["id"], id);
    assert_eq!(sleep["local_date"], recovery["local_date"]);
}

#[tokio::test]
async fn the_last_of_several_changes_of_a_record_contains_the_record() {
    let (stage, alice) = Stage::with_member().await;
    let before = latest(&alice).await;
    let person = stage.world().people()[0];
    let truth = stage.world().records().truth(person);
    let recovery = &truth["recoveries"][0];
    for score in [11, 22, 33] {
        stage.advance(TimeDelta::minutes(1));
        let change = json!({"score": {"recovery_score": score}});
        let id = &recovery["cycle_id"];
        let world = stage.world();
        world
            .records()
            .patch(person, SimDataType::Recovery, id, change)
            .unwrap();
        alice.day("?refresh=force").await;
    }

    let changes = all_after(&alice, before, 100).await;
    let of_it: Vec<&Value> = changes
        .iter()
        .filter(|one| one["data_type"] == "recovery")
        .collect();
    assert_eq!(of_it.len(), 3, "{changes:#?}");
    assert!(of_it[0]["record"].is_null() && of_it[1]["record"].is_null());
    assert_eq!(of_it[2]["record"]["score"]["recovery_score"], 33);
}

#[tokio::test]
async fn a_sequence_number_that_is_too_old_is_answered_with_410() {
    let (stage, alice) = Stage::with_member().await;
    let all = latest(&alice).await;
    stage
        .execute("DELETE FROM whoop_change WHERE seq <= 10")
        .await;

    for since in [0, 9, all + 1, i64::MAX] {
        let answer = alice.get("changes", &format!("?since={since}")).await;
        answer.assert_problem(410, "changes-gone");
        assert_eq!(answer.json()["latest"], all, "since {since}");
    }
    let first = alice.get("changes", "?since=10&limit=1").await.expect(200);
    assert_eq!(first["changes"][0]["seq"], 11);
    let none = alice
        .get("changes", &format!("?since={all}"))
        .await
        .expect(200);
    assert_eq!(
        (&none["changes"], &none["more"]),
        (&json!([]), &json!(false))
    );
}

#[tokio::test]
async fn the_sequence_numbers_of_an_erased_member_who_connects_again_start_at_one() {
    let (stage, alice) = Stage::with_member().await;
    let before = alice.get("changes", "?limit=5").await.expect(200);
    let counted_since = before["counted_since"].as_str().unwrap();
    let same = format!("?since=5&limit=5&counted_since={counted_since}");
    assert_eq!(alice.get("changes", &same).await.status, 200);

    alice.delete("?erase=true").await.expect(200);
    let answer = alice.get("changes", "?since=5").await;
    answer.assert_problem(410, "changes-gone");
    assert_eq!(answer.json()["latest"], 0);
    assert_eq!(alice.get("changes", "").await.expect(200)["latest"], 0);
    stage.connect("alice").await;

    let again = alice.get("changes", "?limit=1").await.expect(200);
    assert_eq!(again["changes"][0]["seq"], 1);
    alice
        .get("changes", &same)
        .await
        .assert_problem(410, "changes-gone");
}

#[tokio::test]
async fn an_invalid_number_is_refused() {
    let (_stage, alice) = Stage::with_member().await;

    for (rest, field) in [
        ("?since=-1", "since"),
        ("?since=one", "since"),
        ("?since=", "since"),
        ("?since=%2B1", "since"),
        ("?since=9223372036854775808", "since"),
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?limit=1.5", "limit"),
    ] {
        let answer = alice.get("changes", rest).await;
        answer.assert_problem(400, "invalid-number");
        assert_eq!(answer.json()["field"], field, "{rest}");
    }
    let answer = alice.get("changes", "?counted_since=then").await;
    answer.assert_problem(400, "invalid-date");
}
