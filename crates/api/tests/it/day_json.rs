//! The exact JSON of the response for a day.

use serde_json::{Value, json};
use whoop_sim::{SimConfig, SimDataType};

use crate::harness::{Stage, two_months};

/// Returns the JSON text with one line per field.
///
/// The order of the fields, and the spelling of numbers and times, remain as the API sent them.
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
                // An empty object or array has no lines.
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
    let truth = stage.world().records().truth(whoop_user_id);
    truth["recoveries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_past_day_has_every_part() {
    let (_stage, alice) = Stage::with_member().await;

    let day = alice.get("daily-data", "?date=2026-10-19").await;

    insta::assert_snapshot!(lines(&day.text), @r#"
    {
      "user_id": "alice",
      "date": "2026-10-19",
      "recovery": {
        "score": 71,
        "hrv": 50.985115,
        "rhr": 50,
        "spo2": 93.242,
        "skin_temp": 33.187756,
        "calibrating": false,
        "cycle_id": 1976289792,
        "sleep_id": "98442849-5817-4231-8490-77df8137162c",
        "state": "SCORED"
      },
      "sleep": {
        "id": "98442849-5817-4231-8490-77df8137162c",
        "duration": "6h 58m",
        "duration_milli": 25116931,
        "performance": 92,
        "efficiency": 87.172424,
        "consistency": 49,
        "respiratory_rate": 16.542969,
        "start": "2026-10-18T20:55:15.384Z",
        "end": "2026-10-19T04:55:28.315Z",
        "timezone_offset": "+02:00",
        "stages": {
          "light_milli": 13736931,
          "slow_wave_milli": 6522000,
          "rem_milli": 4858000,
          "awake_milli": 3696000
        },
        "need_milli": 27414110,
        "state": "SCORED"
      },
      "naps": [
        {
          "id": "2777870d-dd70-4ee6-bf31-79eaeb91ed28",
          "duration": "1h 18m",
          "duration_milli": 4710289,
          "performance": null,
          "efficiency": 93.48985,
          "consistency": null,
          "respiratory_rate": 17.917969,
          "start": "2026-10-19T11:34:19.167Z",
          "end": "2026-10-19T13:01:46.456Z",
          "timezone_offset": "+02:00",
          "stages": {
            "light_milli": 2569289,
            "slow_wave_milli": 1199000,
            "rem_milli": 942000,
            "awake_milli": 328000
          },
          "need_milli": 29894530,
          "state": "SCORED"
        }
      ],
      "cycle": {
        "id": 1976289792,
        "strain": 13.5440035,
        "calories": 3092,
        "kilojoule": 12936.775,
        "average_heart_rate": 69,
        "max_heart_rate": 153,
        "steps": 10112,
        "start": "2026-10-18T20:55:15.384Z",
        "end": "2026-10-19T21:52:48.580Z",
        "state": "SCORED"
      },
      "workouts": [
        {
          "id": "0c89ca86-24d7-4da0-875b-c4024cc43414",
          "sport": "cycling",
          "strain": 12.97056,
          "calories": 1111,
          "start": "2026-10-19T15:16:50.272Z",
          "end": "2026-10-19T17:13:38.987Z",
          "timezone_offset": "+02:00",
          "average_heart_rate": 124,
          "max_heart_rate": 153,
          "distance_meter": 47579.4,
          "zones_milli": [
            0,
            629530,
            2017250,
            2331965,
            1699120,
            330850
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
async fn the_running_day_has_no_end() {
    let (_stage, alice) = Stage::with_member().await;

    let day = alice.get("daily-data", "").await;

    insta::assert_snapshot!(lines(&day.text), @r#"
    {
      "user_id": "alice",
      "date": "2026-10-20",
      "recovery": {
        "score": 53,
        "hrv": 51.961,
        "rhr": 52,
        "spo2": 93.372,
        "skin_temp": 34.148724,
        "calibrating": false,
        "cycle_id": 1976699392,
        "sleep_id": "10fe7b98-36b0-4964-8765-5f6290358ca9",
        "state": "SCORED"
      },
      "sleep": {
        "id": "10fe7b98-36b0-4964-8765-5f6290358ca9",
        "duration": "7h 1m",
        "duration_milli": 25270881,
        "performance": 100,
        "efficiency": 93.43708,
        "consistency": 85,
        "respiratory_rate": 16.914063,
        "start": "2026-10-19T21:52:48.580Z",
        "end": "2026-10-20T05:23:34.461Z",
        "timezone_offset": "+02:00",
        "stages": {
          "light_milli": 15507881,
          "slow_wave_milli": 5140000,
          "rem_milli": 4623000,
          "awake_milli": 1775000
        },
        "need_milli": 25366094,
        "state": "SCORED"
      },
      "naps": [],
      "cycle": {
        "id": 1976699392,
        "strain": 5.9447136,
        "calories": 1341,
        "kilojoule": 5612.22,
        "average_heart_rate": 66,
        "max_heart_rate": 123,
        "steps": 2619,
        "start": "2026-10-19T21:52:48.580Z",
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
async fn a_day_without_data_has_missing_reasons() {
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
            .records()
            .patch(whoop_user_id, data_type, id, patch.clone())
            .unwrap();
    };
    patch(SimDataType::Recovery, &cycle, &pending);
    patch(
        SimDataType::Sleep,
        &newest["sleep_id"],
        &json!({"score_state": "UNSCORABLE", "score": null}),
    );
    for workout in world.records().truth(whoop_user_id)["workouts"]
        .as_array()
        .unwrap()
    {
        let id = workout["id"].as_str().unwrap();
        world
            .records()
            .delete(whoop_user_id, SimDataType::Workout, id)
            .unwrap();
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
async fn every_figure_is_the_one_that_whoop_sent() {
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
async fn whole_numbers_have_no_decimal_point_on_any_day() {
    // The simulator creates one person of each kind that it supports.
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
            // The test client validates each response against the schema.
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
async fn only_the_caller_may_cache_a_response() {
    let (_stage, alice) = Stage::with_member().await;

    for route in ["daily-data", "sync-status", "connection"] {
        let answer = alice.get(route, "").await;
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
    }
}
