//! Law 1: no value is lost when WHOOP's record is stored and read again.

use serde_json::{Value, json};
use whoop_core::{
    DataType, UserId,
    record::{Cycle, Recovery, Sleep, Workout},
};
use whoop_storage::records::{self, DateRange};

use crate::{
    generate,
    stand::{self, Stand, WHOOP_USER, connect, for_any, store},
    whole,
};

/// Stores one record of each data type and reads all records, grouped by data type, in WHOOP's
/// format.
async fn through_the_tables(
    stand: &Stand,
    member: &UserId,
    (cycle, recovery, sleep, workout): (&Cycle, &Recovery, &Sleep, &Workout),
) -> Vec<Vec<Value>> {
    let mut conn = stand.connection().await;
    for written in [
        store(&mut conn, member, std::slice::from_ref(sleep)).await,
        store(&mut conn, member, std::slice::from_ref(cycle)).await,
        store(&mut conn, member, std::slice::from_ref(recovery)).await,
        store(&mut conn, member, std::slice::from_ref(workout)).await,
    ] {
        assert_eq!((written.inserted, written.rejected), (1, 0));
    }
    let mut all = Vec::new();
    for data_type in [
        DataType::Cycle,
        DataType::Recovery,
        DataType::Sleep,
        DataType::Workout,
    ] {
        let span = DateRange::default();
        let rows = records::page(&mut conn, member, data_type, &span, None, 10).await;
        let whole = rows.unwrap().into_iter().map(|row| {
            let whole = row.into_record(WHOOP_USER).unwrap();
            serde_json::to_value(whole).unwrap()
        });
        all.push(whole.collect());
    }
    all
}

async fn assert_survives(
    stand: &Stand,
    member: &UserId,
    sent: (&Cycle, &Recovery, &Sleep, &Workout),
) {
    let read = through_the_tables(stand, member, sent).await;

    let (cycle, recovery, sleep, workout) = sent;
    assert_eq!(
        read,
        [
            [json!(cycle)],
            [json!(recovery)],
            [json!(sleep)],
            [json!(workout)]
        ]
    );
}

fn holds_null(json: &Value) -> bool {
    match json {
        Value::Null => true,
        Value::Object(map) => map
            .iter()
            .any(|(name, inner)| name != "added" && holds_null(inner)),
        _ => false,
    }
}

#[tokio::test]
async fn a_record_with_every_field_comes_back_as_it_was_sent() {
    let stand = Stand::new().await;
    let member = connect(&mut stand.connection().await, "mara").await;
    let (cycle, recovery, sleep, workout) = whole::records();
    // A field that is added to the types later has to be set in these records too.
    for whole in [json!(cycle), json!(recovery), json!(sleep), json!(workout)] {
        assert!(!holds_null(&whole), "a field is not set: {whole}");
    }

    assert_survives(&stand, &member, (&cycle, &recovery, &sleep, &workout)).await;
}

#[tokio::test]
async fn what_is_absent_comes_back_absent_and_never_as_zero() {
    let stand = Stand::new().await;
    let member = connect(&mut stand.connection().await, "mara").await;
    let common = json!({
        "user_id": WHOOP_USER, "created_at": "2026-05-02T06:31:00.000Z",
        "updated_at": "2026-05-02T06:31:00.000Z", "score_state": "PENDING_SCORE",
    });
    let with = |own: Value| {
        let mut whole = common.clone();
        whole
            .as_object_mut()
            .unwrap()
            .extend(own.as_object().unwrap().clone());
        whole
    };
    let start = "2026-05-01T22:00:00.000Z";
    let cycle: Cycle = serde_json::from_value(with(json!({"id": 5, "start": start}))).unwrap();
    let recovery: Recovery =
        serde_json::from_value(with(json!({"cycle_id": 5, "sleep_id": "a"}))).unwrap();
    let sleep: Sleep = serde_json::from_value(with(json!({"id": "a", "start": start}))).unwrap();
    let workout: Workout =
        serde_json::from_value(with(json!({"id": "b", "start": start}))).unwrap();

    assert_survives(&stand, &member, (&cycle, &recovery, &sleep, &workout)).await;

    // No column contains an invented value either, except the local date and the time of storing.
    for table in [
        "whoop_cycle",
        "whoop_recovery",
        "whoop_sleep",
        "whoop_workout",
    ] {
        let row = stand
            .value(&format!("SELECT to_jsonb({table})::text FROM {table}"))
            .await;
        let row: Value = serde_json::from_str(&row.unwrap()).unwrap();
        let set: Vec<&str> = row
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| value.is_number() || value.is_boolean())
            .map(|(column, _)| column.as_str())
            // This column is set by the service: whether the date shows another cycle.
            .filter(|column| *column != "in_others")
            .collect();
        assert!(set.is_empty(), "{table}: {set:?}");
    }
}

#[tokio::test]
async fn fields_that_whoop_added_come_back_at_the_depth_where_they_were() {
    let stand = Stand::new().await;
    let member = connect(&mut stand.connection().await, "mara").await;
    let names = json!({"": 1, "a b": {"": {}}, "score ": [[]], "{\"": "\\u0001\u{1}", "é": null});
    let score = json!({"added": names});
    let cycle = stand::cycle(5, json!({"score": score, "x": names}));
    let recovery = stand::recovery(5, "a", json!({"score": score, "x": names}));
    // Objects in which only the added fields have values.
    let sleep = stand::sleep(
        "a",
        5,
        json!({"score": {"stage_summary": score, "sleep_needed": score}}),
    );
    let workout = stand::workout("b", json!({"score": {"zone_durations": score}}));

    assert_survives(&stand, &member, (&cycle, &recovery, &sleep, &workout)).await;
}

#[test]
fn any_record_comes_back_value_for_value() {
    let records = (
        generate::cycle(),
        generate::recovery(),
        generate::sleep(),
        generate::workout(),
    );
    for_any(
        96,
        records,
        async |stand, member, (cycle, recovery, sleep, workout)| {
            assert_survives(stand, member, (&cycle, &recovery, &sleep, &workout)).await;
        },
    );
}

/// Collects the leaf fields of a record by their last name.
fn leaves(json: &Value, into: &mut Vec<(String, Value)>) {
    for (name, inner) in json.as_object().unwrap() {
        match inner {
            _ if name == "added" => {}
            Value::Object(_) => leaves(inner, into),
            _ => into.push((name.clone(), inner.clone())),
        }
    }
}

/// The round-trip tests would not detect two columns that are swapped both on writing and on
/// reading.
#[tokio::test]
async fn each_column_holds_the_field_that_it_is_named_for() {
    let stand = Stand::new().await;
    let member = connect(&mut stand.connection().await, "mara").await;
    let (cycle, recovery, sleep, workout) = whole::records();
    through_the_tables(&stand, &member, (&cycle, &recovery, &sleep, &workout)).await;

    for (table, sent, strain) in [
        ("whoop_cycle", json!(cycle), "day_strain"),
        ("whoop_recovery", json!(recovery), ""),
        ("whoop_sleep", json!(sleep), ""),
        ("whoop_workout", json!(workout), "strain_score"),
    ] {
        let row = stand
            .value(&format!("SELECT to_jsonb({table})::text FROM {table}"))
            .await;
        let row: Value = serde_json::from_str(&row.unwrap()).unwrap();
        let mut fields = Vec::new();
        leaves(&sent, &mut fields);
        for (field, value) in fields {
            let column = match field.as_str() {
                "user_id" => continue,
                "start" => "start_time",
                "end" => "end_time",
                "strain" => strain,
                same => same,
            };
            let is_kept = match (&row[column], &value) {
                // Ids are stored as text, even if WHOOP sends numbers.
                (Value::String(kept), Value::Number(sent)) => *kept == sent.to_string(),
                (Value::Number(kept), Value::Number(sent)) => kept.as_f64() == sent.as_f64(),
                (Value::String(kept), Value::String(sent)) => {
                    kept == sent || stand::at(kept) == stand::at(sent)
                }
                (kept, sent) => kept == sent,
            };
            assert!(
                is_kept,
                "{table}.{column} is {} and not {value}",
                row[column]
            );
        }
    }
    let kcal = stand
        .value("SELECT calories_burned::text FROM whoop_cycle")
        .await;
    assert_eq!(kcal.unwrap().parse::<f64>().unwrap(), 10_237.812_5 / 4.184);
    let asleep = stand
        .value("SELECT total_sleep_time_milli::text FROM whoop_sleep")
        .await;
    assert_eq!(asleep.as_deref(), Some("27155015"));
}
