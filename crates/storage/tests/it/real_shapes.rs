//! Patterns found in the data of real members: the records are stored as sent, get the right date,
//! and are shown as in WHOOP's app. The people and values are invented.

use chrono::{NaiveDate, TimeDelta};
use serde_json::{Value, json};
use whoop_core::{
    UserId,
    day::{AnswerSource, ConnectionStatus, DayContext, DayMeta, SyncOutcome, assemble_day},
    plan::{DayQuery, NightState, RefreshMode},
};
use whoop_storage::{day, day_range, reassign_local_dates::reassign_local_dates, remove};

use crate::test_env::{self, TestEnv, connect, now, store};

/// Returns a day as an app receives it. All data types count as read.
async fn day_of(env: &TestEnv, member: &UserId, date: &str) -> Value {
    let conn = env.connection().await;
    let date: NaiveDate = date.parse().unwrap();
    let stored = day::read(&conn, member, date, now()).await.unwrap();
    let query = DayQuery {
        date,
        today: date,
        offset_seconds: 0,
        now: now(),
        freshness: TimeDelta::minutes(15),
        refresh: RefreshMode::Never,
        forced_read_interval: TimeDelta::zero(),
        night_state: NightState::default(),
        dangling_references: stored.records.dangling_references(),
        conserve_quota: false,
        signals: None,
    };
    let meta = DayMeta {
        source: AnswerSource::Database,
        connection: ConnectionStatus::Connected,
        last_synced_at: None,
        stale: false,
        sync: SyncOutcome::Off,
        detail: None,
    };
    let context = DayContext {
        query: &query,
        coverage: &stored.coverage,
        connection: ConnectionStatus::Connected,
        quota_exhausted: false,
    };
    serde_json::to_value(assemble_day(member.clone(), &stored.records, context, meta)).unwrap()
}

/// Returns the dates of a range as charts show them: date, recovery, hours asleep and strain.
async fn chart(env: &TestEnv, member: &UserId, from: &str, to: &str) -> Vec<Value> {
    let conn = env.connection().await;
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    let days = day_range::read(&conn, member, from, to).await.unwrap();
    days.into_iter()
        .map(|day| {
            let minutes = day.sleep_duration_milli.map(|milli| milli / 60_000);
            json!([day.date, day.recovery_score, minutes, day.strain])
        })
        .collect()
}

fn stages(light_minutes: i64) -> Value {
    json!({"total_light_sleep_time_milli": light_minutes * 60_000,
           "total_slow_wave_sleep_time_milli": 0, "total_rem_sleep_time_milli": 0})
}

#[tokio::test]
async fn cycles_closed_after_24_hours_or_begun_at_midnight_are_dated_by_their_middle() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    // The strap was taken off at 23:05 in New York. The cycle after the return, eight days later,
    // begins at local midnight, has zeros as values and an id greater than that of the next cycle.
    let page = [
        test_env::cycle(
            7,
            json!({"start": "2026-03-02T04:05:12.480Z", "end": "2026-03-03T04:05:12.480Z",
                               "timezone_offset": "-05:00", "score": {"strain": 4.1, "kilojoule": 7800.0}}),
        ),
        test_env::cycle(
            12,
            json!({"start": "2026-03-11T04:00:00.000Z", "end": "2026-03-12T04:00:00.000Z",
                                "timezone_offset": "-04:00", "score": {"strain": 0.0, "kilojoule": 0.0}}),
        ),
        test_env::cycle(
            11,
            json!({"start": "2026-03-12T04:00:00.000Z", "end": "2026-03-13T02:40:00.000Z",
                                "timezone_offset": "-04:00", "score": {"strain": 9.5, "kilojoule": 9100.0}}),
        ),
    ];

    store(&mut conn, &member, &page).await;

    let chart = chart(&env, &member, "2026-03-01", "2026-03-12").await;
    let with_strain: Vec<_> = chart.into_iter().filter(|day| !day[3].is_null()).collect();
    assert_eq!(
        with_strain,
        [
            json!(["2026-03-02", null, null, 4.1]),
            json!(["2026-03-11", null, null, 0.0]),
            json!(["2026-03-12", null, null, 9.5]),
        ]
    );
}

#[tokio::test]
async fn a_cycle_of_twelve_hours_without_a_sleep_belongs_to_the_date_of_its_middle() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let running = json!({"start": "2026-03-07T12:26:00.000Z", "score_state": "PENDING_SCORE"});
    store(&mut conn, &member, &[test_env::cycle(7, running)]).await;
    // The cycle is still running, so it may become as long as other cycles.
    assert_eq!(day_of(&env, &member, "2026-03-08").await["cycle"]["id"], 7);

    let closed = json!({"start": "2026-03-07T12:26:00.000Z", "end": "2026-03-08T00:26:00.000Z",
                        "updated_at": "2026-05-03T00:00:00.000Z", "score": {"strain": 5.2}});
    store(&mut conn, &member, &[test_env::cycle(7, closed)]).await;

    assert_eq!(
        day_of(&env, &member, "2026-03-07").await["cycle"]["strain"],
        5.2
    );
    assert_eq!(
        day_of(&env, &member, "2026-03-08").await["cycle"],
        Value::Null
    );
}

#[tokio::test]
async fn a_nap_with_an_efficiency_over_100_is_stored_and_shown() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let by_hand = json!({"start": "2026-03-07T16:30:00.000Z", "end": "2026-03-07T17:30:00.000Z", "nap": true,
                         "score": {"stage_summary": stages(60), "sleep_performance_percentage": 9.0,
                                   "sleep_efficiency_percentage": 101.3}});

    store(&mut conn, &member, &[test_env::sleep("nap", 7, by_hand)]).await;

    let day = day_of(&env, &member, "2026-03-07").await;
    assert_eq!(day["naps"][0]["efficiency"], 101.3);
    assert_eq!(day["naps"][0]["consistency"], Value::Null);
    assert_eq!(day["sleep"], Value::Null);
}

/// Stores a night that ends in the morning, and a half-hour evening sleep that WHOOP treated as the
/// next night: two nights end on the 8th, none on the 9th.
async fn store_evening_sleep_as_night(env: &TestEnv) -> UserId {
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let at =
        |from: &str, until: &str| json!({"start": from, "end": until, "timezone_offset": "-04:00"});
    let cycles = [
        test_env::cycle(
            61,
            merged(
                at("2026-04-07T23:00:00.000Z", "2026-04-08T23:40:00.000Z"),
                json!({"score": {"strain": 6.5}}),
            ),
        ),
        test_env::cycle(
            62,
            merged(
                at("2026-04-08T23:40:00.000Z", "2026-04-10T02:20:00.000Z"),
                json!({"score": {"strain": 6.2}}),
            ),
        ),
    ];
    let sleeps = [
        test_env::sleep(
            "night",
            61,
            merged(
                at("2026-04-07T23:00:00.000Z", "2026-04-08T12:50:00.000Z"),
                json!({"score": {"stage_summary": stages(600)}}),
            ),
        ),
        test_env::sleep(
            "evening",
            62,
            merged(
                at("2026-04-08T23:40:00.000Z", "2026-04-09T00:40:00.000Z"),
                json!({"score": {"stage_summary": stages(31)}}),
            ),
        ),
    ];
    let recoveries = [
        test_env::recovery(61, "night", json!({"score": {"recovery_score": 74.0}})),
        test_env::recovery(62, "evening", json!({"score": {"recovery_score": 1.0}})),
    ];
    store(&mut conn, &member, &recoveries).await;
    store(&mut conn, &member, &sleeps).await;
    store(&mut conn, &member, &cycles).await;
    member
}

fn merged(mut base: Value, overrides: Value) -> Value {
    let fields = overrides.as_object().unwrap().clone();
    base.as_object_mut().unwrap().extend(fields);
    base
}

#[tokio::test]
async fn an_evening_sleep_that_whoop_treats_as_a_night_is_the_night_of_the_next_date() {
    let env = TestEnv::new().await;
    let member = store_evening_sleep_as_night(&env).await;

    assert_eq!(
        chart(&env, &member, "2026-04-08", "2026-04-09").await,
        [
            json!(["2026-04-08", 74.0, 600, 6.5]),
            json!(["2026-04-09", 1.0, 31, 6.2])
        ]
    );
    let (first, second) = (
        day_of(&env, &member, "2026-04-08").await,
        day_of(&env, &member, "2026-04-09").await,
    );
    assert_eq!(
        (&first["sleep"]["id"], &first["others"]),
        (&json!("night"), &Value::Null)
    );
    assert_eq!(
        (&second["sleep"]["id"], &second["recovery"]["score"]),
        (&json!("evening"), &json!(1.0))
    );
    assert_eq!(second["cycle"]["id"], 62);

    // WHOOP deletes the first night, so only one cycle claims the date.
    let mut conn = env.connection().await;
    for (data_type, id) in [("sleep", "night"), ("cycle", "61")] {
        remove::remove_record(&mut conn, &member, data_type.parse().unwrap(), id, now())
            .await
            .unwrap();
    }
    let first = day_of(&env, &member, "2026-04-08").await;
    assert_eq!(
        (&first["sleep"]["id"], &first["cycle"]["id"]),
        (&json!("evening"), &json!(62))
    );
    assert_eq!(
        day_of(&env, &member, "2026-04-09").await["cycle"],
        Value::Null
    );
}

#[tokio::test]
async fn two_main_sleeps_of_one_cycle_are_one_night_in_every_reader() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let night = json!({"start": "2026-07-19T23:40:00.000Z", "end": "2026-07-20T07:55:00.000Z",
                       "score": {"stage_summary": stages(459), "sleep_performance_percentage": 92.0}});
    let second_sleep = json!({"start": "2026-07-20T09:03:00.000Z", "end": "2026-07-20T10:06:00.000Z",
                       "score": {"stage_summary": stages(45)}});
    store(
        &mut conn,
        &member,
        &[
            test_env::sleep("again", 7, second_sleep),
            test_env::sleep("night", 7, night),
        ],
    )
    .await;
    store(
        &mut conn,
        &member,
        &[test_env::cycle(
            7,
            json!({"start": "2026-07-19T23:40:00.000Z"}),
        )],
    )
    .await;
    store(
        &mut conn,
        &member,
        &[test_env::recovery(7, "night", json!({}))],
    )
    .await;

    let day = day_of(&env, &member, "2026-07-20").await;
    assert_eq!(day["sleep"]["duration"], "8h 24m");
    assert_eq!(day["sleep"]["parts"], json!(["night", "again"]));
    assert_eq!(day["sleep"]["start"], "2026-07-19T23:40:00.000Z");
    assert_eq!(day["sleep"]["end"], "2026-07-20T10:06:00.000Z");
    assert_eq!(day["sleep"]["performance"], 92.0);
    assert_eq!(day["others"], Value::Null);
    assert_eq!(
        chart(&env, &member, "2026-07-20", "2026-07-20").await[0][2],
        504
    );
    let summary = "SELECT sleep_performance || ' ' || sleep_duration_hours FROM get_daily_summary('mara', '2026-07-20')";
    assert_eq!(env.value(summary).await.as_deref(), Some("92 8.4"));
}

#[tokio::test]
async fn values_that_whoop_omits_are_absent_and_stages_may_be_shorter_than_the_night() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    // 22 minutes without data do not count as time in bed; the first nights have no sleep
    // consistency.
    let night = json!({"start": "2026-07-19T23:00:00.000Z", "end": "2026-07-20T07:00:00.000Z",
                       "score": {"stage_summary": {"total_in_bed_time_milli": 27_480_000, "total_awake_time_milli": 1_800_000,
                                 "total_light_sleep_time_milli": 14_400_000, "total_slow_wave_sleep_time_milli": 5_400_000,
                                 "total_rem_sleep_time_milli": 5_880_000},
                                 "sleep_performance_percentage": 88.0, "sleep_consistency_percentage": null}});
    store(&mut conn, &member, &[test_env::sleep("night", 7, night)]).await;
    // Older straps send no blood oxygen and no skin temperature.
    let from_older_strap = json!({"score": {"recovery_score": 55.0, "resting_heart_rate": 51.0, "hrv_rmssd_milli": 48.123_456}});
    store(
        &mut conn,
        &member,
        &[test_env::recovery(7, "night", from_older_strap)],
    )
    .await;

    let day = day_of(&env, &member, "2026-07-20").await;

    assert_eq!(day["sleep"]["duration_milli"], 25_680_000);
    assert_eq!(day["sleep"]["consistency"], Value::Null);
    assert_eq!(day["recovery"]["hrv"], 48.123_456);
    assert_eq!(
        (&day["recovery"]["spo2"], &day["recovery"]["skin_temp"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn workouts_of_a_minute_and_of_half_a_day_are_shown_as_sent() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let page = [
        test_env::workout(
            "long",
            json!({"start": "2026-07-20T06:00:00.000Z", "end": "2026-07-20T17:31:00.000Z",
            "score": {"strain": 20.4, "kilojoule": 29_700.0, "altitude_change_meter": -12.5, "distance_meter": 0.0, "zone_durations": {}}}),
        ),
        test_env::workout(
            "short",
            json!({"start": "2026-07-20T18:00:00.000Z", "end": "2026-07-20T18:01:00.000Z",
            "score": {"strain": 0.0, "kilojoule": 11.0, "zone_durations": {"zone_zero_milli": 60_000}}}),
        ),
        test_env::workout(
            "unscored",
            json!({"start": "2026-07-20T19:00:00.000Z", "end": "2026-07-20T19:30:00.000Z",
            "score_state": "UNSCORABLE"}),
        ),
    ];

    store(&mut conn, &member, &page).await;

    let day = day_of(&env, &member, "2026-07-20").await;
    let workouts = day["workouts"].as_array().unwrap();
    let shown = |key: &str| {
        workouts
            .iter()
            .map(|one| one[key].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(shown("strain"), [json!(20.4), json!(0.0), Value::Null]);
    assert_eq!(
        shown("distance_meter"),
        [json!(0.0), Value::Null, Value::Null]
    );
    assert_eq!(
        shown("zones_milli"),
        [
            Value::Null,
            json!([60_000, null, null, null, null, null]),
            Value::Null
        ]
    );
    let stored = "SELECT altitude_change_meter FROM whoop_workout WHERE id = 'long'";
    assert_eq!(env.value(stored).await.as_deref(), Some("-12.5"));
}

#[tokio::test]
async fn the_score_of_an_unscored_record_is_stored_and_never_shown() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let at = json!({"start": "2026-07-19T23:00:00.000Z", "end": "2026-07-20T07:00:00.000Z"});
    let unscorable = merged(
        at.clone(),
        json!({"score_state": "UNSCORABLE", "score": {"stage_summary": stages(0), "sleep_performance_percentage": 0.0}}),
    );
    store(
        &mut conn,
        &member,
        &[test_env::sleep("night", 7, unscorable)],
    )
    .await;
    let pending = json!({"start": "2026-07-19T23:00:00.000Z", "end": "2026-07-20T23:00:00.000Z", "score_state": "PENDING_SCORE",
                         "score": {"strain": 0.0, "kilojoule": 0.0}});
    store(&mut conn, &member, &[test_env::cycle(7, pending)]).await;
    let earlier = json!({"score_state": "PENDING_SCORE", "score": {"recovery_score": 61.0}});
    store(
        &mut conn,
        &member,
        &[test_env::recovery(7, "night", earlier)],
    )
    .await;

    let day = day_of(&env, &member, "2026-07-20").await;
    assert_eq!(
        day["missing"],
        json!({"recovery": "pending_score", "sleep": "unscorable", "cycle": "pending_score", "workouts": "not_synced"})
    );
    assert_eq!(
        (&day["sleep"]["duration"], &day["cycle"]["strain"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        chart(&env, &member, "2026-07-20", "2026-07-20").await,
        [json!(["2026-07-20", null, null, null])]
    );
    assert_eq!(
        env.value("SELECT recovery_score FROM whoop_recovery")
            .await
            .as_deref(),
        Some("61")
    );
}

#[tokio::test]
async fn dates_that_an_older_version_assigned_are_assigned_again() {
    let env = TestEnv::new().await;
    let member = store_evening_sleep_as_night(&env).await;
    env.execute(
        "UPDATE whoop_cycle SET local_date = '2026-04-08', in_others = FALSE;
                 UPDATE whoop_recovery SET local_date = '2026-04-08', in_others = FALSE;
                 UPDATE whoop_sleep SET night_date = NULL, in_others = FALSE;
                 UPDATE whoop_users SET settled_seq = 0",
    )
    .await;
    let seq = "SELECT max(seq)::text FROM whoop_change WHERE user_id = 'mara'";
    let before: i64 = env.value(seq).await.unwrap().parse().unwrap();

    let reassigned = reassign_local_dates(&env.database).await.unwrap();

    assert!(reassigned >= 1);
    assert_eq!(day_of(&env, &member, "2026-04-09").await["cycle"]["id"], 62);
    // The change feed contains the moved records.
    let moved = format!(
        "SELECT string_agg(data_type || ' ' || record_id, ', ' ORDER BY seq)
             FROM whoop_change WHERE user_id = 'mara' AND seq > {before}"
    );
    assert_eq!(
        env.value(&moved).await.as_deref(),
        Some("cycle 62, recovery 62, sleep evening")
    );
    assert_eq!(reassign_local_dates(&env.database).await.unwrap(), 0);
}

#[tokio::test]
async fn only_dates_changed_by_an_older_version_are_assigned_again() {
    let env = TestEnv::new().await;
    let member = store_evening_sleep_as_night(&env).await;
    assert_eq!(reassign_local_dates(&env.database).await.unwrap(), 0);

    // A process of the earlier version deletes the cycle that a date shows, without updating the
    // other cycle.
    env.execute(
        "UPDATE whoop_cycle SET in_others = TRUE WHERE id = '62';
             UPDATE whoop_users SET change_seq = change_seq + 1",
    )
    .await;
    assert_eq!(
        day_of(&env, &member, "2026-04-09").await["cycle"],
        Value::Null
    );

    assert_eq!(reassign_local_dates(&env.database).await.unwrap(), 1);
    assert_eq!(day_of(&env, &member, "2026-04-09").await["cycle"]["id"], 62);
    assert_eq!(reassign_local_dates(&env.database).await.unwrap(), 0);
}

#[tokio::test]
async fn the_change_of_a_main_sleep_has_the_date_of_its_night() {
    let env = TestEnv::new().await;
    let member = store_evening_sleep_as_night(&env).await;
    let last = "SELECT local_date::text FROM whoop_change WHERE record_id = 'evening' ORDER BY seq DESC LIMIT 1";
    assert_eq!(env.value(last).await.as_deref(), Some("2026-04-09"));

    let mut conn = env.connection().await;
    remove::remove_record(
        &mut conn,
        &member,
        "sleep".parse().unwrap(),
        "evening",
        now(),
    )
    .await
    .unwrap();
    assert_eq!(env.value(last).await.as_deref(), Some("2026-04-09"));
}
