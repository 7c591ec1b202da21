//! A simple HTTP client for the tests, without retries and redirects.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use whoop_sim::{SimConfig, SimServer};

pub(crate) const ALL_SCOPES: [&str; 7] = [
    "offline",
    "read:profile",
    "read:body_measurement",
    "read:cycles",
    "read:recovery",
    "read:sleep",
    "read:workout",
];
pub(crate) const COLLECTIONS: [(&str, &str); 4] = [
    ("cycle", "cycles"),
    ("recovery", "recoveries"),
    ("activity/sleep", "sleeps"),
    ("activity/workout", "workouts"),
];
pub(crate) const REDIRECT: &str = "http://127.0.0.1:9/callback";

pub(crate) fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Returns a configuration with a frozen clock and quotas that are high enough for all tests.
pub(crate) fn frozen() -> SimConfig {
    SimConfig {
        now: Some(instant("2026-11-20T18:00:00Z")),
        speed: 0.0,
        days: 60,
        calls_per_minute: 100_000,
        calls_per_day: 100_000,
        ..SimConfig::default()
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}

pub(crate) async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer {
        status: response.status().as_u16(),
        headers: response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        text: response.text().await.unwrap(),
    }
}

pub(crate) async fn token(sim: &SimServer, fields: &[(&str, &str)]) -> Answer {
    let mut form = vec![
        ("client_id", "whoop-sim-client"),
        ("client_secret", "whoop-sim-secret"),
    ];
    form.extend_from_slice(fields);
    send(
        http()
            .post(format!("{}/token", sim.oauth_url()))
            .form(&form),
    )
    .await
}

/// One connected member with the current tokens.
pub(crate) struct Member {
    pub(crate) id: i64,
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) api: String,
    pub(crate) http: reqwest::Client,
}

impl Member {
    pub(crate) async fn connect(sim: &SimServer, index: usize) -> Self {
        Self::connect_for(sim, index, &ALL_SCOPES).await
    }

    pub(crate) async fn connect_for(sim: &SimServer, index: usize, scopes: &[&str]) -> Self {
        let id = sim.world().people()[index];
        let code = sim.world().oauth().issue_code(id, scopes);
        let fields = [("grant_type", "authorization_code"), ("code", &code)];
        let pair = token(sim, &fields).await.json();
        Self {
            id,
            access: pair["access_token"].as_str().unwrap().to_owned(),
            refresh: pair["refresh_token"].as_str().unwrap_or("").to_owned(),
            api: sim.api_url(),
            http: http(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let url = format!("{}/v2/{path}", self.api);
        send(self.http.get(url).bearer_auth(&self.access)).await
    }

    pub(crate) async fn page(&self, path: &str, query: &[(&str, &str)]) -> Answer {
        let url = format!("{}/v2/{path}", self.api);
        send(self.http.get(url).bearer_auth(&self.access).query(query)).await
    }

    /// Reads all pages of a collection.
    pub(crate) async fn read_all(&self, path: &str, limit: &str) -> Vec<Value> {
        let mut records = Vec::new();
        let mut next_token = None::<String>;
        loop {
            let mut query = vec![("limit", limit)];
            if let Some(token) = &next_token {
                query.push(("nextToken", token));
            }
            let page = self.page(path, &query).await.json();
            records.extend(page["records"].as_array().unwrap().iter().cloned());
            match page["next_token"].as_str() {
                Some(token) => next_token = Some(token.to_owned()),
                None => return records,
            }
        }
    }
}
