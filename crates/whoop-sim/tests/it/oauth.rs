//! Tests of consent, code exchange, token rotation, scopes and the revocation of a grant.

use std::time::Duration;

use crate::support::{ALL_SCOPES, Member, REDIRECT, frozen, http, send, token};
use serde_json::json;
use url::Url;
use whoop_sim::{ReuseMode, SimConfig, SimServer};

fn authorization_url(sim: &SimServer, extra: &[(&str, &str)]) -> Url {
    let scope = ALL_SCOPES.join(" ");
    let mut url = Url::parse(&format!("{}/auth", sim.oauth_url())).unwrap();
    url.query_pairs_mut().extend_pairs(
        [
            ("client_id", "whoop-sim-client"),
            ("response_type", "code"),
            ("redirect_uri", REDIRECT),
            ("scope", &scope),
        ]
        .iter()
        .chain(extra),
    );
    url
}

fn parameter(location: &str, name: &str) -> String {
    let url = Url::parse(location).unwrap();
    let found = url.query_pairs().find(|(key, _)| key == name);
    found
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

async fn refresh(sim: &SimServer, refresh_token: &str, scope: &str) -> crate::support::Answer {
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token),
        ("scope", scope),
    ];
    token(sim, &fields).await
}

#[tokio::test]
async fn a_member_is_connected_through_the_consent_page() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let people = sim.world().people();

    let page = send(http().get(authorization_url(&sim, &[("state", "12345678")]))).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("Allow") && page.text.contains("Deny"));
    assert!(
        page.text
            .contains(&format!("value=\"{}\" selected", people[0]))
    );

    let person = people[1].to_string();
    let scope = ALL_SCOPES.join(" ");
    let form = [
        ("client_id", "whoop-sim-client"),
        ("response_type", "code"),
        ("redirect_uri", REDIRECT),
        ("scope", &scope),
        ("state", "12345678"),
        ("person", &person),
        ("decision", "allow"),
    ];
    let post = http().post(format!("{}/auth", sim.oauth_url())).form(&form);
    let sent = send(post).await;
    assert_eq!(sent.status, 302);
    let location = sent.header("location");
    assert!(location.starts_with(REDIRECT));
    assert_eq!(parameter(location, "state"), "12345678");

    let code = parameter(location, "code");
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
    ];
    let pair = token(&sim, &fields).await;
    assert_eq!(pair.status, 200);
    assert_eq!(pair.json()["expires_in"], 3600);
    let profile = http()
        .get(format!("{}/v2/user/profile/basic", sim.api_url()))
        .bearer_auth(pair.json()["access_token"].as_str().unwrap());
    assert_eq!(send(profile).await.json()["user_id"], people[1]);

    let again = token(&sim, &fields).await;
    assert_eq!(
        (again.status, &again.json()["error"]),
        (400, &json!("invalid_grant"))
    );
}

#[tokio::test]
async fn a_denied_consent_redirects_with_request_forbidden() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let scope = ALL_SCOPES.join(" ");
    let form = [
        ("client_id", "whoop-sim-client"),
        ("response_type", "code"),
        ("redirect_uri", REDIRECT),
        ("scope", &scope),
        ("state", "12345678"),
        ("decision", "deny"),
    ];
    let sent = send(http().post(format!("{}/auth", sim.oauth_url())).form(&form)).await;
    assert_eq!(
        parameter(sent.header("location"), "error"),
        "request_forbidden"
    );
}

#[tokio::test]
async fn auto_consent_connects_the_person_of_the_login_hint() {
    let config = SimConfig {
        auto_consent: true,
        ..frozen()
    };
    let sim = SimServer::start(config).await.unwrap();
    let person = sim.world().people()[2];
    let hint = person.to_string();

    let url = authorization_url(&sim, &[("state", "12345678"), ("login_hint", &hint)]);
    let sent = send(http().get(url)).await;
    let code = parameter(sent.header("location"), "code");
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
    ];
    assert_eq!(token(&sim, &fields).await.status, 200);
    assert_eq!(sim.world().oauth().grants()[0].whoop_user_id, person);

    let url = authorization_url(&sim, &[("state", "12345678"), ("login_hint", "nobody")]);
    let sent = send(http().get(url)).await;
    assert_eq!(
        parameter(sent.header("location"), "error"),
        "invalid_request"
    );
}

#[tokio::test]
async fn invalid_consent_requests_have_different_errors() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let short_state = send(http().get(authorization_url(&sim, &[("state", "1234567")]))).await;
    assert_eq!(
        parameter(short_state.header("location"), "error"),
        "invalid_state"
    );

    let mut url = authorization_url(&sim, &[("state", "12345678")]);
    let unknown_scope = url.as_str().replace("read%3Asleep", "read%3Adreams");
    let refused = send(http().get(unknown_scope)).await;
    assert_eq!(
        parameter(refused.header("location"), "error"),
        "invalid_scope"
    );

    let unregistered = url.as_str().replace("127.0.0.1%3A9", "example.test");
    assert_eq!(send(http().get(unregistered)).await.status, 400);
    url.set_query(None);
    assert_eq!(send(http().get(url)).await.status, 400);
}

#[tokio::test]
async fn a_refresh_invalidates_the_old_token_pair_immediately() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;

    let new = refresh(&sim, &member.refresh, "offline").await.json();
    assert_eq!(new["scope"], ALL_SCOPES.join(" "));
    let old = member.get("cycle").await;
    assert_eq!(
        (old.status, old.text.as_str()),
        (401, "Authorization was not valid")
    );

    let reused = refresh(&sim, &member.refresh, "offline").await;
    assert_eq!(
        (reused.status, &reused.json()["error"]),
        (400, &json!("invalid_grant"))
    );
    let next = refresh(&sim, new["refresh_token"].as_str().unwrap(), "offline").await;
    assert_eq!(next.status, 200);
    assert_eq!(sim.world().oauth().refresh_count(member.id), 2);
    assert_eq!(sim.world().oauth().grants()[0].reuses, 1);
}

#[tokio::test]
async fn in_family_revoked_mode_reuse_also_revokes_the_new_token_pair() {
    let sim = SimServer::start(frozen()).await.unwrap();
    sim.world().oauth().set_reuse_mode(ReuseMode::FamilyRevoked);
    let member = Member::connect(&sim, 0).await;

    let new = refresh(&sim, &member.refresh, "offline").await.json();
    assert_eq!(refresh(&sim, &member.refresh, "offline").await.status, 400);
    let next = refresh(&sim, new["refresh_token"].as_str().unwrap(), "offline").await;
    assert_eq!(next.status, 400);
}

#[tokio::test]
async fn a_refresh_without_the_scope_offline_gets_no_new_refresh_token() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;

    let narrow = refresh(&sim, &member.refresh, "read:sleep").await.json();
    assert_eq!(narrow["refresh_token"], json!(null));
    assert_eq!(narrow["scope"], "read:sleep");
    assert_eq!(refresh(&sim, &member.refresh, "offline").await.status, 200);
}

#[tokio::test]
async fn a_scope_that_was_not_granted_cannot_be_refreshed_or_read() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect_for(&sim, 0, &["offline", "read:cycles"]).await;

    assert_eq!(member.get("cycle").await.status, 200);
    assert_eq!(member.get("activity/sleep").await.status, 401);
    let refused = refresh(&sim, &member.refresh, "offline read:sleep").await;
    assert_eq!(refused.json()["error"], "invalid_scope");
}

#[tokio::test]
async fn an_access_token_is_valid_for_an_hour_of_the_simulated_clock() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let member = Member::connect(&sim, 0).await;

    sim.world().advance(Duration::from_secs(3_599));
    assert_eq!(member.get("cycle").await.status, 200);
    sim.world().advance(Duration::from_secs(1));
    assert_eq!(member.get("cycle").await.status, 401);
    assert_eq!(refresh(&sim, &member.refresh, "offline").await.status, 200);
}

#[tokio::test]
async fn deleting_the_access_revokes_only_the_members_grant() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let (one, two) = (
        Member::connect(&sim, 0).await,
        Member::connect(&sim, 1).await,
    );

    let url = format!("{}/v2/user/access", sim.api_url());
    let deleted = send(http().delete(url).bearer_auth(&one.access)).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert_eq!(one.get("cycle").await.status, 401);
    assert_eq!(refresh(&sim, &one.refresh, "offline").await.status, 400);
    assert_eq!(two.get("cycle").await.status, 200);
}

#[tokio::test]
async fn a_wrong_secret_is_an_invalid_client() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let form = [
        ("client_id", "whoop-sim-client"),
        ("client_secret", "guess"),
        ("grant_type", "refresh_token"),
    ];
    let url = format!("{}/token", sim.oauth_url());
    let refused = send(http().post(url).form(&form)).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]),
        (401, &json!("invalid_client"))
    );
}

#[tokio::test]
async fn malformed_tokens_get_the_same_answer_as_expired_ones() {
    let sim = SimServer::start(frozen()).await.unwrap();
    let url = format!("{}/v2/cycle", sim.api_url());
    for header in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x y",
        "Basic abc",
        "Bearer AT-1",
    ] {
        let request = http().get(&url).header("Authorization", header);
        let answer = send(request).await;
        assert_eq!(answer.status, 401, "{header}");
        assert_eq!(answer.text, "Authorization was not valid");
    }
}
