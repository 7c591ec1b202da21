//! Members of the app, and how they connect WHOOP.

use serde_json::{Value, json};
use url::Url;

use super::{Answer, Client, Replica, SERVICE_KEY, Stage, Token, until};

/// A member who uses the app.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) client: Client,
    pub(crate) user_id: String,
    pub(crate) token: String,
}

/// A member has begun to connect WHOOP, and now has to consent at this address.
#[derive(Debug, Clone)]
pub(crate) struct Consent {
    pub(crate) authorization_url: Url,
}

impl Member {
    pub(crate) fn new(client: &Client, user_id: &str) -> Self {
        Self {
            client: client.clone(),
            user_id: user_id.to_owned(),
            token: Token::of(user_id).text(),
        }
    }

    /// Returns the same member, who sends requests to another API process.
    pub(crate) fn at(&self, replica: &Replica) -> Self {
        Self {
            client: replica.client.clone(),
            ..self.clone()
        }
    }

    pub(crate) fn path(&self, route: &str) -> String {
        format!("/api/v1/whoop/{route}/{}", self.user_id)
    }

    /// Sends a GET request to a route about this member. `rest` is appended to the user id, such as
    /// `?date=…`.
    pub(crate) async fn get(&self, route: &str, rest: &str) -> Answer {
        let path = format!("{}{rest}", self.path(route));
        self.client.get(&path).with_token(&self.token).send().await
    }

    pub(crate) async fn day(&self, rest: &str) -> Value {
        self.get("daily-data", rest).await.expect(200)
    }

    pub(crate) async fn post(&self, route: &str, body: &Value) -> Answer {
        let path = self.path(route);
        let ask = self.client.post(&path).with_token(&self.token);
        ask.with_json(body).send().await
    }

    pub(crate) async fn delete(&self, rest: &str) -> Answer {
        let path = format!("{}{rest}", self.path("connection"));
        let ask = self.client.ask(reqwest::Method::DELETE, &path);
        ask.with_token(&self.token).send().await
    }

    /// Begins to connect the member to WHOOP, with this request body.
    pub(crate) async fn begin(&self, body: &Value) -> Consent {
        let answer = self.post("connect", body).await.expect(200);
        let url = answer["authorization_url"].as_str().unwrap();
        Consent {
            authorization_url: url.parse().unwrap(),
        }
    }

    /// Starts a sync back to `from`, which must be more than three weeks ago, and waits until the
    /// sync has ended.
    pub(crate) async fn sync_back_to(&self, from: &str) {
        let body = json!({"from": from, "wait": true});
        let started = self.post("sync", &body).await.expect(202);
        assert_eq!(started["status"], "running");
        until("the background sync has ended", || async {
            self.get("sync-status", "").await.expect(200)["syncing"] == false
        })
        .await;
    }

    /// Waits until all data types have been read for the first time.
    pub(crate) async fn is_read(&self) {
        until("all four data types have been read", || async {
            let status = self.get("sync-status", "").await.expect(200);
            let types = status["data_types"].as_object().unwrap();
            status["syncing"] == false && types.values().all(|one| one["sync_status"] == "success")
        })
        .await;
    }
}

impl Consent {
    pub(crate) fn state(&self) -> String {
        parameter(&self.authorization_url, "state")
    }

    /// Consents at WHOOP as this person, and returns the callback to which WHOOP redirects the
    /// browser.
    pub(crate) async fn given_by(&self, client: &Client, whoop_user_id: i64) -> Callback {
        let mut url = self.authorization_url.clone();
        url.query_pairs_mut()
            .append_pair("login_hint", &whoop_user_id.to_string());
        let answer = client.elsewhere(url).await;
        assert_eq!(answer.status, 302, "{}", answer.text);
        let url = answer.header("location").unwrap().parse().unwrap();
        Callback { url }
    }
}

/// The address of the callback to which WHOOP redirects the browser, with an authorization code.
#[derive(Debug, Clone)]
pub(crate) struct Callback {
    pub(crate) url: Url,
}

impl Callback {
    pub(crate) fn code(&self) -> String {
        parameter(&self.url, "code")
    }

    pub(crate) async fn follow(&self, client: &Client) -> Answer {
        assert_eq!(
            self.url.authority(),
            client.address.to_string(),
            "WHOOP redirects to another address"
        );
        let query = self.url.query().unwrap();
        let path = format!("{}?{query}", self.url.path());
        client.get(&path).send().await
    }
}

pub(crate) fn parameter(url: &Url, name: &str) -> String {
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_else(|| panic!("no {name} in {url}"))
}

impl Stage {
    pub(crate) fn member(&self, user_id: &str) -> Member {
        Member::new(&self.client, user_id)
    }

    /// Returns a caller with a service key who sends requests about this member.
    pub(crate) fn service_for(&self, user_id: &str) -> Member {
        Member {
            token: SERVICE_KEY.to_owned(),
            ..self.member(user_id)
        }
    }

    /// Connects the first person of the simulator as the member `user_id`, and waits until all data
    /// types have been read.
    pub(crate) async fn connect(&self, user_id: &str) -> Member {
        self.connect_person(user_id, 0).await
    }

    pub(crate) async fn connect_person(&self, user_id: &str, index: usize) -> Member {
        let member = self.member(user_id);
        let whoop_user_id = self.world().people()[index];
        let consent = member.begin(&json!({"consent": "terms of 2026"})).await;
        let callback = consent.given_by(&self.client, whoop_user_id).await;
        let connected = callback.follow(&self.client).await.expect(200);
        assert_eq!(
            connected,
            json!({"status": "connected", "user_id": user_id})
        );
        member.is_read().await;
        member
    }
}
