//! Members with tokens from an external issuer, such as Supabase (with signing keys) or Auth0.

use futures::future::join_all;
use jsonwebtoken::{Algorithm, Header};
use serde_json::json;

use crate::harness::{Answer, Issuer, Member, Signer, Stage, Token, until};

async fn day(stage: &Stage, token: &str) -> Answer {
    let alice = Member {
        token: token.to_owned(),
        ..stage.member("alice")
    };
    alice.get("daily-data", "").await
}

/// Starts an environment in which the API uses this issuer, and waits until the API has requested
/// the key set.
async fn with(issuer: &Issuer) -> Stage {
    let stage = Stage::with_flags(&[issuer.flag()]).await;
    until("the keys have been read", || async {
        issuer.request_count() > 0
    })
    .await;
    stage
}

#[tokio::test]
async fn tokens_signed_with_rsa_ecdsa_and_eddsa_are_accepted() {
    let signers: Vec<Signer> = [
        Algorithm::RS256,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ]
    .into_iter()
    .map(|algorithm| Signer::new(&format!("{algorithm:?}"), algorithm))
    .collect();
    let issuer = Issuer::of(&signers.iter().collect::<Vec<_>>());
    let stage = with(&issuer).await;

    for signer in &signers {
        let own = day(&stage, &signer.sign(&Token::of("alice"))).await;
        assert_eq!(own.expect(200)["user_id"], "alice", "{}", signer.id);
        let other = day(&stage, &signer.sign(&Token::of("bob"))).await;
        other.assert_problem(403, "not-your-data");
    }
    // Tokens that were signed with the secret are still accepted.
    day(&stage, &Token::of("alice").text()).await.expect(200);
    assert_eq!(issuer.request_count(), 1);
}

#[tokio::test]
async fn claims_are_checked_for_every_algorithm() {
    let signer = Signer::new("one", Algorithm::ES256);
    let issuer = Issuer::of(&[&signer]);
    let stage = with(&issuer).await;
    let alice = || Token::of("alice");

    for (token, kind) in [
        (alice().with_time("exp", -3600), "expired-token"),
        (alice().with("exp", json!(null)), "invalid-token"),
        (alice().with_time("nbf", 3600), "invalid-token"),
        (alice().with("aud", json!("anon")), "invalid-token"),
        (alice().with("aud", json!(null)), "invalid-token"),
        (alice().with("sub", json!(null)), "invalid-token"),
        (alice().with("sub", json!(["alice"])), "invalid-token"),
    ] {
        let answer = day(&stage, &signer.sign(&token)).await;
        answer.assert_problem(401, kind);
    }
    let many = alice().with("aud", json!(["other", "authenticated"]));
    day(&stage, &signer.sign(&many)).await.expect(200);
}

#[tokio::test]
async fn a_new_key_is_accepted_and_a_removed_key_is_refused() {
    let (old, new) = (
        Signer::new("old", Algorithm::ES256),
        Signer::new("new", Algorithm::ES256),
    );
    let issuer = Issuer::of(&[&old]);
    let stage = with(&issuer).await;
    let alice = Token::of("alice");
    day(&stage, &old.sign(&alice)).await.expect(200);
    issuer.publish(&[&old, &new]);
    stage.clock.advance(chrono::TimeDelta::seconds(31));

    // The token names an unknown key id, so the API fetches the key set again.
    day(&stage, &new.sign(&alice)).await.expect(200);
    day(&stage, &old.sign(&alice)).await.expect(200);
    assert_eq!(issuer.request_count(), 2);

    issuer.publish(&[&new]);
    stage.clock.advance(chrono::TimeDelta::minutes(11));
    // The cached key set is too old, so this request makes the API fetch it again.
    day(&stage, &new.sign(&alice)).await.expect(200);
    until("the keys have been read again", || async {
        issuer.request_count() == 3
    })
    .await;
    until("the old key is no longer accepted", || async {
        day(&stage, &old.sign(&alice)).await.status == 401
    })
    .await;
    day(&stage, &new.sign(&alice)).await.expect(200);
}

#[tokio::test]
async fn invented_key_ids_cause_few_requests_to_the_issuer() {
    let signer = Signer::new("one", Algorithm::ES256);
    let issuer = Issuer::of(&[&signer]);
    let stage = with(&issuer).await;
    stage.clock.advance(chrono::TimeDelta::seconds(31));

    let answers = (0..40).map(|nth| {
        let header = Header {
            kid: Some(format!("made up {nth}")),
            ..Header::new(Algorithm::ES256)
        };
        let token = signer.sign_under(&Token::of("alice"), &header);
        let stage = &stage;
        async move { day(stage, &token).await }
    });
    for answer in join_all(answers).await {
        answer.assert_problem(401, "invalid-token");
    }

    assert_eq!(
        issuer.request_count(),
        2,
        "one request at the start and one for all tokens"
    );
    day(&stage, &signer.sign(&Token::of("alice")))
        .await
        .expect(200);
}

#[tokio::test]
async fn cached_keys_are_accepted_while_the_issuer_is_unavailable() {
    let signer = Signer::new("one", Algorithm::ES256);
    let issuer = Issuer::of(&[&signer]);
    let stage = with(&issuer).await;
    let token = signer.sign(&Token::of("alice"));
    day(&stage, &token).await.expect(200);

    for (status, body) in [
        (500, ""),
        (200, "<html>"),
        (302, ""),
        (
            200,
            &format!(r#"{{"keys": [], "x": "{}"}}"#, "x".repeat(400_000)),
        ),
    ] {
        let before = issuer.request_count();
        issuer.answer_with(status, body);
        stage.clock.advance(chrono::TimeDelta::hours(5));
        day(&stage, &token).await.expect(200);
        until("the issuer has received another request", || async {
            issuer.request_count() > before
        })
        .await;
        day(&stage, &token).await.expect(200);
    }
}

#[tokio::test]
async fn an_empty_key_set_revokes_all_keys() {
    let signer = Signer::new("one", Algorithm::ES256);
    let issuer = Issuer::of(&[&signer]);
    let stage = with(&issuer).await;
    let token = signer.sign(&Token::of("alice"));
    day(&stage, &token).await.expect(200);

    issuer.publish(&[]);
    stage.clock.advance(chrono::TimeDelta::minutes(11));
    until("the withdrawn key is no longer accepted", || async {
        day(&stage, &token).await.status == 401
    })
    .await;

    issuer.publish(&[&signer]);
    stage.clock.advance(chrono::TimeDelta::seconds(31));
    day(&stage, &token).await.expect(200);
}

#[tokio::test]
async fn keys_that_could_not_be_refreshed_for_a_day_are_not_used() {
    let signer = Signer::new("one", Algorithm::ES256);
    let issuer = Issuer::of(&[&signer]);
    let stage = with(&issuer).await;
    let token = signer.sign(&Token::of("alice"));
    day(&stage, &token).await.expect(200);
    issuer.answer_with(500, "");

    stage.clock.advance(chrono::TimeDelta::hours(23));
    day(&stage, &token).await.expect(200);
    stage.clock.advance(chrono::TimeDelta::minutes(61));
    let answer = day(&stage, &token).await;
    answer.assert_problem(503, "keys-unavailable");
    // Members with tokens that were signed with the secret are not affected.
    day(&stage, &Token::of("alice").text()).await.expect(200);

    issuer.publish(&[&signer]);
    stage.clock.advance(chrono::TimeDelta::seconds(31));
    day(&stage, &token).await.expect(200);
}

#[tokio::test]
async fn tokens_are_answered_with_503_if_the_issuer_was_never_reached() {
    let signer = Signer::new("one", Algorithm::ES256);
    let issuer = Issuer::of(&[]);
    issuer.answer_with(503, "");
    let stage = with(&issuer).await;
    let token = signer.sign(&Token::of("alice"));

    let answer = day(&stage, &token).await;
    answer.assert_problem(503, "keys-unavailable");
    assert!(answer.header("retry-after").is_some());
    // The following two requests do not need the key set.
    stage
        .service_for("alice")
        .get("daily-data", "")
        .await
        .expect(200);
    day(&stage, &Token::of("alice").text()).await.expect(200);

    issuer.publish(&[&signer]);
    stage.clock.advance(chrono::TimeDelta::seconds(2));
    day(&stage, &token).await.expect(200);
}
