//! `POST /oauth/oauth2/token`.

use chrono::{DateTime, Utc};

use super::grants::{GrantStore, SimTokenPair};
use crate::{config::SimConfig, reply::HttpReply};

/// The owner of the code or refresh token in a token request, whether it is live or spent.
pub(crate) fn owner_of_token_request(grants: &GrantStore, form: &[u8]) -> Option<i64> {
    url::form_urlencoded::parse(form).find_map(|(key, value)| match key.as_ref() {
        "refresh_token" => grants.owner_of_refresh_token(&value),
        "code" => grants.owner_of_code(&value),
        _ => None,
    })
}

/// The member the pair is for goes to the log beside the reply.
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
    // In the body only: that is where WHOOP documents them.
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

/// `scope=offline`, as WHOOP documents it, renews all that was granted. A list
/// narrows the new token to it. Without `offline` no refresh token comes back
/// and the old one stays good: the strictest of the behaviours told of WHOOP.
fn refresh_grant(
    grants: &mut GrantStore,
    token: &str,
    scope: Option<&str>,
    now: DateTime<Utc>,
) -> Result<SimTokenPair, HttpReply> {
    let (at, granted) = grants.redeem(token).map_err(|_| invalid_grant())?;
    let asked: Vec<String> = scope
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    if asked.iter().any(|scope| !granted.contains(scope)) {
        return Err(HttpReply::oauth_error(
            400,
            "invalid_scope",
            "The requested scope is invalid, unknown, or malformed",
        ));
    }
    let scopes = match asked.as_slice() {
        [] => granted.into_iter().filter(|it| it != "offline").collect(),
        [only] if only == "offline" => granted,
        _ => asked,
    };
    Ok(grants.refresh(at, scopes, now))
}

fn invalid_grant() -> HttpReply {
    // The text of RFC 6749 that was seen live.
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
