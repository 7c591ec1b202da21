//! The consent page.

use std::fmt::Write;

use crate::{
    oauth::{Authorize, Decision},
    reply::Reply,
    world::World,
};

/// More would make the list unusable; the others go by `?person=`.
const PROPOSED: usize = 200;

/// `GET`: the page, or with auto consent the answer itself.
pub(super) fn ask(world: &mut World, query: &str) -> Reply {
    let request = match Authorize::parse(&world.config, query.as_bytes()) {
        Ok(request) => request,
        Err(decision) => return answer(decision),
    };
    let proposed = match &request.person {
        Some(named) => named.parse().ok().filter(|id| world.people.knows(*id)),
        None if world.config.auto_consent => world.people.ids().next(),
        None => world.next_unbound(),
    };
    let Some(proposed) = proposed else {
        return answer(request.fail("invalid_request", "Nobody here has this user id"));
    };
    if world.config.auto_consent {
        return allow(world, &request, proposed);
    }
    Reply::page(200, page(world, &request, proposed))
}

/// `POST`: what was clicked.
pub(super) fn decide(world: &mut World, form: &[u8]) -> Reply {
    let request = match Authorize::parse(&world.config, form) {
        Ok(request) => request,
        Err(decision) => return answer(decision),
    };
    let clicked = url::form_urlencoded::parse(form)
        .find(|(key, _)| key == "decision")
        .map(|(_, value)| value.into_owned());
    let person = request
        .person
        .as_ref()
        .and_then(|id| id.parse().ok())
        .filter(|id| world.people.knows(*id));
    match (clicked.as_deref(), person) {
        (Some("allow"), Some(person)) => allow(world, &request, person),
        (Some("allow"), None) => {
            answer(request.fail("invalid_request", "Nobody here has this user id"))
        }
        _ => answer(request.deny()),
    }
}

fn allow(world: &mut World, request: &Authorize, person: i64) -> Reply {
    let now = world.now();
    let redirect_url = Some(request.redirect_url.clone());
    let scopes = request.scopes.clone();
    let code = world.grants.issue_code(person, scopes, redirect_url, now);
    answer(request.allow(&code))
}

fn answer(decision: Decision) -> Reply {
    match decision {
        Decision::Redirect(location) => Reply::redirect(location),
        Decision::Refuse(reason) => Reply::page(
            400,
            format!("<!doctype html><title>Refused</title><h1>Refused</h1><p>{reason}</p>"),
        ),
    }
}

fn page(world: &World, request: &Authorize, proposed: i64) -> String {
    let mut people = String::new();
    for person in world.people.sketches().take(PROPOSED) {
        let id = person.whoop_user_id;
        let selected = if id == proposed { " selected" } else { "" };
        let bound = if world.grants.is_bound(id) {
            ", connected"
        } else {
            ""
        };
        let name = |key: &str| escape(person.profile[key].as_str().unwrap_or_default());
        let life = serde_json::to_value(person.life).unwrap_or_default();
        let life = life.as_str().unwrap_or_default().replace('_', " ");
        let _ = write!(
            people,
            "<option value=\"{id}\"{selected}>{} {} ({life}{bound})</option>",
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
        let value = escape(value);
        let _ = write!(
            hidden,
            "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">"
        );
    }
    let scopes: String = request
        .scopes
        .iter()
        .map(|scope| format!("<li>{}</li>", escape(scope)))
        .collect();
    let client = escape(&world.config.client_id);
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

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
