//! The routes for spans of days, and for complete records in pages.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use crate::harness::{Member, Stage, now};

fn today() -> NaiveDate {
    now().date_naive()
}

async fn range(member: &Member, from: NaiveDate, to: NaiveDate) -> Vec<Value> {
    let found = member.get("range", &format!("?from={from}&to={to}")).await;
    found.expect(200)["days"].as_array().unwrap().clone()
}

/// Returns all records of a data type, which are read in pages of `limit` records.
async fn all_records(member: &Member, data_type: &str, limit: usize) -> Vec<Value> {
    let mut found = Vec::new();
    let mut rest = format!("?limit={limit}");
    loop {
        let page = member.get(&format!("records/{data_type}"), &rest).await;
        let page = page.expect(200);
        let records = page["records"].as_array().unwrap();
        assert!(records.len() <= limit);
        found.extend(records.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(cursor) => rest = format!("?limit={limit}&cursor={cursor}"),
            None => return found,
        }
    }
}

#[tokio::test]
async fn each_day_of_a_span_has_the_figures_of_the_complete_day() {
    let stage = Stage::new().await;
    // One of these three people sleeps twice a day, naps, and does not always wear the strap.
    for person in 0..3 {
        let member = stage
            .connect_person(&format!("person-{person}"), person)
            .await;
        let from = today() - Days::new(45);
        let days = range(&member, from, today()).await;

        assert_eq!(days.len(), 46);
        for (date, brief) in from.iter_days().zip(&days) {
            let day = member.day(&format!("?date={date}&refresh=never")).await;
            let expected = json!({
                "date": day["date"],
                "recovery_score": day["recovery"]["score"],
                "hrv_rmssd_milli": day["recovery"]["hrv"],
                "resting_heart_rate": day["recovery"]["rhr"],
                "sleep_performance": day["sleep"]["performance"],
                "sleep_duration_milli": day["sleep"]["duration_milli"],
                "strain": day["cycle"]["strain"],
                "calories": day["cycle"]["calories"],
                "workouts": day["workouts"].as_array().unwrap().len(),
            });
            let mut brief = brief.clone();
            // The number of workouts is null if it is unknown whether there were any.
            if brief["workouts"].is_null() {
                assert!(day["missing"]["workouts"].is_string(), "{day}");
                brief["workouts"] = json!(0);
            }
            assert_eq!(brief, expected, "{date} of {person}");
        }
    }
}

#[tokio::test]
async fn a_span_without_data_is_null_on_every_date() {
    let stage = Stage::new().await;
    let stranger = stage.member("stranger");
    let days = range(&stranger, today() - Days::new(2), today()).await;

    assert_eq!(days.len(), 3);
    for day in days {
        let day = day.as_object().unwrap();
        assert!(
            day.iter()
                .all(|(name, value)| name == "date" || value.is_null())
        );
    }
}

#[tokio::test]
async fn a_span_needs_both_ends_in_order_and_has_at_most_400_days() {
    let (_stage, alice) = Stage::with_member().await;
    for (rest, kind, field) in [
        ("", "missing-date", "from"),
        ("?from=2026-01-01", "missing-date", "to"),
        ("?from=yesterday&to=2026-01-01", "invalid-date", "from"),
        ("?from=2026-01-02&to=2026-01-01", "span-reversed", "to"),
        ("?from=2025-01-01&to=2026-02-05", "span-too-long", "to"),
    ] {
        let answer = alice.get("range", rest).await;
        answer.assert_invalid(kind, field);
    }
    let longest = alice.get("range", "?from=2025-01-01&to=2026-02-04").await;
    assert_eq!(longest.expect(200)["days"].as_array().unwrap().len(), 400);
}

#[tokio::test]
async fn pages_of_any_size_contain_each_record_once_as_whoop_sent_it() {
    let (stage, alice) = Stage::with_member().await;
    let truth = stage.world().records().truth(stage.world().people()[0]);
    for (data_type, plural) in [
        ("recovery", "recoveries"),
        ("sleep", "sleeps"),
        ("workout", "workouts"),
        ("cycle", "cycles"),
    ] {
        let all = all_records(&alice, data_type, 200).await;
        let dates: Vec<&str> = all
            .iter()
            .map(|one| one["local_date"].as_str().unwrap())
            .collect();
        assert!(
            dates.windows(2).all(|pair| pair[0] >= pair[1]),
            "{data_type}"
        );
        for limit in [1, 7] {
            assert_eq!(all_records(&alice, data_type, limit).await, all);
        }
        // The oldest history is still being read. The records that are already stored are the same
        // as WHOOP's.
        let known: BTreeSet<String> = truth[plural]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| plain(record.clone()))
            .collect();
        assert!(all.len() > 10, "{data_type}: {}", all.len());
        for mut record in all {
            record.as_object_mut().unwrap().remove("local_date");
            let record = plain(record);
            assert!(known.contains(&record), "{data_type}: {record}");
        }
    }
}

/// Returns the same text for equal values: 82.0 and 82 are the same number, and a null field is the
/// same as an absent one.
fn plain(value: Value) -> String {
    fn numbers(value: &mut Value) {
        match value {
            Value::Number(number) => {
                let float = number.as_f64().unwrap();
                let is_whole = float.fract() == 0.0 && float.abs() < 9e15;
                if number.is_f64() && is_whole {
                    let integer: i64 = format!("{float:.0}").parse().unwrap();
                    *value = json!(integer);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(numbers),
            Value::Object(members) => {
                members.retain(|_, value| !value.is_null());
                members.values_mut().for_each(numbers);
            }
            _ => (),
        }
    }
    let mut value = value;
    numbers(&mut value);
    value.to_string()
}

#[tokio::test]
async fn the_records_of_a_span_are_those_of_its_local_dates() {
    let (_stage, alice) = Stage::with_member().await;
    let (from, to) = (today() - Days::new(9), today() - Days::new(3));
    let page = alice
        .get("records/sleep", &format!("?from={from}&to={to}"))
        .await
        .expect(200);
    let within = all_records(&alice, "sleep", 200).await;
    let within: Vec<&Value> = within
        .iter()
        .filter(|one| {
            let date: NaiveDate = one["local_date"].as_str().unwrap().parse().unwrap();
            (from..=to).contains(&date)
        })
        .collect();

    assert!(!within.is_empty());
    assert_eq!(page["records"], json!(within));
    assert!(page["next_cursor"].is_null());
}

#[tokio::test]
async fn an_invalid_data_type_cursor_or_limit_is_refused() {
    let (_stage, alice) = Stage::with_member().await;
    for (route, rest, kind, field) in [
        ("records/steps", "", "unknown-data-type", "data_type"),
        ("records/sleep", "?limit=201", "invalid-number", "limit"),
        ("records/sleep", "?limit=0", "invalid-number", "limit"),
        ("records/sleep", "?cursor=abc", "invalid-cursor", "cursor"),
        ("records/sleep", "?from=2026-02-30", "invalid-date", "from"),
        (
            "records/sleep",
            "?from=2026-02-02&to=2026-02-01",
            "span-reversed",
            "to",
        ),
    ] {
        alice.get(route, rest).await.assert_invalid(kind, field);
    }
}
