//! The day as it goes over the wire, to the letter.

use serde_json::{Value, json};
use whoop_sim::{DataType, SimConfig};

use crate::harness::{Stage, two_months};

/// The same text with a line for each member, nothing else changed: order,
/// spelling of numbers and times stay as they were sent.
fn lines(text: &str) -> String {
    let (mut out, mut depth, mut in_string, mut escaped) = (String::new(), 0, false, false);
    for letter in text.chars() {
        if in_string {
            out.push(letter);
            in_string = escaped || letter != '"';
            escaped = letter == '\\' && !escaped;
            continue;
        }
        match letter {
            '{' | '[' => {
                depth += 1;
                out.push(letter);
                out.push_str(&format!("\n{}", "  ".repeat(depth)));
            }
            '}' | ']' => {
                depth -= 1;
                out.push_str(&format!("\n{}{letter}", "  ".repeat(depth)));
            }
            ',' => out.push_str(&format!(",\n{}", "  ".repeat(depth))),
            ':' => out.push_str(": "),
            _ => {
                in_string = letter == '"';
                out.push(letter);
            }
        }
    }
    out
}

fn recoveries(stage: &Stage) -> Vec<Value> {
    let whoop_user_id = stage.world().people()[0];
    let truth = stage.world().truth(whoop_user_id);
    truth["recoveries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_day_that_is_over_has_every_part() {
    let (_stage, alice) = Stage::with_member().await;

    let day = alice.get("daily-data", "?date=2026-10-18").await;

    insta::assert_snapshot!(lines(&day.text), @"");
}

#[tokio::test]
async fn a_day_that_still_runs_has_no_end() {
    let (_stage, alice) = Stage::with_member().await;

    let day = alice.get("daily-data", "").await;

    insta::assert_snapshot!(lines(&day.text), @"");
}

#[tokio::test]
async fn a_day_of_which_nothing_is_known_has_reasons_instead() {
    let stage = Stage::new().await;
    let alice = stage.member("alice");

    let day = alice.get("daily-data", "?date=2026-10-18").await;

    insta::assert_snapshot!(lines(&day.text), @"");
}

#[tokio::test]
async fn each_absent_part_has_its_own_reason() {
    let stage = Stage::new().await;
    let world = stage.world();
    let whoop_user_id = world.people()[0];
    let newest = recoveries(&stage).into_iter().next().unwrap();
    let pending = json!({"score_state": "PENDING_SCORE", "score": null});
    let cycle = newest["cycle_id"].clone();
    let patch = |data_type, id: &Value, patch: &Value| {
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        world.patch(whoop_user_id, data_type, id, patch.clone()).unwrap();
    };
    patch(DataType::Recovery, &cycle, &pending);
    patch(
        DataType::Sleep,
        &newest["sleep_id"],
        &json!({"score_state": "UNSCORABLE", "score": null}),
    );
    for workout in world.truth(whoop_user_id)["workouts"].as_array().unwrap() {
        let id = workout["id"].as_str().unwrap();
        world.delete(whoop_user_id, DataType::Workout, id).unwrap();
    }
    let alice = stage.connect("alice").await;

    let day = alice.day("").await;

    assert_eq!(
        day["missing"],
        json!({
            "recovery": "pending_score",
            "sleep": "unscorable",
            "workouts": "not_recorded",
        })
    );
    assert_eq!(day["recovery"], Value::Null);
    assert_eq!(day["sleep"]["state"], "UNSCORABLE");
    assert_eq!(day["sleep"]["duration"], Value::Null);
    assert_eq!(day["sleep"]["performance"], Value::Null);
    assert_eq!(day["workouts"], json!([]));
}

#[tokio::test]
async fn every_number_of_whoop_arrives_as_it_was_sent() {
    let (stage, alice) = Stage::with_member().await;
    let newest = recoveries(&stage).into_iter().next().unwrap();

    let recovery = alice.day("").await["recovery"].clone();

    for (ours, theirs) in [
        ("score", "recovery_score"),
        ("hrv", "hrv_rmssd_milli"),
        ("rhr", "resting_heart_rate"),
        ("spo2", "spo2_percentage"),
        ("skin_temp", "skin_temp_celsius"),
    ] {
        let theirs = &newest["score"][theirs];
        assert!(theirs.is_number(), "{newest:#}");
        assert_eq!(recovery[ours].as_f64(), theirs.as_f64(), "{ours}");
    }
}

#[tokio::test]
async fn no_day_of_anybody_has_a_whole_number_with_a_point() {
    // One of each life that the simulator knows.
    let stage = Stage::with(SimConfig {
        people: 9,
        ..two_months()
    })
    .await;

    for index in 0..9 {
        let member = stage.connect_person(&format!("member {index}"), index).await;
        for day in 10..=20 {
            // The harness holds each against the schema.
            let answer = member
                .get("daily-data", &format!("?date=2026-10-{day}"))
                .await;
            answer.expect(200);
            let numbers = answer.text.split([',', ':', '[', ']', '{', '}']);
            let odd: Vec<&str> = numbers.filter(|word| word.ends_with(".0")).collect();
            assert_eq!(odd, [""; 0], "member {index}, {day} October");
        }
    }
}

#[tokio::test]
async fn nobody_but_the_caller_may_keep_an_answer() {
    let (_stage, alice) = Stage::with_member().await;

    for route in ["daily-data", "sync-status", "connection"] {
        let answer = alice.get(route, "").await;
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    }
}
