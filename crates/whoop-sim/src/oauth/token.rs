//! `POST /oauth/oauth2/token`: code exchange and token refresh.

use chrono::{DateTime, Utc};

use super::grants::{GrantStore, SimTokenPair};
use crate::{config::SimConfig, reply::HttpReply};

/// Returns the member to whom the code or refresh token of a request belongs, even if it is spent.
pub(crate) fn owner_of_token_request(grants: &GrantStore, form: &[u8]) -> Option<i64> {
    url::form_urlencoded::parse(form).find_map(|(key, value)| match key.as_ref() {
        "refresh_token" => grants.owner_of_refresh_token(&value),
        "code" => grants.owner_of_code(&value),
        _ => None,
    })
}

/// Answers a token request. Returns the reply, and the member who got new tokens for the call log.
pub(crate) fn answer_token(
    config: &SimConfig,
    grants: &mut GrantStore,
    form: &[u8],
    now: DateTime<Utc>,
) -> (HttpReply, Option<i64>) {
    let field = |name: &str| {
        url::form_urlencoded::parse(form)
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    // Client id and secret are accepted only in the body, as WHOOP documents.
    if field("client_id").as_deref() != Some(&config.client_id)
        || field("client_secret").as_deref() != Some(&config.client_secret)
    {
        return (invalid_client(), None);
    }
    let pair = match field("grant_type").as_deref() {
        Some("authorization_code") => {
            let Some(code) = field("code") else {
                return (invalid_request("The code is missing"), None);
            };
            grants
                .exchange_code(&code, field("redirect_uri").as_deref(), now)
                .map_err(|_| invalid_grant())
        }
        Some("refresh_token") => {
            let Some(token) = field("refresh_token") else {
                return (invalid_request("The refresh token is missing"), None);
            };
            refresh_grant(grants, &token, field("scope").as_deref(), now)
        }
        Some(_) => Err(HttpReply::oauth_error(
            400,
            "unsupported_grant_type",
            "The authorization grant type is not supported by the authorization server",
        )),
        None => Err(invalid_request("The grant type is missing")),
    };
    match pair {
        Ok(pair) => {
            let member = grants.bearer_access(&pair.access_token, now);
            let body = serde_json::to_string(&pair).expect("a pair has string keys");
            (
                HttpReply::json(body),
                member.map(|access| access.whoop_user_id),
            )
        }
        Err(reply) => (reply, None),
    }
}

/// Refreshes a token pair.
///
/// A request with `scope=offline`, as WHOOP documents it, renews all granted scopes. A request with
/// a list of scopes gets an access token with only these scopes. If the request does not contain
/// `offline`, the reply has no refresh token and the old refresh token stays valid. Clients have
/// reported different behaviours of WHOOP in this case, and this is the strictest.
fn refresh_grant(
    grants: &mut GrantStore,
    token: &str,
    scope: Option<&str>,
    now: DateTime<Utc>,
) -> Result<SimTokenPair, HttpReply> {
    let (at, granted) = grants.redeem(token).map_err(|_| invalid_grant())?;
    let requested: Vec<String> = scope
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    if requested.iter().any(|scope| !granted.contains(scope)) {
        return Err(HttpReply::oauth_error(
            400,
            "invalid_scope",
            "The requested scope is invalid, unknown, or malformed",
        ));
    }
    let scopes = match requested.as_slice() {
        [] => granted.into_iter().filter(|it| it != "offline").collect(),
        [only] if only == "offline" => granted,
        _ => requested,
    };
    Ok(grants.refresh(at, scopes, now))
}

fn invalid_grant() -> HttpReply {
    // This description is from RFC 6749, and WHOOP sends the same text.
    HttpReply::oauth_error(
        400,
        "invalid_grant",
        "The provided authorization grant (e.g., authorization code, resource owner credentials) \
         or refresh token is invalid, expired, revoked, does not match the redirection URI used \
         in the authorization request, or was issued to another client",
    )
}

fn invalid_client() -> HttpReply {
    HttpReply::oauth_error(
        401,
        "invalid_client",
        "Client authentication failed (e.g., unknown client, no client authentication included, \
         or unsupported authentication method)",
    )
}

fn invalid_request(description: &str) -> HttpReply {
    HttpReply::oauth_error(400, "invalid_request", description)
}
