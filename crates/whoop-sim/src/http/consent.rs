//! WHOOP's consent page.

use std::fmt::Write;

use crate::{
    oauth::{AuthorizationOutcome, AuthorizationRequest},
    reply::HttpReply,
    world::World,
};

/// Maximum number of people in the page's list. Other people are selected with `?person=`.
const MAX_LISTED_PEOPLE: usize = 200;

/// Answers `GET` with the consent page. With `auto_consent`, it answers with the redirect that
/// follows a member's consent.
pub(super) fn handle_get(world: &mut World, query: &str) -> HttpReply {
    let request = match AuthorizationRequest::parse(&world.config, query.as_bytes()) {
        Ok(request) => request,
        Err(outcome) => return outcome_reply(outcome),
    };
    let proposed = match &request.person {
        Some(id) => id.parse().ok().filter(|id| world.people.contains(*id)),
        None if world.config.auto_consent => world.people.ids().next(),
        None => world.next_unconnected(),
    };
    let Some(proposed) = proposed else {
        return outcome_reply(request.fail("invalid_request", "No person has this user id"));
    };
    if world.config.auto_consent {
        return grant_consent(world, &request, proposed);
    }
    HttpReply::html(200, consent_page(world, &request, proposed))
}

/// Answers `POST`, with which the page's form sends the member's decision.
pub(super) fn handle_post(world: &mut World, form: &[u8]) -> HttpReply {
    let request = match AuthorizationRequest::parse(&world.config, form) {
        Ok(request) => request,
        Err(outcome) => return outcome_reply(outcome),
    };
    let decision = url::form_urlencoded::parse(form)
        .find(|(key, _)| key == "decision")
        .map(|(_, value)| value.into_owned());
    let person = request
        .person
        .as_ref()
        .and_then(|id| id.parse().ok())
        .filter(|id| world.people.contains(*id));
    match (decision.as_deref(), person) {
        (Some("allow"), Some(person)) => grant_consent(world, &request, person),
        (Some("allow"), None) => {
            outcome_reply(request.fail("invalid_request", "No person has this user id"))
        }
        _ => outcome_reply(request.deny()),
    }
}

fn grant_consent(world: &mut World, request: &AuthorizationRequest, person: i64) -> HttpReply {
    let now = world.now();
    let redirect_url = Some(request.redirect_url.clone());
    let scopes = request.scopes.clone();
    let code = world.grants.issue_code(person, scopes, redirect_url, now);
    outcome_reply(request.allow(&code))
}

fn outcome_reply(outcome: AuthorizationOutcome) -> HttpReply {
    match outcome {
        AuthorizationOutcome::Redirect(location) => HttpReply::redirect(location),
        AuthorizationOutcome::Refused(reason) => HttpReply::html(
            400,
            format!("<!doctype html><title>Refused</title><h1>Refused</h1><p>{reason}</p>"),
        ),
    }
}

fn consent_page(world: &World, request: &AuthorizationRequest, proposed: i64) -> String {
    let mut people = String::new();
    for person in world.people.summaries().take(MAX_LISTED_PEOPLE) {
        let id = person.whoop_user_id;
        let selected = if id == proposed { " selected" } else { "" };
        let connected = if world.grants.is_connected(id) {
            ", connected"
        } else {
            ""
        };
        let name = |key: &str| escape_html(person.profile[key].as_str().unwrap_or_default());
        let life = serde_json::to_value(person.life).unwrap_or_default();
        let life = life.as_str().unwrap_or_default().replace('_', " ");
        let _ = write!(
            people,
            "<option value=\"{id}\"{selected}>{} {} ({life}{connected})</option>",
            name("first_name"),
            name("last_name"),
        );
    }
    let mut hidden = String::new();
    let scope = request.scopes.join(" ");
    let fields = [
        ("client_id", world.config.client_id.as_str()),
        ("redirect_uri", &request.redirect_url),
        ("response_type", "code"),
        ("scope", &scope),
        ("state", &request.state),
    ];
    for (name, value) in fields {
        let value = escape_html(value);
        let _ = write!(
            hidden,
            "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">"
        );
    }
    let scopes: String = request
        .scopes
        .iter()
        .map(|scope| format!("<li>{}</li>", escape_html(scope)))
        .collect();
    let client = escape_html(&world.config.client_id);
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Allow access? (WHOOP simulator)</title>\
         <style>body{{font:16px/1.5 system-ui;max-width:34rem;margin:3rem auto;padding:0 1rem}}\
         button,select{{font:inherit;padding:.4rem 1rem}}</style>\
         <h1>Allow access?</h1>\
         <p>This is a simulator, not WHOOP. The app <b>{client}</b> asks to read:</p>\
         <ul>{scopes}</ul>\
         <form method=\"post\" action=\"/oauth/oauth2/auth\">{hidden}\
         <p><label>Member <select name=\"person\">{people}</select></label></p>\
         <button name=\"decision\" value=\"allow\">Allow</button> \
         <button name=\"decision\" value=\"deny\">Deny</button></form></html>"
    )
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
