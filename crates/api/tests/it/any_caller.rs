//! Law 11: a member has access only to their own data.
//!
//! The tests take the routes from the OpenAPI document, so that new routes are tested without a
//! change in this file.

use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::Algorithm;
use reqwest::Method;
use serde_json::json;

use crate::harness::{Answer, Documented, JWT_SECRET, SERVICE_KEY, Stage, Token, documented};

/// Routes that every caller may use without credentials.
///
/// These are the health checks, the metrics, the API description, the callback to which WHOOP
/// redirects the browser, and the webhook receiver, which requires WHOOP's signature instead.
const OPEN_TO_ALL: [&str; 6] = [
    "/api/v1/whoop/callback",
    "/healthz",
    "/metrics",
    "/openapi.json",
    "/readyz",
    "/webhooks/whoop",
];

fn is_an_operators(route: &Documented) -> bool {
    route.path.starts_with("/api/v1/whoop/admin/")
}

/// Returns the routes that require credentials: the routes about one member, and the operator's
/// routes.
fn guarded() -> Vec<Documented> {
    let all: Vec<_> = documented()
        .into_iter()
        .filter(|route| !OPEN_TO_ALL.contains(&route.path.as_str()))
        .collect();
    for route in all.iter().filter(|route| !is_an_operators(route)) {
        assert!(route.path.contains("/{user_id}"), "{}", route.path);
    }
    all
}

/// Returns the routes about one member.
fn of_a_member() -> Vec<Documented> {
    let mut all = guarded();
    all.retain(|route| !is_an_operators(route));
    assert!(
        all.len() >= 6,
        "the description does not list all routes of a member"
    );
    all
}

async fn try_route(stage: &Stage, route: &Documented, authorization: Option<&str>) -> Answer {
    let path = route.of_member("alice");
    let mut ask = stage.client.ask(route.method.clone(), &path);
    if let Some(value) = authorization {
        ask = ask.with_header("authorization", value);
    }
    ask.send().await
}

/// Returns credentials that must not give access to alice's data: a description, the value of
/// `Authorization`, and the expected error.
fn strangers() -> Vec<(&'static str, Option<String>, &'static str)> {
    let alice = || Token::of("alice");
    let bearer = |token: String| Some(format!("Bearer {token}"));
    let signature_changed = {
        let good = alice().text();
        let (rest, signature) = good.rsplit_once('.').unwrap();
        let other = if signature.starts_with('A') { "B" } else { "A" };
        format!("{rest}.{other}{}", &signature[1..])
    };
    let claims_changed = {
        let (bob, alice) = (Token::of("bob").text(), alice().text());
        let bobs: Vec<&str> = bob.split('.').collect();
        let hers: Vec<&str> = alice.split('.').collect();
        format!("{}.{}.{}", bobs[0], hers[1], bobs[2])
    };
    let rs256 = json!({"alg": "RS256", "typ": "JWT"});
    let jwk = json!({"alg": "HS256", "jwk": {"kty": "oct", "k": STANDARD.encode("mine")}});
    vec![
        ("no token", None, "no-credentials"),
        (
            "an empty header",
            Some(String::new()),
            "invalid-credentials",
        ),
        (
            "a scheme without a token",
            Some("Bearer".to_owned()),
            "invalid-credentials",
        ),
        (
            "a blank token",
            Some("Bearer    ".to_owned()),
            "invalid-credentials",
        ),
        (
            "another scheme",
            Some(format!("Basic {}", STANDARD.encode("alice:secret"))),
            "invalid-credentials",
        ),
        ("a bare token", Some(alice().text()), "invalid-credentials"),
        ("garbage", bearer("garbage".to_owned()), "invalid-token"),
        ("dots", bearer("..".to_owned()), "invalid-token"),
        (
            "a very long token",
            bearer("a".repeat(8_000)),
            "invalid-token",
        ),
        (
            "an expired token",
            bearer(alice().with_time("exp", -3600).text()),
            "expired-token",
        ),
        (
            "a token without an end",
            bearer(alice().with("exp", json!(null)).text()),
            "invalid-token",
        ),
        (
            "an end that is no number",
            bearer(alice().with("exp", json!("never")).text()),
            "invalid-token",
        ),
        (
            "a token of tomorrow",
            bearer(alice().with_time("nbf", 86_400).text()),
            "invalid-token",
        ),
        (
            "a signature that was changed",
            bearer(signature_changed),
            "invalid-token",
        ),
        (
            "claims that were changed",
            bearer(claims_changed),
            "invalid-token",
        ),
        (
            "another secret",
            bearer(alice().signed_with("another secret").text()),
            "invalid-token",
        ),
        (
            "an empty secret",
            bearer(alice().signed_with("").text()),
            "invalid-token",
        ),
        (
            "the algorithm none",
            bearer(alice().unsigned(&json!({"alg": "none"}))),
            "invalid-token",
        ),
        (
            "the algorithm nOnE",
            bearer(alice().unsigned(&json!({"alg": "nOnE"}))),
            "invalid-token",
        ),
        (
            "no signature",
            bearer(alice().unsigned(&json!({"alg": "HS256"}))),
            "invalid-token",
        ),
        (
            "no algorithm",
            bearer(alice().under_header(&json!({"typ": "JWT"}))),
            "invalid-token",
        ),
        (
            "an algorithm with two keys",
            bearer(alice().under_header(&rs256)),
            "invalid-token",
        ),
        (
            "HS512",
            bearer(alice().signed_by(Algorithm::HS512).text()),
            "invalid-token",
        ),
        (
            "HS384",
            bearer(alice().signed_by(Algorithm::HS384).text()),
            "invalid-token",
        ),
        (
            "a key of one's own in the header",
            bearer(alice().signed_with("mine").under_header(&jwk)),
            "invalid-token",
        ),
        (
            "another audience",
            bearer(alice().with("aud", json!("anon")).text()),
            "invalid-token",
        ),
        (
            "no audience",
            bearer(alice().with("aud", json!(null)).text()),
            "invalid-token",
        ),
        (
            "a token without a subject",
            bearer(alice().with("sub", json!(null)).text()),
            "invalid-token",
        ),
        (
            "a number for a name",
            bearer(alice().with("sub", json!(7)).text()),
            "invalid-token",
        ),
        (
            "an empty name",
            bearer(Token::of("").text()),
            "invalid-token",
        ),
        (
            "a name with NUL",
            bearer(Token::of("alice\0").text()),
            "invalid-token",
        ),
        (
            "the secret itself",
            bearer(JWT_SECRET.to_owned()),
            "invalid-token",
        ),
        (
            "a part of the service key",
            bearer(SERVICE_KEY[..20].to_owned()),
            "invalid-token",
        ),
        (
            "two service keys",
            bearer(format!("{SERVICE_KEY} {SERVICE_KEY}")),
            "invalid-token",
        ),
        (
            "the digest of the service key",
            bearer(crate::harness::digest_of(SERVICE_KEY)),
            "invalid-token",
        ),
        (
            "another member",
            bearer(Token::of("bob").text()),
            "not-your-data",
        ),
        (
            "a longer name",
            bearer(Token::of("alice2").text()),
            "not-your-data",
        ),
        (
            "a name in capitals",
            bearer(Token::of("Alice").text()),
            "not-your-data",
        ),
        (
            "a name with a blank",
            bearer(Token::of("alice ").text()),
            "not-your-data",
        ),
        ("a wildcard", bearer(Token::of("%").text()), "not-your-data"),
    ]
}

#[tokio::test]
async fn no_route_of_a_member_accepts_other_callers() {
    let (stage, _alice) = Stage::with_member().await;
    let before = stage.rows().await;
    stage.world().reset_calls();

    for (who, authorization, kind) in strangers() {
        let status = if kind == "not-your-data" { 403 } else { 401 };
        for route in guarded() {
            let answer = try_route(&stage, &route, authorization.as_deref()).await;

            let case = format!("{who} at {} {}", route.method, route.path);
            let kind = match kind {
                "not-your-data" if is_an_operators(&route) => "not-an-operator",
                kind => kind,
            };
            assert_eq!(
                (answer.status, answer.problem().as_str()),
                (status, kind),
                "{case}"
            );
            assert_eq!(
                answer.header("www-authenticate").is_some(),
                status == 401,
                "{case}"
            );
            assert!(!answer.text.contains("recovery"), "{case}");
        }
        before.assert_unchanged(&stage.rows().await, who);
    }
    assert_eq!(stage.world().call_count(), 0);
}

#[tokio::test]
async fn a_member_and_a_service_may_use_every_route_of_the_member() {
    let (stage, alice) = Stage::with_member().await;
    let bob = stage.connect_person("bob", 1).await;
    let service = stage.service_for("bob");

    for route in of_a_member() {
        for (who, member) in [("the member", &alice), ("a service", &service)] {
            let path = route.of_member(&member.user_id);
            let ask = stage.client.ask(route.method.clone(), &path);
            let answer = ask.with_token(&member.token).send().await;

            if path.ends_with("/confirm") {
                // The caller is authorized. The request is refused because its body contains no
                // one-time word.
                answer.assert_invalid("invalid-confirm", "confirm");
                continue;
            }
            assert_eq!(answer.status, 200, "{who} at {path}: {}", answer.text);
        }
    }
    // The requests to disconnect were sent last, and they took effect.
    for member in [alice, bob] {
        let day = member.day("").await;
        assert_eq!(day["meta"]["connection"], "disconnected");
    }
}

#[tokio::test]
async fn exactly_the_public_routes_are_open_without_credentials() {
    let (stage, _alice) = Stage::with_member().await;
    let open: Vec<String> = documented()
        .into_iter()
        .filter(|route| !route.path.contains("{user_id}") && !is_an_operators(route))
        .map(|route| {
            let is_whoops = route.path == "/webhooks/whoop";
            assert_eq!(route.method == Method::POST, is_whoops, "{}", route.path);
            route.path
        })
        .collect();

    assert_eq!(open, OPEN_TO_ALL);
    for path in open {
        let (method, expected) = match path.as_str() {
            // The callback was requested without a state, and has no data to return.
            "/api/v1/whoop/callback" => (Method::GET, 400),
            // The request has no signature, because only WHOOP can sign it.
            "/webhooks/whoop" => (Method::POST, 401),
            _ => (Method::GET, 200),
        };
        let answer = stage.client.ask(method, &path).send().await;
        assert_eq!(answer.status, expected, "{path}");
        assert!(!answer.text.contains("alice"), "{path}");
    }
}

#[tokio::test]
async fn a_percent_encoded_user_id_is_the_same_user_id() {
    let (stage, alice) = Stage::with_member().await;

    let path = "/api/v1/whoop/daily-data/%61lic%65";
    let own = stage.client.get(path).with_token(&alice.token).send().await;
    let other = Token::of("%61lic%65").text();
    let literal = stage.client.get(path).with_token(&other).send().await;

    assert_eq!(own.expect(200)["user_id"], "alice");
    literal.assert_problem(403, "not-your-data");
}

#[tokio::test]
async fn a_slash_in_a_user_id_leads_to_no_other_member() {
    let (stage, _alice) = Stage::with_member().await;
    let bob = Token::of("bob").text();

    for target in [
        "/api/v1/whoop/daily-data/bob/../alice",
        "/api/v1/whoop/daily-data/bob%2F..%2Falice",
        "/api/v1/whoop/daily-data/bob/..%2Falice",
        "/api/v1/whoop/daily-data//alice",
        "/api/v1/whoop/daily-data/alice/",
        "/api/v1/whoop/daily-data/alice;bob",
        "/api/v1/whoop/daily-data/alice%00bob",
        "/api/v1/whoop/daily-data/alice?user_id=bob",
    ] {
        let (status, answer) = stage.client.get_raw(target, &bob).await;
        assert!((400..500).contains(&status), "{target}: {answer}");
        assert!(!answer.contains("recovery"), "{target}: {answer}");
    }
}

#[tokio::test]
async fn a_request_with_two_tokens_is_refused() {
    let (stage, alice) = Stage::with_member().await;

    let bob = format!("Bearer {}", Token::of("bob").text());
    let answer = stage
        .client
        .get(&alice.path("daily-data"))
        .with_token(&alice.token)
        .with_header("authorization", &bob)
        .send()
        .await;

    answer.assert_problem(401, "no-credentials");
}

#[tokio::test]
async fn a_token_in_the_query_or_in_a_cookie_is_ignored() {
    let (stage, alice) = Stage::with_member().await;
    let (path, token) = (alice.path("daily-data"), &alice.token);

    for name in ["access_token", "token", "authorization"] {
        let path = format!("{path}?{name}={token}");
        let answer = stage.client.get(&path).send().await;
        answer.assert_problem(401, "no-credentials");
    }
    let ask = stage.client.get(&path);
    let answer = ask.with_header("cookie", &format!("token={token}")).send();
    answer.await.assert_problem(401, "no-credentials");
}

#[tokio::test]
async fn a_token_that_expired_a_few_seconds_ago_is_accepted() {
    let (_stage, mut alice) = Stage::with_member().await;

    alice.token = Token::of("alice").with_time("exp", -5).text();
    alice.day("").await;

    alice.token = Token::of("alice").with_time("exp", -120).text();
    alice
        .get("daily-data", "")
        .await
        .assert_problem(401, "expired-token");
}
