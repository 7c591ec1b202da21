//! `GET /`: what this is, for whoever opens the address in a browser.

use actix_web::HttpResponse;

use super::respond;
use crate::reply::Reply;

pub(super) async fn front() -> HttpResponse {
    respond(Reply::page(
        200,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>whoop-sim</title>\
         <style>body{font:16px/1.5 system-ui;max-width:40rem;margin:3rem auto;padding:0 1rem}\
         </style><h1>whoop-sim</h1>\
         <p>A simulator of the WHOOP developer API v2. Nobody here is a real member.</p>\
         <ul><li>API: <code>/developer/v2/…</code></li>\
         <li>OAuth: <code>/oauth/oauth2/auth</code>, <code>/oauth/oauth2/token</code></li>\
         <li><a href=\"/_sim/people\">people</a>: who is simulated</li>\
         <li><a href=\"/_sim/truth\">truth</a>: every record of everybody</li>\
         <li><a href=\"/_sim/calls\">calls</a>: every call received</li>\
         <li><a href=\"/_sim/faults\">faults</a>, <a href=\"/_sim/clock\">clock</a></li></ul></html>"
            .to_owned(),
    ))
}
