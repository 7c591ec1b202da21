//! Environment of a soak test: two API processes, workers, a PostgreSQL server and a simulated
//! WHOOP.

use std::{net::SocketAddr, process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args, Parser};
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::process::{Child, Command};
use whoop_core::{SystemClock, UserId};
use whoop_devkit::{TestDb, random};
use whoop_sim::{SimConfig, SimServer, WorldHandle};
use whoop_sync::{
    Engine, EngineSettings, SyncContext,
    config::{DatabaseArgs, WhoopArgs},
};

/// Timeout of an HTTP request. It is long enough for a slow machine.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Limit of calls per minute and per day for soak tests that must not use up the quota.
const UNLIMITED_CALLS: u32 = 10_000_000;

/// Maximum number of members that are being connected at the same time.
const CONCURRENT_CONNECTS: usize = 4;

pub(crate) struct SoakMember {
    pub(crate) user_id: UserId,
    pub(crate) whoop_user_id: i64,
}

pub(crate) struct SoakEnv {
    pub(crate) members: Vec<SoakMember>,
    pub(crate) http: Client,
    apis: [ApiProcess; 2],
    sim: SimServer,
    /// Engine in this process, which soak tests use directly, for example to check a member's
    /// connection.
    engine: Engine,
    worker_flags: Vec<String>,
    service_key: String,
    database: TestDb,
}

/// One API process, with the flags that are needed to start it again at the same address.
struct ApiProcess {
    address: SocketAddr,
    flags: Vec<String>,
    child: Child,
}

#[derive(Debug, Parser)]
struct EngineFlags {
    #[command(flatten)]
    args: EngineArgs,
}

#[derive(Debug, Args)]
struct EngineArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    whoop: WhoopArgs,
}

impl SoakEnv {
    pub(crate) async fn build(members: usize, days: u32) -> anyhow::Result<Self> {
        let database = TestDb::new().await;
        let sim = SimServer::start(SimConfig {
            people: members,
            days,
            calls_per_minute: UNLIMITED_CALLS,
            calls_per_day: UNLIMITED_CALLS,
            auto_consent: true,
            freeze_records: true,
            ..SimConfig::default()
        })
        .await?;
        let service_key = random::hex::<32>();
        let addresses = [free_address()?, free_address()?];
        let defaults = SimConfig::default();
        let mut shared = vec![
            format!("--database-url={}", database.url()),
            format!("--whoop-client-id={}", defaults.client_id),
            format!("--whoop-client-secret={}", defaults.client_secret),
            format!("--whoop-api-url={}", sim.api_url()),
            format!("--whoop-oauth-url={}", sim.oauth_url()),
            format!(
                "--whoop-redirect-url=http://{}/api/v1/whoop/callback",
                addresses[0]
            ),
            format!(
                "--token-keys=soak:{}",
                STANDARD.encode(random::bytes::<32>())
            ),
        ];
        shared.extend(quota_flags(UNLIMITED_CALLS, UNLIMITED_CALLS));
        let engine = build_engine(&shared)?;
        let digest = random::to_hex(&Sha256::digest(service_key.as_bytes()));
        let start_api = |address: SocketAddr| -> anyhow::Result<ApiProcess> {
            let api_flags = [
                "api".to_owned(),
                format!("--api-listen={address}"),
                format!("--auth-service-keys={digest}"),
                "--api-workers=2".to_owned(),
                "--rust-log=error".to_owned(),
            ];
            let flags: Vec<String> = api_flags.into_iter().chain(shared.clone()).collect();
            Ok(ApiProcess {
                address,
                child: spawn_self(&flags, Stdio::null())?,
                flags,
            })
        };
        let mut env = Self {
            members: Vec::new(),
            // The client must close an idle connection before the simulator does, which happens
            // after five seconds.
            http: Client::builder()
                .no_proxy()
                .timeout(REQUEST_TIMEOUT)
                .pool_idle_timeout(Duration::from_secs(2))
                .build()?,
            apis: [start_api(addresses[0])?, start_api(addresses[1])?],
            sim,
            engine,
            worker_flags: shared,
            service_key,
            database,
        };
        for nth in 0..2 {
            env.wait_until_serving(nth).await?;
        }
        for (nth, whoop_user_id) in env.world().people().into_iter().enumerate() {
            let user_id: UserId = format!("member-{nth}").parse()?;
            env.members.push(SoakMember {
                user_id,
                whoop_user_id,
            });
        }
        stream::iter(&env.members)
            .map(|member| env.connect(member))
            .buffer_unordered(CONCURRENT_CONNECTS)
            .try_collect::<()>()
            .await?;
        Ok(env)
    }

    pub(crate) fn world(&self) -> WorldHandle {
        self.sim.world()
    }

    /// Returns the engine that runs in this process.
    pub(crate) const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the URL of a route for this member at one of the two APIs.
    pub(crate) fn route_url(
        &self,
        api: usize,
        route: &str,
        member: &SoakMember,
        rest: &str,
    ) -> String {
        let address = self.apis[api].address;
        let user_id = &member.user_id;
        format!("http://{address}/api/v1/whoop/{route}/{user_id}{rest}")
    }

    pub(crate) fn webhook_url(&self, api: usize) -> String {
        format!("http://{}/webhooks/whoop", self.apis[api].address)
    }

    /// Returns the resident memory that an API process uses, in kilobytes.
    pub(crate) fn api_memory_kb(&self, api: usize) -> anyhow::Result<u64> {
        let pid = self.apis[api].child.id().context("the API has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        Ok(kilobytes
            .with_context(|| format!("/proc/{pid}/status has no VmRSS"))?
            .parse()?)
    }

    pub(crate) fn service_key(&self) -> &str {
        &self.service_key
    }

    /// Connects a member as a person does, through WHOOP's consent page.
    pub(crate) async fn connect(&self, member: &SoakMember) -> anyhow::Result<()> {
        let response: Value = self
            .http
            .post(self.route_url(0, "connect", member, ""))
            .bearer_auth(&self.service_key)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        let page = response["authorization_url"]
            .as_str()
            .context("connect returned no authorization_url")?;
        let page = format!("{page}&login_hint={}", member.whoop_user_id);
        let response = self.http.get(page).send().await?;
        let status = response.status();
        ensure!(
            status == StatusCode::OK,
            "connecting {} returned {status}: {}",
            member.user_id,
            response.text().await?
        );
        Ok(())
    }

    /// Starts a worker run in a separate process, without logs or a report.
    pub(crate) fn spawn_worker(&self, run_flags: &[&str]) -> anyhow::Result<Child> {
        let mut flags: Vec<String> = ["sync-worker", "run", "--rust-log=off"]
            .iter()
            .chain(run_flags)
            .map(|flag| (*flag).to_owned())
            .collect();
        flags.extend(self.worker_flags.clone());
        spawn_self(&flags, Stdio::null())
    }

    /// Starts a worker run in a separate process that prints a JSON report to a pipe.
    pub(crate) fn spawn_reporting_worker(&self, run_flags: &[&str]) -> anyhow::Result<Child> {
        let mut flags: Vec<String> = ["sync-worker", "run", "--rust-log=error", "--json"]
            .iter()
            .chain(run_flags)
            .map(|flag| (*flag).to_owned())
            .collect();
        flags.extend(self.worker_flags.clone());
        spawn_self(&flags, Stdio::piped())
    }

    /// Sets the limits of the quota in the simulator, in the APIs and for later workers, and resets
    /// all counts to zero.
    pub(crate) async fn set_quota(&mut self, per_minute: u32, per_day: u32) -> anyhow::Result<()> {
        for api in &mut self.apis {
            api.child.kill().await?;
        }
        self.execute_sql("DELETE FROM whoop_call_budget").await?;
        let is_limit = |flag: &String| flag.starts_with("--whoop-calls-per-");
        let apis = self.apis.iter_mut().map(|api| &mut api.flags);
        for flags in apis.chain([&mut self.worker_flags]) {
            flags.retain(|flag| !is_limit(flag));
            flags.extend(quota_flags(per_minute, per_day));
        }
        self.world().set_limits(per_minute, per_day);
        self.world().reset_calls();
        for nth in 0..self.apis.len() {
            self.apis[nth].child = spawn_self(&self.apis[nth].flags, Stdio::null())?;
            self.wait_until_serving(nth).await?;
        }
        Ok(())
    }

    pub(crate) async fn execute_sql(&self, statements: &str) -> anyhow::Result<()> {
        Ok(self
            .database
            .client()
            .await
            .batch_execute(statements)
            .await?)
    }

    pub(crate) async fn query_count(&self, sql: &str) -> anyhow::Result<i64> {
        Ok(self
            .database
            .client()
            .await
            .query_one(sql, &[])
            .await?
            .get(0))
    }

    pub(crate) async fn query_text(&self, sql: &str) -> anyhow::Result<Option<String>> {
        let client = self.database.client().await;
        Ok(client.query_one(sql, &[]).await?.get(0))
    }

    /// Kills an API process with SIGKILL, and starts it again at the same address.
    pub(crate) async fn kill_and_restart_api(&mut self, nth: usize) -> anyhow::Result<()> {
        self.apis[nth].child.kill().await?;
        self.release_leases().await?;
        self.apis[nth].child = spawn_self(&self.apis[nth].flags, Stdio::null())?;
        self.wait_until_serving(nth).await
    }

    /// Releases the member leases and refresh claims of killed processes.
    ///
    /// Leases and claims would expire within a minute, but a soak test with a thousand rounds
    /// cannot wait for this.
    pub(crate) async fn release_leases(&self) -> anyhow::Result<()> {
        self.execute_sql("UPDATE whoop_users SET lease_until = NULL")
            .await?;
        // Processes that are still running release their claims when their refreshes end. This
        // waits for them for up to three seconds.
        let claimed = "SELECT max(user_id) FROM whoop_refresh WHERE claimed_until > now()";
        for _ in 0..30 {
            if self.query_text(claimed).await?.is_none() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.execute_sql("UPDATE whoop_refresh SET claimed_until = NULL")
            .await
    }

    /// Checks that a call to WHOOP works for this member now. The error describes why the call
    /// failed.
    pub(crate) async fn check_connection(&self, member: &SoakMember) -> Result<(), String> {
        let context = SyncContext::interactive();
        let user_id = &member.user_id;
        let token = self
            .engine
            .calls
            .access_token(user_id, &context, None)
            .await;
        let token = token.map_err(|error| error.to_string())?;
        let mut profile = self
            .engine
            .quota
            .whoop_for(&context)
            .fetch_profile(&token)
            .await;
        if profile.is_err() {
            // WHOOP may have refused the token. Like every caller of the engine, this function gets
            // a new token and repeats the call once.
            let new_token = self
                .engine
                .calls
                .access_token(user_id, &context, Some(&token))
                .await
                .map_err(|error| error.to_string())?;
            profile = self
                .engine
                .quota
                .whoop_for(&context)
                .fetch_profile(&new_token)
                .await;
        }
        profile.map(drop).map_err(|error| error.to_string())
    }

    /// Returns the state of the member's connection as the app receives it: the status, and the
    /// reason as text for people.
    pub(crate) async fn connection_status(
        &self,
        member: &SoakMember,
    ) -> anyhow::Result<(String, String)> {
        let state: Value = self
            .http
            .get(self.route_url(1, "connection", member, ""))
            .bearer_auth(&self.service_key)
            .send()
            .await?
            .json()
            .await?;
        let text = |name: &str| state[name].as_str().unwrap_or_default().to_owned();
        Ok((text("connection"), text("detail")))
    }

    async fn wait_until_serving(&self, nth: usize) -> anyhow::Result<()> {
        let url = format!("http://{}/healthz", self.apis[nth].address);
        let serving = async {
            while self.http.get(&url).send().await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(REQUEST_TIMEOUT, serving)
            .await
            .with_context(|| format!("{url} did not respond within {REQUEST_TIMEOUT:?}"))
    }

    pub(crate) async fn stop(mut self) {
        for api in &mut self.apis {
            // An error is ignored, because the process may already have ended.
            let _ = api.child.kill().await;
        }
        self.sim.stop();
    }
}

fn quota_flags(per_minute: u32, per_day: u32) -> [String; 2] {
    [
        format!("--whoop-calls-per-minute={per_minute}"),
        format!("--whoop-calls-per-day={per_day}"),
    ]
}

fn build_engine(flags: &[String]) -> anyhow::Result<Engine> {
    let engine_flags = ["soak".to_owned(), "--database-pool-size=4".to_owned()];
    let EngineFlags { args } = EngineFlags::try_parse_from(engine_flags.iter().chain(flags))?;
    let clock = Arc::new(SystemClock);
    Ok(args
        .whoop
        .engine(args.database.database()?, clock, EngineSettings::default())?)
}

fn spawn_self(flags: &[String], output: Stdio) -> anyhow::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(flags)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start another process of this program")
}

fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    Ok(listener.local_addr()?)
}

/// Returns the body of an app's request for a sync of the cycles.
pub(crate) fn sync_request_body() -> Value {
    json!({ "data_types": ["cycle"] })
}
