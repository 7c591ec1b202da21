//! Claims that decide whether a token with a valid signature gives access to a member.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::harness::{Answer, Issuer, Member, Signer, Stage, Token, until};

const DAY: i64 = 86_400;

async fn day(stage: &Stage, token: &str) -> Answer {
    let alice = Member {
        token: token.to_owned(),
        ..stage.member("alice")
    };
    alice.get("daily-data", "").await
}

async fn stage_with(flags: &[&str]) -> Stage {
    let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    Stage::with_flags(&flags).await
}

fn with(claim: &str, value: Value) -> String {
    Token::of("alice").with(claim, value).text()
}

#[tokio::test]
async fn a_token_of_a_third_party_client_is_refused_by_default() {
    let stage = Stage::new().await;
    let before = stage.rows().await;

    for id in [
        json!("partner"),
        json!(""),
        json!(7),
        json!(["partner"]),
        json!({}),
    ] {
        let token = with("client_id", id);
        day(&stage, &token)
            .await
            .assert_problem(401, "client-not-accepted");
        let alice = Member {
            token,
            ..stage.member("alice")
        };
        let erased = alice.delete("?erase=true").await;
        erased.assert_problem(401, "client-not-accepted");
    }
    before.assert_unchanged(&stage.rows().await, "a third party's token");
    day(&stage, &with("client_id", json!(null)))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_listed_client_acts_for_its_member_and_no_other_client_does() {
    let stage = stage_with(&["--auth-jwt-client-ids=mobile,partner"]).await;

    for id in ["mobile", "partner"] {
        day(&stage, &with("client_id", json!(id))).await.expect(200);
    }
    for id in ["part", "Partner", "mobile,partner", "*"] {
        let answer = day(&stage, &with("client_id", json!(id))).await;
        answer.assert_problem(401, "client-not-accepted");
    }
    day(&stage, &Token::of("alice").text()).await.expect(200);
}

#[tokio::test]
async fn a_token_needs_every_required_claim_with_its_value() {
    let stage =
        stage_with(&["--auth-jwt-require=role=authenticated,aal=aal2,is_anonymous=false"]).await;
    let good = || {
        Token::of("alice")
            .with("aal", json!("aal2"))
            .with("is_anonymous", json!(false))
    };

    day(&stage, &good().text()).await.expect(200);
    let several = good().with("aal", json!(["aal1", "aal2"]));
    day(&stage, &several.text()).await.expect(200);
    for (claim, value) in [
        ("aal", json!(null)),
        ("aal", json!("aal1")),
        ("aal", json!("AAL2")),
        ("aal", json!({"aal2": true})),
        ("aal", json!([])),
        ("is_anonymous", json!(true)),
        ("is_anonymous", json!(null)),
        ("role", json!("editor")),
        ("role", json!(null)),
    ] {
        let answer = day(&stage, &good().with(claim, value.clone()).text()).await;
        answer.assert_problem(401, "claim-required");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(claim), "{value}: {detail}");
    }
}

#[tokio::test]
async fn tokens_with_supabases_own_roles_are_refused_and_anonymous_members_are_accepted() {
    let stage = Stage::new().await;

    for role in ["anon", "service_role"] {
        let answer = day(&stage, &with("role", json!(role))).await;
        answer.assert_problem(401, "role-not-accepted");
    }
    day(&stage, &with("role", json!(null))).await.expect(200);
    day(&stage, &with("role", json!("editor")))
        .await
        .expect(200);
    day(&stage, &with("is_anonymous", json!(true)))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_token_with_a_lifetime_of_more_than_a_day_is_refused() {
    let stage = Stage::new().await;
    let alice = || Token::of("alice").with("iat", json!(null));

    day(&stage, &alice().with_time("exp", DAY - 60).text())
        .await
        .expect(200);
    let token = alice().with_time("exp", DAY + 120).text();
    day(&stage, &token)
        .await
        .assert_problem(401, "lifetime-too-long");
    let forever = alice().with("exp", json!(9_999_999_999_i64)).text();
    day(&stage, &forever)
        .await
        .assert_problem(401, "lifetime-too-long");
    // This token expires in ten minutes, but its lifetime since it was issued is a week.
    let week = alice()
        .with_time("iat", -7 * DAY + 600)
        .with_time("exp", 600);
    day(&stage, &week.text())
        .await
        .assert_problem(401, "lifetime-too-long");
    for iat in [json!("yesterday"), json!([]), json!(true)] {
        day(&stage, &with("iat", iat))
            .await
            .assert_problem(401, "invalid-token");
    }
}

#[tokio::test]
async fn the_maximum_lifetime_of_a_token_is_a_setting() {
    let stage = stage_with(&["--auth-jwt-max-lifetime-seconds=7200"]).await;

    day(&stage, &Token::of("alice").text()).await.expect(200);
    let token = Token::of("alice").with_time("exp", 8_000).text();
    day(&stage, &token)
        .await
        .assert_problem(401, "lifetime-too-long");
}

#[tokio::test]
async fn audiences_and_issuers_are_lists() {
    let stage = stage_with(&[
        "--auth-jwt-audience=mobile,web",
        "--auth-jwt-issuer=https://one.example/,https://two.example/",
    ])
    .await;
    let token = |aud: Value, iss: Value| {
        let token = Token::of("alice").with("aud", aud).with("iss", iss);
        token.text()
    };

    for (aud, iss) in [
        (json!("mobile"), json!("https://one.example/")),
        (json!("web"), json!("https://two.example/")),
        (json!(["other", "web"]), json!("https://one.example/")),
    ] {
        day(&stage, &token(aud, iss)).await.expect(200);
    }
    for (aud, iss) in [
        (json!("authenticated"), json!("https://one.example/")),
        (json!("mobile,web"), json!("https://one.example/")),
        (json!(null), json!("https://one.example/")),
        (json!("web"), json!("https://three.example/")),
        (json!("web"), json!("https://one.example")),
        (json!("web"), json!(null)),
    ] {
        let answer = day(&stage, &token(aud.clone(), iss.clone())).await;
        assert_eq!(answer.status, 401, "{aud} {iss}: {}", answer.text);
        assert_eq!(answer.problem(), "invalid-token");
    }
}

async fn callers_check(stage: &Stage) -> Vec<Value> {
    let ask = stage.client.post("/api/v1/whoop/admin/doctor");
    let found = ask.with_token(crate::harness::SERVICE_KEY).send().await;
    let found = found.expect(200);
    let checks = found["checks"].as_array().unwrap().iter();
    checks
        .filter(|one| one["check"] == "callers")
        .cloned()
        .collect()
}

#[tokio::test]
async fn the_doctor_warns_if_any_audience_or_issuer_is_accepted() {
    let signer = Signer::new("one", Algorithm::ES256);
    let issuer = Issuer::of(&[&signer]);
    let any = Stage::with_flags(&[issuer.flag(), "--auth-jwt-audience=*".to_owned()]).await;
    until("the keys have been read", || async {
        issuer.request_count() > 0
    })
    .await;

    let foreign = Token::of("alice").with("aud", json!("another project"));
    day(&any, &signer.sign(&foreign)).await.expect(200);
    let found = callers_check(&any).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["state"], "warning");
    assert!(
        found[0]["detail"]
            .as_str()
            .unwrap()
            .contains("AUTH_JWT_AUDIENCE=*")
    );

    let no_issuer = Stage::with_flags(&[issuer.flag()]).await;
    let found = callers_check(&no_issuer).await;
    assert_eq!(found[0]["state"], "warning");
    assert!(
        found[0]["detail"]
            .as_str()
            .unwrap()
            .contains("AUTH_JWT_ISSUER")
    );

    let both = [
        issuer.flag(),
        "--auth-jwt-issuer=https://one.example/".to_owned(),
    ];
    let found = callers_check(&Stage::with_flags(&both).await).await;
    assert_eq!(found[0]["state"], "ok");
}

#[tokio::test]
async fn without_authentication_only_requests_to_this_machine_are_answered() {
    let stage = stage_with(&["--insecure-no-auth"]).await;
    let path = stage.member("bob").path("daily-data");
    let port = stage.client.address.port();

    for host in [
        "rebind.attacker.example".to_owned(),
        format!("rebind.attacker.example:{port}"),
        format!("localhost.attacker.example:{port}"),
        "192.0.2.1".to_owned(),
    ] {
        let ask = stage.client.get(&path).with_header("host", &host);
        ask.send().await.assert_problem(403, "host-not-loopback");
        let ask = stage.client.post("/api/v1/whoop/admin/doctor");
        let ask = ask.with_header("host", &host).send().await;
        ask.assert_problem(403, "host-not-loopback");
    }
    for host in ["localhost", "127.0.0.1:1", "[::1]:8080"] {
        let ask = stage.client.get(&path).with_header("host", host);
        ask.send().await.expect(200);
    }
    // The `Host` header is not checked if the request has credentials.
    let ask = stage
        .client
        .get(&path)
        .with_header("host", "rebind.attacker.example");
    let bob = Token::of("bob").text();
    ask.with_token(&bob).send().await.expect(200);
    let found = callers_check(&stage).await;
    assert_eq!(found[0]["state"], "warning");
}
