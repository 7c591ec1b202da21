use std::sync::Arc;

use secrecy::ExposeSecret;
use whoop_client::{ErrorAction, SCOPES, WhoopClient, WhoopConfig, WhoopError};
use whoop_core::{SystemClock, record::Sleep};
use whoop_sim::{Fault, SimConfig};

use super::member::{connected, short_history};

#[tokio::test]
async fn a_refresh_replaces_both_tokens_and_invalidates_the_old_ones() {
    let member = connected(short_history()).await;
    let (whoop, old) = (&member.whoop, &member.refresh_token);

    let next = whoop.refresh_tokens(old, SCOPES).await.unwrap();

    let refresh_token = next.refresh_token.unwrap();
    assert_ne!(refresh_token.expose_secret(), old.expose_secret());
    assert_eq!(next.expires_in, chrono::TimeDelta::hours(1));
    whoop.fetch_profile(&next.access_token).await.unwrap();
    let refused = whoop.fetch_profile(&member.access_token).await.unwrap_err();
    assert!(matches!(refused, WhoopError::Unauthorized));

    let again = whoop.refresh_tokens(old, SCOPES).await.unwrap_err();
    assert!(matches!(again, WhoopError::InvalidGrant));
    assert_eq!(again.recommended_action(), ErrorAction::Reconnect);
}

#[tokio::test]
async fn an_expired_token_is_reported_once_and_a_refresh_repairs_it() {
    let member = connected(short_history()).await;
    member.sim.world().oauth().expire_access_tokens();

    let error = member.first_page::<Sleep>().await.unwrap_err();
    assert!(matches!(error, WhoopError::Unauthorized));
    assert_eq!(
        member.sim.world().call_count(),
        1,
        "the client does not retry"
    );

    let pair = member
        .whoop
        .refresh_tokens(&member.refresh_token, SCOPES)
        .await;
    let token = pair.unwrap().access_token;
    member.whoop.fetch_profile(&token).await.unwrap();
}

#[tokio::test]
async fn a_used_code_a_wrong_secret_and_an_outage_are_distinguished() {
    let member = connected(short_history()).await;
    let code = member
        .sim
        .world()
        .oauth()
        .issue_code(member.whoop_user_id, &["offline", "read:sleep"]);
    member.whoop.exchange_code(&code).await.unwrap();
    let used = member.whoop.exchange_code(&code).await.unwrap_err();
    assert!(matches!(used, WhoopError::InvalidGrant));

    let outage = Fault {
        body: Some(r#"{"error":"invalid_request"}"#.to_owned()),
        ..Fault::status("token", 400)
    };
    member.fault(1, outage);
    let temporary = member
        .whoop
        .refresh_tokens(&member.refresh_token, SCOPES)
        .await;
    assert_eq!(
        temporary.unwrap_err().recommended_action(),
        ErrorAction::Retry
    );

    let other_app = WhoopConfig {
        api_url: member.sim.api_url().parse().unwrap(),
        oauth_url: member.sim.oauth_url().parse().unwrap(),
        client_id: SimConfig::default().client_id,
        client_secret: "not the right secret".into(),
        redirect_url: "http://127.0.0.1:9/callback".parse().unwrap(),
    };
    let other_app = WhoopClient::new(other_app, Arc::new(SystemClock)).unwrap();
    let unknown = other_app.check_app_credentials().await.unwrap_err();
    assert!(unknown.to_string().contains("client secret is wrong"));
    member.whoop.check_app_credentials().await.unwrap();
    let refused = other_app
        .refresh_tokens(&member.refresh_token, SCOPES)
        .await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.recommended_action(), ErrorAction::GiveUp);
    assert!(refused.to_string().contains("client secret is wrong"));

    // None of the refused requests has used up the refresh token.
    let pair = member
        .whoop
        .refresh_tokens(&member.refresh_token, SCOPES)
        .await;
    pair.unwrap();
}

#[tokio::test]
async fn the_tokens_of_a_revoked_member_are_refused() {
    let member = connected(short_history()).await;

    member
        .whoop
        .revoke_access(&member.access_token)
        .await
        .unwrap();

    let error = member.whoop.fetch_profile(&member.access_token).await;
    assert!(matches!(error, Err(WhoopError::Unauthorized)));
    let error = member
        .whoop
        .refresh_tokens(&member.refresh_token, SCOPES)
        .await;
    assert!(matches!(error, Err(WhoopError::InvalidGrant)));
}
