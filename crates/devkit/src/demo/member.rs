use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use jsonwebtoken::{EncodingKey, Header, encode};
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::{Value, json};

use super::{environment::DemoEnv, live::MemberEventStream};

/// Maximum duration of a first sync. The sync may have to wait a minute for the quota.
const FIRST_SYNC_TIMEOUT: Duration = Duration::from_secs(90);

/// The demo's member, with methods that send the requests of the member's app.
pub(crate) struct DemoMember {
    pub(crate) user_id: &'static str,
    pub(crate) token: String,
    base: String,
    http: Client,
}

impl DemoMember {
    pub(crate) fn new(env: &DemoEnv, user_id: &'static str) -> anyhow::Result<Self> {
        let claims = json!({
            "sub": user_id,
            "aud": "authenticated",
            "exp": chrono::DateTime::<chrono::Utc>::from(std::time::UNIX_EPOCH).timestamp()
                + i64::try_from(jsonwebtoken::get_current_timestamp())? + 24 * 3600,
        });
        let key = EncodingKey::from_secret(env.jwt_secret.as_bytes());
        Ok(Self {
            user_id,
            token: encode(&Header::default(), &claims, &key)
                .context("cannot sign the member's token")?,
            base: format!("{}/api/v1/whoop", env.api_url),
            // The client follows redirects, as a browser does on the way through WHOOP's consent
            // page.
            http: Client::builder()
                .timeout(Duration::from_secs(30))
                .no_proxy()
                .build()?,
        })
    }

    pub(crate) fn route_url(&self, route: &str, query: &str) -> String {
        format!("{}/{route}/{}{query}", self.base, self.user_id)
    }

    pub(crate) async fn send_request(
        &self,
        method: Method,
        url: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.context("no response from the API")?;
        let status = response.status();
        let text = response
            .text()
            .await
            .context("the API's response is incomplete")?;
        let body = serde_json::from_str(&text)
            .with_context(|| format!("the API returned {status} with a body that is not JSON"))?;
        Ok((status, body))
    }

    /// Sends a GET request and returns the body of the response.
    ///
    /// Returns an error with status and body if the status is not 200.
    pub(crate) async fn get(&self, route: &str, query: &str) -> anyhow::Result<Value> {
        let (status, body) = self
            .send_request(Method::GET, &self.route_url(route, query), None)
            .await?;
        ensure!(
            status == StatusCode::OK,
            "{route} returned {status}: {body}"
        );
        Ok(body)
    }

    /// Opens the member's event stream, and waits for its first event.
    pub(crate) async fn open_event_stream(&self) -> anyhow::Result<MemberEventStream> {
        // An event stream does not end, so this client has no timeout.
        let http = Client::builder().no_proxy().build()?;
        let request = http.get(self.route_url("events", ""));
        let mut response = request.bearer_auth(&self.token).send().await?;
        let status = response.status();
        ensure!(status == StatusCode::OK, "events returned {status}");
        // The stream begins with the state of the connection. After this event, no later event is
        // missed.
        let mut text = String::new();
        while !text.contains("event: connection") {
            let chunk = response.chunk().await?.context("the event stream ended")?;
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        Ok(MemberEventStream { response, text })
    }

    /// Sends a POST request with this body and returns the body of the response, or an error if the
    /// status is not 2xx.
    pub(crate) async fn post(&self, route: &str, request: Value) -> anyhow::Result<Value> {
        let (status, body) = self
            .send_request(Method::POST, &self.route_url(route, ""), Some(request))
            .await?;
        ensure!(status.is_success(), "{route} returned {status}: {body}");
        Ok(body)
    }

    /// Returns the address of WHOOP's consent page for this member.
    async fn consent_page(&self) -> anyhow::Result<Url> {
        let body = json!({ "consent": "demo: made-up people only" });
        let response = self.post("connect", body).await?;
        let page = response["authorization_url"].as_str();
        let page =
            page.with_context(|| format!("connect returned no authorization_url: {response}"))?;
        Ok(page.parse()?)
    }

    /// Connects the member to the given person of the simulator, without the consent page.
    ///
    /// The consent page would propose the first person who is not connected.
    pub(crate) async fn connect_as(&self, env: &DemoEnv, whoop_user_id: i64) -> anyhow::Result<()> {
        let page = self.consent_page().await?;
        let parameter = |name: &str| {
            let mut pairs = page.query_pairs();
            let found = pairs.find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned())
        };
        let scopes = parameter("scope").context("the consent page's address has no scope")?;
        let scopes: Vec<&str> = scopes.split(' ').collect();
        let code = env.sim.world().oauth().issue_code(whoop_user_id, &scopes);
        let redirect =
            parameter("redirect_uri").context("the consent page's address has no redirect_uri")?;
        let state = parameter("state").context("the consent page's address has no state")?;
        let callback = Url::parse_with_params(&redirect, [("code", code), ("state", state)])?;
        self.follow_redirects(callback).await
    }

    /// Connects the member as a person does.
    ///
    /// The app requests the address of WHOOP's consent page, and the browser follows the redirects
    /// to WHOOP and back to the API.
    pub(crate) async fn connect(&self) -> anyhow::Result<()> {
        let page = self.consent_page().await?;
        self.follow_redirects(page).await
    }

    /// Waits until the first sync, which begins when a member has connected, has ended.
    pub(crate) async fn wait_for_first_sync(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + FIRST_SYNC_TIMEOUT;
        while self.get("sync-status", "").await?["syncing"] != false {
            ensure!(
                Instant::now() < deadline,
                "the first sync did not end within {FIRST_SYNC_TIMEOUT:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    async fn follow_redirects(&self, page: Url) -> anyhow::Result<()> {
        let response = self
            .http
            .get(page)
            .send()
            .await
            .context("cannot follow the redirects of the connect")?;
        let (status, text) = (response.status(), response.text().await?);
        ensure!(
            status == StatusCode::OK,
            "the last redirect of the connect returned {status}: {text}"
        );
        Ok(())
    }
}
