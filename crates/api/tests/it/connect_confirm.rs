//! `CONNECT_CONFIRM=required`: a member is connected only after the app has confirmed this.

use chrono::TimeDelta;
use serde_json::{Value, json};
use whoop_sim::Fault;

use crate::harness::{Answer, Member, Stage, parameter};

async fn confirming() -> Stage {
    Stage::with_flags(&["--connect-confirm=required".to_owned()]).await
}

/// Begins to connect `member`, consents at WHOOP as `person`, and returns the one-time word that
/// the app has to send.
async fn word_of(stage: &Stage, member: &Member, person: usize) -> String {
    let consent = member
        .begin(&json!({"return_to": "hos://whoop/done", "consent": "terms"}))
        .await;
    let whoop_user_id = stage.world().people()[person];
    let callback = consent.given_by(&stage.client, whoop_user_id).await;
    let location = callback.follow(&stage.client).await.location();
    assert_eq!(parameter(&location, "status"), "confirm");
    parameter(&location, "confirm")
}

async fn confirm(member: &Member, body: &Value) -> Answer {
    let path = format!("{}/confirm", member.path("connect"));
    let ask = member.client.post(&path).with_token(&member.token);
    ask.with_json(body).send().await
}

async fn connection(member: &Member) -> Value {
    member.get("connection", "").await.expect(200)
}

#[tokio::test]
async fn a_member_is_connected_after_the_app_confirmed_it() {
    let stage = confirming().await;
    let alice = stage.member("alice");

    let word = word_of(&stage, &alice, 0).await;
    assert_eq!(connection(&alice).await["connection"], "never_connected");
    assert_eq!(stage.rows().await.count("whoop_tokens"), 0);
    assert_eq!(stage.rows().await.tables_with(&word), [""; 0]);
    assert!(word.len() >= 32, "{word}");

    let confirmed = confirm(&alice, &json!({ "confirm": word }))
        .await
        .expect(200);
    assert_eq!(
        confirmed,
        json!({"status": "connected", "user_id": "alice"})
    );
    alice.is_read().await;
    let now = connection(&alice).await;
    assert_eq!(
        (&now["connection"], &now["consent"]),
        (&json!("connected"), &json!("terms"))
    );
    assert_eq!(stage.rows().await.count("whoop_unconfirmed_connect"), 0);
    assert_eq!(stage.rows().await.count("whoop_revocation"), 0);

    let again = confirm(&alice, &json!({ "confirm": word })).await;
    again.assert_invalid("unknown-confirm", "confirm");
    assert_eq!(connection(&alice).await["connection"], "connected");
}

#[tokio::test]
async fn without_a_return_address_the_word_is_in_the_response_without_a_user_id() {
    let stage = confirming().await;
    let alice = stage.member("alice");
    let consent = alice.begin(&json!({})).await;
    let callback = consent
        .given_by(&stage.client, stage.world().people()[0])
        .await;

    let answer = callback.follow(&stage.client).await.expect(200);

    assert_eq!(answer["status"], "confirm");
    assert_eq!(answer.get("user_id"), None);
    let service = stage.service_for("alice");
    confirm(&service, &json!({ "confirm": answer["confirm"] }))
        .await
        .expect(200);
    alice.is_read().await;
}

#[tokio::test]
async fn a_connect_that_another_member_began_is_not_confirmed() {
    let stage = confirming().await;
    let (attacker, victim) = (stage.member("attacker"), stage.member("victim"));
    let word = word_of(&stage, &attacker, 0).await;

    let refused = confirm(&victim, &json!({ "confirm": word })).await;

    refused.assert_problem(409, "confirm-mismatch");
    for member in [&attacker, &victim] {
        assert_eq!(connection(member).await["connection"], "never_connected");
    }
    let late = confirm(&attacker, &json!({ "confirm": word })).await;
    late.assert_invalid("unknown-confirm", "confirm");
    let rows = stage.rows().await;
    assert_eq!(
        rows.count("whoop_tokens") + rows.count("whoop_unconfirmed_connect"),
        0
    );
    assert_eq!(
        rows.count("whoop_revocation"),
        1,
        "the permission is to be ended"
    );
}

#[tokio::test]
async fn a_connect_that_is_confirmed_too_late_is_refused() {
    let stage = confirming().await;
    let alice = stage.member("alice");
    let word = word_of(&stage, &alice, 0).await;
    stage.advance(TimeDelta::minutes(10));

    let late = confirm(&alice, &json!({ "confirm": word })).await;

    late.assert_problem(410, "confirm-expired");
    assert_eq!(connection(&alice).await["connection"], "never_connected");
}

#[tokio::test]
async fn an_invalid_word_is_refused_and_changes_nothing() {
    let stage = confirming().await;
    let alice = stage.member("alice");
    let word = word_of(&stage, &alice, 0).await;
    let before = stage.rows().await;

    for body in [
        json!({}),
        json!({"confirm": null}),
        json!({"confirm": ""}),
        json!({"confirm": "x".repeat(101)}),
    ] {
        confirm(&alice, &body)
            .await
            .assert_invalid("invalid-confirm", "confirm");
    }
    for body in [
        json!({"confirm": 7}),
        json!({"confirm": ["x"]}),
        json!({"confirm": {}}),
        json!({"confirm": word, "more": 1}),
        json!([word]),
    ] {
        confirm(&alice, &body)
            .await
            .assert_invalid("invalid-body", "body");
    }
    for unknown in [
        "x",
        "\0",
        "💤",
        "' OR 1=1 --",
        &word[1..],
        &word.to_uppercase(),
    ] {
        let answer = confirm(&alice, &json!({ "confirm": unknown })).await;
        answer.assert_invalid("unknown-confirm", "confirm");
    }
    before.assert_unchanged(&stage.rows().await, "a bad word");
    confirm(&alice, &json!({ "confirm": word }))
        .await
        .expect(200);
    alice.is_read().await;
}

#[tokio::test]
async fn a_confirmed_connect_succeeds_while_the_profile_cannot_be_read() {
    let stage = confirming().await;
    let alice = stage.member("alice");
    let word = json!({"confirm": word_of(&stage, &alice, 0).await});

    stage.world().add_fault(Fault::status("profile", 502));
    confirm(&alice, &word).await.expect(200);
    stage.world().clear_faults();

    alice.is_read().await;
    Stage::two_minutes_pass_since_reads(&stage.db).await;
    let day = alice.day("?refresh=force").await;
    assert_eq!(day["meta"]["sync"], "done", "{day}");
}

#[tokio::test]
async fn one_of_two_concurrent_confirmations_connects() {
    let stage = confirming().await;
    let alice = stage.member("alice");
    let word = json!({"confirm": word_of(&stage, &alice, 0).await});

    let (one, two) = tokio::join!(confirm(&alice, &word), confirm(&alice, &word));

    // The second request finds that the member is already connected, or that the word was already
    // used.
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert!(
        statuses[0] == 200 && [200, 400].contains(&statuses[1]),
        "{statuses:?}"
    );
    alice.is_read().await;
    // If both requests connected the member, the sync that the second one started may still be
    // running.
    let day = alice.day("?refresh=force").await;
    let sync = day["meta"]["sync"].as_str();
    assert!(["done", "shared"].map(Some).contains(&sync), "{sync:?}");
}

#[tokio::test]
async fn an_erasure_ends_an_unconfirmed_connect() {
    let stage = confirming().await;
    let alice = stage.member("alice");
    let word = word_of(&stage, &alice, 0).await;

    let disconnected = alice.delete("?erase=true").await.expect(200);

    assert_eq!(disconnected["connection"], "never_connected");
    assert_eq!(disconnected["revocation"], "done");
    assert!(
        stage
            .world()
            .oauth()
            .grants()
            .iter()
            .all(|grant| grant.is_revoked)
    );
    assert_eq!(stage.rows().await.tables_with("alice"), [""; 0]);
    let late = confirm(&alice, &json!({ "confirm": word })).await;
    late.assert_invalid("unknown-confirm", "confirm");
}

#[tokio::test]
async fn without_the_setting_no_word_is_accepted() {
    let stage = Stage::new().await;
    let alice = stage.member("alice");

    let answer = confirm(&alice, &json!({"confirm": "made up"})).await;

    answer.assert_invalid("unknown-confirm", "confirm");
}
