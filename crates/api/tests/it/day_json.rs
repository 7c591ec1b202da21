//! The day as it goes over the wire, to the letter.

use serde_json::{Value, json};
use whoop_sim::{DataType, SimConfig};

use crate::harness::{Stage, two_months};

/// The same text with a line for each member, nothing else changed: order,
/// spelling of numbers and times stay as they were sent.
fn lines(text: &str) -> String {
    let (mut out, mut depth, mut in_string, mut escaped) = (String::new(), 0, false, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if in_string {
            out.push(letter);
            in_string = escaped || letter != '"';
            escaped = letter == '\\' && !escaped;
            continue;
        }
        let line = |depth: usize| format!("\n{}", "  ".repeat(depth));
        match letter {
            '{' | '[' => {
                out.push(letter);
                // Nothing has no lines.
                match letters.next_if(|next| matches!(next, '}' | ']')) {
                    Some(close) => out.push(close),
                    None => {
                        depth += 1;
                        out.push_str(&line(depth));
                    }
                }
            }
            '}' | ']' => {
                depth -= 1;
                out.push_str(&line(depth));
                out.push(letter);
            }
            ',' => {
                out.push(letter);
                out.push_str(&line(depth));
            }
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

    let day = alice.get("daily-data", "?date=2026-10-19").await;

    insta::assert_snapshot!(lines(&day.text), @r#"
    {
      "user_id": "alice",
      "date": "2026-10-19",
      "recovery": {
        "score": 76,
        "hrv": 96.699684,
        "rhr": 45,
        "spo2": 93.291,
        "skin_temp": 32.820694,
        "calibrating": false,
        "cycle_id": 1732227584,
        "sleep_id": "fe626e00-ef7d-454b-a5a2-72041f2e3770",
        "state": "SCORED"
      },
      "sleep": {
        "id": "fe626e00-ef7d-454b-a5a2-72041f2e3770",
        "duration": "5h 51m",
        "duration_milli": 21076923,
        "performance": 63,
        "efficiency": 93.525894,
        "consistency": 75,
        "respiratory_rate": 12.9140625,
        "start": "2026-10-18T20:52:38.921Z",
        "end": "2026-10-19T03:08:14.844Z",
        "timezone_offset": "+02:00",
        "stages": {
          "light_milli": 9325923,
          "slow_wave_milli": 5270000,
          "rem_milli": 6481000,
          "awake_milli": 1459000
        },
        "need_milli": 33557844,
        "state": "SCORED"
      },
      "naps": [],
      "cycle": {
        "id": 1732227584,
        "strain": 7.1996446,
        "calories": 2393,
        "kilojoule": 10010.428,
        "average_heart_rate": 59,
        "max_heart_rate": 123,
        "steps": 12870,
        "start": "2026-10-18T20:52:38.921Z",
        "end": "2026-10-19T21:55:45.975Z",
        "state": "SCORED"
      },
      "workouts": [
        {
          "id": "b261b3b1-029e-4e98-9f9a-027b34ee0efc",
          "sport": "hot_tub",
          "strain": 0.54755276,
          "calories": 61,
          "start": "2026-10-19T14:06:24.690Z",
          "end": "2026-10-19T14:29:01.622Z",
          "average_heart_rate": 79,
          "max_heart_rate": 112,
          "distance_meter": null,
          "zones_milli": [
            644862,
            538090,
            173980,
            0,
            0,
            0
          ],
          "state": "SCORED"
        }
      ],
      "missing": {},
      "meta": {
        "source": "database",
        "connection": "connected",
        "last_synced_at": "2026-10-20T15:07:00.000Z",
        "stale": false,
        "sync": "not_needed",
        "detail": null
      }
    }
    "#);
}

#[tokio::test]
async fn a_day_that_still_runs_has_no_end() {
    let (_stage, alice) = Stage::with_member().await;

    let day = alice.get("daily-data", "").await;

    insta::assert_snapshot!(lines(&day.text), @r#"
    {
      "user_id": "alice",
      "date": "2026-10-20",
      "recovery": {
        "score": 57,
        "hrv": 70.104324,
        "rhr": 49,
        "spo2": 93.729,
        "skin_temp": 34.73972,
        "calibrating": false,
        "cycle_id": 1732534784,
        "sleep_id": "242359f5-338a-4273-af11-5da283044a14",
        "state": "SCORED"
      },
      "sleep": {
        "id": "242359f5-338a-4273-af11-5da283044a14",
        "duration": "7h 0m",
        "duration_milli": 25217243,
        "performance": 77,
        "efficiency": 94.48821,
        "consistency": 69,
        "respiratory_rate": 13.068359,
        "start": "2026-10-19T21:55:45.975Z",
        "end": "2026-10-20T05:20:34.218Z",
        "timezone_offset": "+02:00",
        "stages": {
          "light_milli": 15226243,
          "slow_wave_milli": 4467000,
          "rem_milli": 5524000,
          "awake_milli": 1471000
        },
        "need_milli": 32655147,
        "state": "SCORED"
      },
      "naps": [
        {
          "id": "fe8f6d74-f487-4935-8636-6cf26e33940a",
          "duration": "0h 33m",
          "duration_milli": 2016710,
          "performance": null,
          "efficiency": 89.80278,
          "consistency": null,
          "respiratory_rate": 13.2421875,
          "start": "2026-10-20T11:45:23.298Z",
          "end": "2026-10-20T12:22:49.008Z",
          "timezone_offset": "+02:00",
          "stages": {
            "light_milli": 1604710,
            "slow_wave_milli": 412000,
            "rem_milli": 0,
            "awake_milli": 229000
          },
          "need_milli": 31371397,
          "state": "SCORED"
        }
      ],
      "cycle": {
        "id": 1732534784,
        "strain": 6.5617228,
        "calories": 1600,
        "kilojoule": 6692.527,
        "average_heart_rate": 63,
        "max_heart_rate": 123,
        "steps": 3366,
        "start": "2026-10-19T21:55:45.975Z",
        "end": null,
        "state": "SCORED"
      },
      "workouts": [],
      "missing": {
        "workouts": "not_recorded"
      },
      "meta": {
        "source": "database",
        "connection": "connected",
        "last_synced_at": "2026-10-20T15:07:00.000Z",
        "stale": false,
        "sync": "not_needed",
        "detail": null
      }
    }
    "#);
}

#[tokio::test]
async fn a_day_of_which_nothing_is_known_has_reasons_instead() {
    let stage = Stage::new().await;
    let alice = stage.member("alice");

    let day = alice.get("daily-data", "?date=2026-10-18").await;

    insta::assert_snapshot!(lines(&day.text), @r#"
    {
      "user_id": "alice",
      "date": "2026-10-18",
      "recovery": null,
      "sleep": null,
      "naps": [],
      "cycle": null,
      "workouts": [],
      "missing": {
        "cycle": "not_synced",
        "recovery": "not_synced",
        "sleep": "not_synced",
        "workouts": "not_synced"
      },
      "meta": {
        "source": "database",
        "connection": "never_connected",
        "last_synced_at": null,
        "stale": true,
        "sync": "off",
        "detail": null
      }
    }
    "#);
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
        world
            .patch(whoop_user_id, data_type, id, patch.clone())
            .unwrap();
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
        let member = stage
            .connect_person(&format!("member {index}"), index)
            .await;
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
