//! Test environment: a PostgreSQL database, a simulated WHOOP, and the API.
//!
//! The clocks of the API and of WHOOP show the same time, and stand still until a test moves them.
//! WHOOP's quota does not limit calls unless a test configures it.

mod answer;
mod binary;
mod client;
mod description;
pub(crate) mod events;
mod issuer;
mod member;
mod rows;
mod tokens;
pub(crate) mod webhooks;
mod wire;

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use whoop_api::{ApiCli, ApiStartError, Application, StopHandle};
use whoop_core::{Clock, FixedClock};
use whoop_devkit::TestDb;
use whoop_sim::{SimConfig, SimServer, WorldHandle};

pub(crate) use answer::Answer;
pub(crate) use binary::{Binary, RunningApi, simulator};
pub(crate) use client::{Ask, Client};
pub(crate) use description::Documented;
pub(crate) use description::{documented, schema_faults, schema_of};
pub(crate) use issuer::{Issuer, Signer};
pub(crate) use member::{Member, parameter};
pub(crate) use rows::Rows;
pub(crate) use tokens::{Token, digest_of};
pub(crate) use wire::status_of;

pub(crate) const APP_SECRET: &str = "hush-hush-app-secret";
pub(crate) const JWT_SECRET: &str = "a-secret-of-the-members-that-is-long-enough";
pub(crate) const SERVICE_KEY: &str = "a-service-key-that-opens-every-door";
pub(crate) const TOKEN_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub(crate) const RETURN_URLS: &str = "hos://whoop,https://app.example/whoop/";

/// Timeout for all waits in the tests. It is long enough for a slow machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Stage {
    pub(crate) client: Client,
    /// Client for the operations address; `None` if the API has no operations address.
    pub(crate) operations: Option<Client>,
    pub(crate) clock: FixedClock,
    pub(crate) sim: SimServer,
    server: StopHandle,
    // This is the last field, because fields are dropped in order and the other fields hold
    // connections to the database.
    pub(crate) db: TestDb,
}

pub(crate) fn now() -> DateTime<Utc> {
    "2026-10-20T15:07:00Z".parse().unwrap()
}

/// Returns a simulator configuration with sixty days of data of three people, and with a stopped
/// clock.
pub(crate) fn two_months() -> SimConfig {
    SimConfig {
        // With this seed the first person has slept, napped and trained in the last two days.
        seed: 18,
        days: 60,
        now: Some(now()),
        speed: 0.0,
        freeze_records: true,
        calls_per_minute: 1_000_000,
        calls_per_day: 1_000_000,
        client_secret: APP_SECRET.to_owned(),
        auto_consent: true,
        ..SimConfig::default()
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(two_months()).await
    }

    pub(crate) async fn with(config: SimConfig) -> Self {
        let db = TestDb::new().await;
        Self::over(db, config).await
    }

    /// Starts an environment with additional flags for the API, such as another way to authenticate
    /// callers.
    pub(crate) async fn with_flags(more: &[String]) -> Self {
        let db = TestDb::new().await;
        let url = db.url().to_owned();
        Self::build(&url, db, two_months(), more).await
    }

    pub(crate) async fn over(db: TestDb, config: SimConfig) -> Self {
        let url = db.url().to_owned();
        Self::at(&url, db, config).await
    }

    /// Starts an environment in which the API uses `database_url`, while the test uses `db`.
    pub(crate) async fn at(database_url: &str, db: TestDb, config: SimConfig) -> Self {
        Self::build(database_url, db, config, &[]).await
    }

    async fn build(database_url: &str, db: TestDb, config: SimConfig, more: &[String]) -> Self {
        let sim = SimServer::start(config).await.unwrap();
        let clock = FixedClock::at(now());
        let application = application(database_url, &sim, &clock, more);
        let client = Client::new(application.address());
        let operations = application.operations_address().map(Client::new);
        let server = application.handle();
        tokio::spawn(application.run());
        Self {
            client,
            operations,
            clock,
            sim,
            server,
            db,
        }
    }

    /// Returns an environment with one connected member, alice, after the first sync.
    pub(crate) async fn with_member() -> (Self, Member) {
        let stage = Self::new().await;
        let member = stage.connect("alice").await;
        (stage, member)
    }

    pub(crate) fn world(&self) -> WorldHandle {
        self.sim.world()
    }

    /// Starts another API on the same database, with additional flags.
    pub(crate) fn replica(&self, more: &[String]) -> Replica {
        let application = application(self.db.url(), &self.sim, &self.clock, more);
        let replica = Replica {
            client: Client::new(application.address()),
            server: application.handle(),
        };
        tokio::spawn(application.run());
        replica
    }

    /// Starts another API on the same database. Its minimum interval between forced reads is the
    /// default of production.
    pub(crate) fn replica_that_shares(&self) -> Replica {
        let every = whoop_sync::EngineSettings::default().forced_read_interval;
        let url = self.db.url();
        let application = application_that_forces(every, url, &self.sim, &self.clock, &[]);
        let replica = Replica {
            client: Client::new(application.address()),
            server: application.handle(),
        };
        tokio::spawn(application.run());
        replica
    }

    /// Moves the clocks of the API and of WHOOP forward.
    pub(crate) fn advance(&self, by: TimeDelta) {
        let now = self.clock.now() + by;
        self.clock.set(now);
        self.world().set_now(now);
    }

    pub(crate) async fn rows(&self) -> Rows {
        Rows::of(&self.db).await
    }

    /// Returns whether a process holds the member lease of this member now.
    pub(crate) async fn is_claimed(&self, user_id: &str) -> bool {
        Self::is_claimed_in(&self.db, user_id).await
    }

    pub(crate) async fn is_claimed_in(db: &TestDb, user_id: &str) -> bool {
        let sql = "SELECT 1 FROM whoop_users WHERE user_id = $1 AND lease_until > now()";
        let rows = db.client().await.query(sql, &[&user_id]).await;
        !rows.unwrap().is_empty()
    }

    /// Moves the times of the last reads two minutes into the past, so that a forced read is
    /// allowed again.
    ///
    /// This is for a program that uses the system clock, which a test cannot move.
    pub(crate) async fn two_minutes_pass_since_reads(db: &TestDb) {
        let sql = "UPDATE whoop_sync_log SET last_sync_at = last_sync_at - INTERVAL '2 minutes'";
        db.client().await.batch_execute(sql).await.unwrap();
    }

    /// Returns whether the API has no open connection to the database.
    pub(crate) async fn is_alone(&self) -> bool {
        let sql = "SELECT 1 FROM pg_stat_activity \
                   WHERE datname = current_database() AND application_name = 'whoop'";
        let rows = self.db.client().await.query(sql, &[]).await;
        rows.unwrap().is_empty()
    }

    /// Returns the current time of the clocks of the API and of WHOOP.
    pub(crate) fn clock_now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Returns the single value that a query returns.
    pub(crate) async fn text(&self, sql: &str) -> String {
        let row = self.db.client().await.query_one(sql, &[]).await.unwrap();
        row.get(0)
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.db.client().await.batch_execute(sql).await.unwrap();
    }
}

/// An additional API on the database of the environment.
pub(crate) struct Replica {
    pub(crate) client: Client,
    server: StopHandle,
}

impl Drop for Replica {
    fn drop(&mut self) {
        drop(self.server.stop());
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The call of `stop` sends the command. The returned future would only wait, and is
        // dropped.
        drop(self.server.stop());
    }
}

/// Returns the command-line flags that every start of the API needs.
pub(crate) fn flags(listen: SocketAddr, database_url: &str, sim: &SimServer) -> Vec<String> {
    vec![
        "api".to_owned(),
        format!("--api-listen={listen}"),
        "--api-workers=2".to_owned(),
        format!("--database-url={database_url}"),
        format!("--database-pooler={}", whoop_devkit::pooler_mode().name()),
        format!("--auth-jwt-secret={JWT_SECRET}"),
        format!("--auth-service-keys={}", tokens::digest_of(SERVICE_KEY)),
        format!("--app-return-urls={RETURN_URLS}"),
        format!("--whoop-client-id={}", SimConfig::default().client_id),
        "--whoop-calls-per-minute=1000000".to_owned(),
        "--whoop-calls-per-day=1000000".to_owned(),
        format!("--whoop-client-secret={APP_SECRET}"),
        format!("--whoop-redirect-url=http://{listen}/api/v1/whoop/callback"),
        format!("--whoop-api-url={}", sim.api_url()),
        format!("--whoop-oauth-url={}", sim.oauth_url()),
        format!("--token-keys=k1:{TOKEN_KEY}"),
    ]
}

/// Returns an API that is bound to a free port.
///
/// The settings contain the address of the callback, so the port is chosen before the API binds it.
/// If another program has taken the port in the meantime, another port is chosen.
fn application(
    database_url: &str,
    sim: &SimServer,
    clock: &FixedClock,
    more: &[String],
) -> Application {
    application_that_forces(TimeDelta::zero(), database_url, sim, clock, more)
}

/// Returns an API as [`application`] does, with this minimum interval between forced reads.
fn application_that_forces(
    forced_reads_every: TimeDelta,
    database_url: &str,
    sim: &SimServer,
    clock: &FixedClock,
    more: &[String],
) -> Application {
    loop {
        let mut flags = flags(free_address(), database_url, sim);
        // The flags of the test replace the common flags with the same names.
        let name = |flag: &String| flag.split('=').next().map(str::to_owned);
        flags.retain(|flag| !more.iter().any(|other| name(other) == name(flag)));
        let mut cli = ApiCli::parse_from(flags.iter().chain(more));
        // The clock stands still, so with a longer interval every earlier read would count as just
        // made, and no forced read would be allowed.
        cli.freshness.forced_read_interval = forced_reads_every;
        match Application::build(&cli, Arc::new(clock.clone())) {
            Err(ApiStartError::Listen { source, .. })
                if source.kind() == io::ErrorKind::AddrInUse => {}
            other => return other.unwrap(),
        }
    }
}

/// Returns the error with which the API fails to start with these flags.
pub(crate) async fn refused_start(more: &[String]) -> ApiStartError {
    let sim = SimServer::start(two_months()).await.unwrap();
    let mut flags = flags(free_address(), "postgres://127.0.0.1:1/nothing", &sim);
    let name = |flag: &String| flag.split('=').next().map(str::to_owned);
    flags.retain(|flag| !more.iter().any(|other| name(other) == name(flag)));
    let cli = ApiCli::parse_from(flags.iter().chain(more));
    match Application::build(&cli, Arc::new(FixedClock::at(now()))) {
        Err(error) => error,
        Ok(application) => panic!("the API started and listens on {}", application.address()),
    }
}

pub(crate) fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap()
}

/// Waits until a condition is true. Panics after [`DEADLINE`].
pub(crate) async fn until<F: Future<Output = bool>>(condition: &str, mut is_so: impl FnMut() -> F) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(DEADLINE, waiting).await.is_ok(),
        "timeout while waiting until {condition}"
    );
}
