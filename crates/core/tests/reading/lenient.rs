//! Tests of lenient parsing: every value with an unambiguous meaning is parsed without loss of
//! digits.

use serde_json::{Value, json, value::RawValue};
use whoop_core::{
    DataType,
    record::{Cycle, Record, Recovery, RejectedRecord, ScoreState, Sleep, Workout, parse_record},
};

use super::*;

#[test]
fn records_are_written_back_as_whoop_sent_them() {
    assert_eq!(to_json(&read_json::<Cycle>(&cycle()).unwrap()), cycle());
    assert_eq!(
        to_json(&read_json::<Recovery>(&recovery()).unwrap()),
        recovery()
    );
    assert_eq!(to_json(&read_json::<Sleep>(&sleep()).unwrap()), sleep());
    assert_eq!(
        to_json(&read_json::<Workout>(&workout()).unwrap()),
        workout()
    );
}

#[test]
fn optional_values_may_be_null_or_absent() {
    fn check<R: Record>(complete: &Value, required: &[&str]) {
        for pointer in pointers(complete) {
            let absent = read_json::<R>(&without(complete, &pointer));
            let null = read_json::<R>(&with(complete, &pointer, Value::Null));
            if required.contains(&pointer.as_str()) {
                assert!(absent.is_err(), "{pointer} may not be absent");
                assert!(null.is_err(), "{pointer} may not be null");
            } else {
                // An absent field and a null field both become `None`, and never zero.
                let expected = with(complete, &pointer, Value::Null);
                assert_eq!(to_json(&absent.unwrap()), expected, "{pointer} absent");
                assert_eq!(to_json(&null.unwrap()), expected, "{pointer} null");
            }
        }
    }
    let common = ["/user_id", "/created_at", "/updated_at", "/score_state"];
    check::<Cycle>(&cycle(), &[&common[..], &["/id", "/start"]].concat());
    check::<Recovery>(
        &recovery(),
        &[&common[..], &["/cycle_id", "/sleep_id"]].concat(),
    );
    check::<Sleep>(&sleep(), &[&common[..], &["/id", "/start"]].concat());
    check::<Workout>(&workout(), &[&common[..], &["/id", "/start"]].concat());
}

#[test]
fn a_whole_number_may_be_written_with_a_decimal_point() {
    let sent = with(
        &with(
            &sleep(),
            "/score/stage_summary/total_rem_sleep_time_milli",
            json!(7_000_000.0),
        ),
        "/score/stage_summary/disturbance_count",
        json!(13.0),
    );

    let stages = read_json::<Sleep>(&sent)
        .unwrap()
        .score
        .unwrap()
        .stage_summary
        .unwrap();

    assert_eq!(stages.total_rem_sleep_time_milli, Some(7_000_000));
    assert_eq!(stages.disturbance_count, Some(13));
    assert_eq!(
        read_json::<Cycle>(&with(&cycle(), "/step_count", json!(0.0)))
            .unwrap()
            .step_count,
        Some(0)
    );
}

#[test]
fn an_invalid_whole_number_is_rejected() {
    for invalid in [
        json!(13.5),
        json!("13"),
        json!(true),
        json!(1e300),
        json!(u64::MAX),
    ] {
        let rejected = read_json::<Cycle>(&with(&cycle(), "/step_count", invalid.clone()));

        let reason = rejected.unwrap_err().reason;
        assert!(reason.starts_with("step_count: "), "{invalid}: {reason}");
    }
}

#[test]
fn a_measurement_may_be_written_without_a_decimal_point() {
    let sent = with(&recovery(), "/score/hrv_rmssd_milli", json!(48));

    let score = read_json::<Recovery>(&sent).unwrap().score.unwrap();

    assert_eq!(score.hrv_rmssd_milli, Some(48.0));
}

#[test]
fn unknown_fields_are_kept_at_every_depth() {
    fn check<R: Record>(complete: &Value) {
        let mut parents = vec![String::new()];
        parents.extend(
            pointers(complete)
                .into_iter()
                .filter(|pointer| complete.pointer(pointer).is_some_and(Value::is_object)),
        );
        let mut sent = complete.clone();
        for parent in &parents {
            let unknown = json!({"deep": [1, {"deeper": null}], "exact": 0.1, "text": "ü🙂\\\""});
            sent = with(&sent, &format!("{parent}/added_tomorrow"), unknown);
            sent = with(&sent, &format!("{parent}/"), json!("a name may be empty"));
        }
        assert_eq!(to_json(&read_json::<R>(&sent).unwrap()), sent);
    }
    check::<Cycle>(&cycle());
    check::<Recovery>(&recovery());
    check::<Sleep>(&sleep());
    check::<Workout>(&workout());
}

#[test]
fn an_unknown_score_state_is_kept_as_sent() {
    let sent = with(&cycle(), "/score_state", json!("AWAITING_STARS"));

    let record = read_json::<Cycle>(&sent).unwrap();

    assert_eq!(record.score_state.as_str(), "AWAITING_STARS");
    assert!(record.score_state.is_pending());
    assert_eq!(to_json(&record), sent);
    assert!(!ScoreState::Unscorable.is_pending());
    // A score state is recognized only in the spelling that WHOOP documents.
    assert_eq!(
        ScoreState::from("scored".to_owned()),
        ScoreState::Other("scored".to_owned())
    );
}

#[test]
fn ids_keep_every_digit_and_every_letter() {
    for id in [0, 2_147_483_648, 9_007_199_254_740_993, i64::MAX] {
        let record = read_json::<Cycle>(&with(&cycle(), "/id", json!(id))).unwrap();
        assert_eq!(record.id.0, id);
        assert_eq!(Record::id(&record), id.to_string());
    }
    let sent = with(&workout(), "/id", json!("0B7E6A3C-74b4-not-quite-a-uuid"));
    assert_eq!(
        Record::id(&read_json::<Workout>(&sent).unwrap()),
        "0B7E6A3C-74b4-not-quite-a-uuid"
    );
    // An id that exceeds the range of its column is an error and is not rounded.
    let text = cycle()
        .to_string()
        .replace("2400000017", "9223372036854775808");
    let rejected = parse_record::<Cycle>(&RawValue::from_string(text).unwrap()).unwrap_err();
    assert!(rejected.reason.starts_with("id: "), "{}", rejected.reason);
}

#[test]
fn an_instant_keeps_its_decimals_and_is_written_in_utc() {
    for (sent, kept) in [
        ("2026-05-05T06:10:00Z", "2026-05-05T06:10:00.000Z"),
        ("2026-05-05T08:10:00.120+02:00", "2026-05-05T06:10:00.120Z"),
        ("2026-05-05T06:10:00.123456Z", "2026-05-05T06:10:00.123456Z"),
    ] {
        let record = read_json::<Recovery>(&with(&recovery(), "/updated_at", json!(sent))).unwrap();
        assert_eq!(to_json(&record)["updated_at"], json!(kept));
    }
}

#[test]
fn a_rejected_record_keeps_its_raw_text_and_the_others_are_parsed() {
    let invalid = with(&sleep(), "/score/respiratory_rate", json!("fifteen"));
    let page = [raw(&sleep()), raw(&invalid), raw(&sleep())];

    let outcome: Vec<Result<Sleep, RejectedRecord>> =
        page.iter().map(|one| parse_record(one)).collect();

    assert!(outcome[0].is_ok() && outcome[2].is_ok());
    let rejected = outcome[1].clone().unwrap_err();
    assert_eq!(rejected.data_type, DataType::Sleep);
    assert_eq!(rejected.raw, page[1].get());
    assert_eq!(
        rejected.record_id.as_deref(),
        Some("5d1c0a5e-3b8c-4a52-8c77-0f3f6f0d2a11")
    );
    assert!(
        rejected.reason.starts_with("score.respiratory_rate: "),
        "{}",
        rejected.reason
    );
}

#[test]
fn a_rejected_recovery_has_the_id_of_its_cycle_and_a_value_without_an_id_has_none() {
    let invalid = with(&recovery(), "/score_state", Value::Null);
    let id = read_json::<Recovery>(&invalid).unwrap_err().record_id;
    assert_eq!(id.as_deref(), Some("2400000017"));

    for value in [
        json!({}),
        json!([]),
        json!(null),
        json!("cycle"),
        json!({"id": {}}),
    ] {
        let rejected = read_json::<Cycle>(&value).unwrap_err();
        assert_eq!(rejected.record_id, None, "{value}");
        assert_eq!(rejected.raw, value.to_string());
    }
}
