//! Law 12: an incoming webhook is only a hint that a record changed, and is never lost.

use chrono::TimeDelta;
use serde_json::{Value, json};
use whoop_sim::SimDataType;

use crate::harness::{
    Stage,
    webhooks::{Webhook, event},
};

/// Returns WHOOP's id of the first person, their latest main sleep, and the recovery of this sleep.
fn last_night(stage: &Stage) -> (i64, Value, Value) {
    let person = stage.world().people()[0];
    let truth = stage.world().records().truth(person);
    let newest = |list: &str| {
        let mut records = truth[list].as_array().unwrap().clone();
        records.retain(|one| one["nap"] != true);
        let key = if list == "sleeps" {
            "end"
        } else {
            "created_at"
        };
        records.sort_by_key(|one| one[key].as_str().unwrap().to_owned());
        records.pop().unwrap()
    };
    let sleep = newest("sleeps");
    let recoveries = truth["recoveries"].as_array().unwrap();
    let recovery = recoveries
        .iter()
        .find(|one| one["sleep_id"] == sleep["id"])
        .cloned()
        .unwrap();
    (person, sleep, recovery)
}

#[tokio::test]
async fn a_rescored_night_is_shown_after_its_webhook() {
    let (stage, alice) = Stage::with_member().await;
    stage.hook_up(&json!({})).await;
    let (person, sleep, recovery) = last_night(&stage);
    let id = sleep["id"].as_str().unwrap();
    stage.advance(TimeDelta::minutes(5));
    let world = stage.world();
    world
        .records()
        .patch(
            person,
            SimDataType::Recovery,
            &recovery["cycle_id"],
            json!({"score": {"recovery_score": 7}}),
        )
        .unwrap();
    world
        .records()
        .patch(
            person,
            SimDataType::Sleep,
            id,
            json!({"score": {"sleep_performance_percentage": 11}}),
        )
        .unwrap();
    world.reset_calls();

    stage.hear().await;

    // The service sends one call for each of the two records, although three events concern them.
    assert_eq!(world.call_count(), 2, "{:?}", world.calls());
    assert_eq!(stage.inbox().await, ["done"; 3]);
    let day = alice.day("?refresh=never").await;
    assert_eq!(day["recovery"]["score"], 7, "{day:#}");
    assert_eq!(day["sleep"]["performance"], 11);
    // The next app request reads only the cycle, because the data of the night was already read.
    stage.advance(TimeDelta::minutes(20));
    world.reset_calls();
    alice.day("").await;
    let lists: Vec<String> = world.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(lists.len(), 1, "{lists:?}");
    assert!(lists[0].ends_with("/cycle"), "{lists:?}");
}

#[tokio::test]
async fn a_record_deleted_at_whoop_is_removed_after_its_webhook() {
    let (stage, alice) = Stage::with_member().await;
    stage.hook_up(&json!({})).await;
    let (person, sleep, _) = last_night(&stage);
    stage
        .world()
        .records()
        .delete(person, SimDataType::Sleep, sleep["id"].as_str().unwrap())
        .unwrap();

    stage.hear().await;

    let day = alice.day("?refresh=never").await;
    assert_eq!(
        (&day["sleep"], &day["recovery"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(stage.inbox().await, ["done", "done"]);
}

#[tokio::test]
async fn a_sleep_that_becomes_a_nap_removes_its_recovery_from_the_day() {
    let (stage, alice) = Stage::with_member().await;
    stage.hook_up(&json!({})).await;
    let (person, sleep, _) = last_night(&stage);
    let id = sleep["id"].as_str().unwrap();
    stage.world().records().sleep_to_nap(person, id).unwrap();

    stage.hear().await;

    let day = alice.day("?refresh=never").await;
    assert_eq!(day["recovery"], Value::Null, "{day:#}");
    let is_a_nap = day["naps"]
        .as_array()
        .unwrap()
        .iter()
        .any(|nap| nap["start"] == sleep["start"]);
    assert!(
        is_a_nap || day["sleep"]["start"] != sleep["start"],
        "{day:#}"
    );
}

#[tokio::test]
async fn a_score_whose_webhook_is_lost_arrives_with_the_next_request() {
    let (stage, alice) = Stage::with_member().await;
    stage.hook_up(&json!({})).await;
    let (person, sleep, _) = last_night(&stage);
    let id = sleep["id"].as_str().unwrap();
    let pending = json!({"score_state": "PENDING_SCORE", "score": null});
    stage
        .world()
        .records()
        .patch(person, SimDataType::Sleep, id, pending)
        .unwrap();
    stage.hear().await;
    // An edited sleep causes a second event for its recovery.
    assert_eq!(stage.inbox().await, ["done", "done"]);
    assert_eq!(
        alice.day("?refresh=never").await["sleep"]["state"],
        "PENDING_SCORE"
    );

    // The sleep is scored, but its event is lost.
    stage.hook_up(&json!({"lose": 1.0})).await;
    let scored = json!({"score_state": "SCORED", "score": sleep["score"]});
    stage
        .world()
        .records()
        .patch(person, SimDataType::Sleep, id, scored)
        .unwrap();
    stage.advance(TimeDelta::minutes(31));

    assert_eq!(alice.day("").await["sleep"]["state"], "SCORED");
}

#[tokio::test]
async fn a_repeated_event_has_no_effect() {
    let (stage, _alice) = Stage::with_member().await;
    let (person, sleep, _) = last_night(&stage);
    let id = sleep["id"].as_str().unwrap();
    let webhook = Webhook::of(
        &event(person, "sleep.updated", id, "trace 1"),
        stage.clock_now(),
    );
    webhook.send(&stage.client).await.assert_status(204);
    stage.is_drained().await;
    stage.world().reset_calls();

    webhook.send(&stage.client).await.assert_status(204);
    // WHOOP sends the same event with a new signature, as in a retry.
    stage.advance(TimeDelta::minutes(30));
    Webhook::of(
        &event(person, "sleep.updated", id, "trace 1"),
        stage.clock_now(),
    )
    .send(&stage.client)
    .await
    .assert_status(204);
    stage.is_drained().await;

    assert_eq!(stage.inbox().await, ["done"]);
    assert_eq!(stage.world().call_count(), 0);
    // An event with the same trace id but another type is a different event.
    Webhook::of(
        &event(person, "recovery.updated", id, "trace 1"),
        stage.clock_now(),
    )
    .send(&stage.client)
    .await
    .assert_status(204);
    stage.is_drained().await;
    assert_eq!(stage.inbox().await, ["done", "done"]);
}

/// The second and the third id in the list have the form of WHOOP's API v1. The fourth and the
/// fifth id are paths. The last two events have the same trace id.
#[tokio::test]
async fn ids_of_any_form_are_stored_and_never_lead_to_another_path() {
    let (stage, alice) = Stage::with_member().await;
    let (person, sleep, _) = last_night(&stage);
    let before = alice.day("?refresh=never").await;
    stage.world().reset_calls();
    let unknown = "00000000-0000-4000-8000-000000000172";
    for (id, kind, trace) in [
        (sleep["id"].clone(), "sleep.updated", 1),
        (json!(10_235), "workout.updated", 2),
        (json!(1_100_000_111), "recovery.updated", 3),
        (json!("../../v2/user/profile/basic"), "sleep.updated", 4),
        (json!(".."), "sleep.updated", 5),
        (json!(unknown), "workout.updated", 6),
        (json!(unknown), "workout.updated", 6),
    ] {
        let trace = format!("e369c784-0000-4000-8000-00000000000{trace}");
        let body = json!({"user_id": person, "id": id, "type": kind, "trace_id": trace});
        let webhook = Webhook::of(&body, stage.clock_now());
        webhook.send(&stage.client).await.assert_status(204);
    }
    stage.is_drained().await;

    assert_eq!(
        stage.inbox().await.len(),
        6,
        "a repeated event is stored once"
    );
    for call in stage.world().calls() {
        let path = call.path.trim_start_matches("/developer/v2/");
        assert!(
            path.starts_with("activity/") || path.starts_with("cycle") || path == "recovery",
            "{call:?}"
        );
    }
    assert_eq!(alice.day("?refresh=never").await, before);
}

#[tokio::test]
async fn an_event_of_an_unknown_type_or_member_is_stored_with_that_state() {
    let (stage, _alice) = Stage::with_member().await;
    let person = stage.world().people()[0];
    for unknown in [
        event(person, "cycle.created", "1", "a"),
        event(99, "sleep.updated", "1", "b"),
    ] {
        let answer = Webhook::of(&unknown, stage.clock_now())
            .send(&stage.client)
            .await;
        answer.assert_status(204);
    }
    stage.is_drained().await;

    assert_eq!(stage.inbox().await, ["unknown_member", "unknown_type"]);
    let metrics = stage.client.get("/metrics").send().await.text;
    for state in ["unknown_type", "unknown_member"] {
        let line = format!("whoop_webhook_events{{state=\"{state}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[tokio::test]
async fn a_webhook_without_a_valid_signature_is_refused_and_not_stored() {
    let (stage, _alice) = Stage::with_member().await;
    let before = stage.rows().await;
    let person = stage.world().people()[0];
    let good = Webhook::of(&event(person, "sleep.updated", "x", "t"), stage.clock_now());
    let at = |minutes| {
        let when = stage.clock_now() + TimeDelta::minutes(minutes);
        Webhook::of(&event(person, "sleep.updated", "x", "t"), when)
    };
    let now = stage.clock_now().timestamp_millis();
    let refusals = [
        (
            "no signature",
            good.clone().with_signature(None),
            401,
            "bad-signature",
        ),
        (
            "no timestamp",
            good.clone().with_timestamp(None),
            401,
            "bad-signature",
        ),
        (
            "an empty signature",
            good.clone().with_signature(Some("")),
            401,
            "bad-signature",
        ),
        (
            "no base64",
            good.clone().with_signature(Some("!!!")),
            401,
            "bad-signature",
        ),
        (
            "another secret",
            good.clone().signed_with("another"),
            401,
            "bad-signature",
        ),
        (
            "another body",
            good.clone().with_body("{}"),
            401,
            "bad-signature",
        ),
        (
            "another time",
            good.clone().with_timestamp(Some(&(now + 1).to_string())),
            401,
            "bad-signature",
        ),
        (
            "a time that is none",
            good.clone()
                .with_timestamp(Some("soon"))
                .signed_with("hush-hush-app-secret"),
            401,
            "bad-signature",
        ),
        ("signed 76 minutes ago", at(-76), 401, "bad-signature"),
        ("signed 6 minutes ahead", at(6), 401, "bad-signature"),
        (
            "text",
            good.clone().with_content_type(Some("text/plain")),
            415,
            "not-json",
        ),
        (
            "a form",
            good.clone()
                .with_content_type(Some("application/x-www-form-urlencoded")),
            415,
            "not-json",
        ),
        (
            "nothing",
            Webhook::of_bytes("", stage.clock_now()),
            400,
            "invalid-event",
        ),
        (
            "no object",
            Webhook::of_bytes("[1]", stage.clock_now()),
            400,
            "invalid-event",
        ),
        (
            "no event",
            Webhook::of_bytes("{}", stage.clock_now()),
            400,
            "invalid-event",
        ),
        (
            "a megabyte",
            Webhook::of_bytes(vec![b' '; 1_000_000], stage.clock_now()),
            413,
            "body-too-large",
        ),
        (
            "17 KB",
            Webhook::of_bytes(vec![b' '; 17 * 1024], stage.clock_now()),
            413,
            "body-too-large",
        ),
    ];

    for (what, webhook, status, kind) in refusals {
        let answer = webhook.send(&stage.client).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text);
        assert_eq!(answer.problem(), kind, "{what}");
    }

    before.assert_unchanged(&stage.rows().await, "what is not WHOOP's");
    // The valid webhook is accepted, even if it arrives an hour late.
    at(-74).send(&stage.client).await.assert_status(204);
}

#[tokio::test]
async fn a_failing_event_is_retried_then_dead_and_can_be_replayed() {
    let (stage, _alice) = Stage::with_member().await;
    let (person, sleep, _) = last_night(&stage);
    let id = sleep["id"].as_str().unwrap();
    stage
        .world()
        .add_fault(whoop_sim::Fault::status("sleep", 500));
    Webhook::of(&event(person, "sleep.updated", id, "t"), stage.clock_now())
        .send(&stage.client)
        .await
        .assert_status(204);

    for _ in 0..40 {
        stage.nudge().await;
        if stage.inbox().await == ["dead"] {
            break;
        }
        stage.advance(TimeDelta::hours(3));
    }

    assert_eq!(stage.inbox().await, ["dead"]);
    let error = stage
        .text("SELECT last_error FROM whoop_webhook_event WHERE state = 'dead'")
        .await;
    assert!(error.contains("500"), "{error}");
    stage.world().clear_faults();
    stage
        .execute(
            "UPDATE whoop_webhook_event SET state = 'pending', attempts = 0, finished_at = NULL",
        )
        .await;
    stage.nudge().await;
    assert_eq!(stage.inbox().await, ["done"]);
}

#[tokio::test]
async fn events_of_a_member_who_has_to_connect_again_wait_for_the_connect() {
    let (stage, alice) = Stage::with_member().await;
    let (person, sleep, _) = last_night(&stage);
    let id = sleep["id"].as_str().unwrap();
    stage.world().oauth().revoke_grants(person);
    alice.day("?refresh=force").await;
    // WHOOP sent this event before it knew about the revoked permission.
    let late = Webhook::of(&event(person, "sleep.updated", id, "t"), stage.clock_now());
    late.send(&stage.client).await.assert_status(204);
    assert_eq!(stage.inbox().await, ["pending"]);

    stage.connect("alice").await;

    assert_eq!(stage.inbox().await, ["done"]);
}
