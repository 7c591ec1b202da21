//! A stage: a PostgreSQL, a WHOOP, and the API that is asked over HTTP.
//!
//! The clocks of the API and of WHOOP stand still at the same instant until a
//! test moves them, and the quota is out of the way unless a test puts it there.

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
pub(crate) use description::{documented, schema_of};
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

/// Long enough for a slow machine; whoever waits so long has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Stage {
    pub(crate) client: Client,
    /// Of the operations address, if there is one.
    pub(crate) operations: Option<Client>,
    pub(crate) clock: FixedClock,
    pub(crate) sim: SimServer,
    server: StopHandle,
    // Last: the others hold connections to it.
    pub(crate) db: TestDb,
}

pub(crate) fn now() -> DateTime<Utc> {
    "2026-10-20T15:07:00Z".parse().unwrap()
}

/// Sixty days of three people, at an instant that stands still.
pub(crate) fn two_months() -> SimConfig {
    SimConfig {
        // The first person has slept, napped and trained in the last two days.
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

    /// An API that is told something more, such as another way to know callers.
    pub(crate) async fn told(more: &[String]) -> Self {
        let db = TestDb::new().await;
        let url = db.url().to_owned();
        Self::build(&url, db, two_months(), more).await
    }

    pub(crate) async fn over(db: TestDb, config: SimConfig) -> Self {
        let url = db.url().to_owned();
        Self::at(&url, db, config).await
    }

    /// An API that is told another database than the one the test sees.
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

    /// A stage with one member who is connected and read.
    pub(crate) async fn with_member() -> (Self, Member) {
        let stage = Self::new().await;
        let member = stage.connect("alice").await;
        (stage, member)
    }

    pub(crate) fn world(&self) -> WorldHandle {
        self.sim.world()
    }

    /// Another API over the same database, told something more.
    pub(crate) fn replica(&self, more: &[String]) -> Replica {
        let application = application(self.db.url(), &self.sim, &self.clock, more);
        let replica = Replica {
            client: Client::new(application.address()),
            server: application.handle(),
        };
        tokio::spawn(application.run());
        replica
    }

    /// Another API over the same database, which shares forced reads as one in production does.
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

    /// Moves the API and WHOOP into the future.
    pub(crate) fn advance(&self, by: TimeDelta) {
        let now = self.clock.now() + by;
        self.clock.set(now);
        self.world().set_now(now);
    }

    pub(crate) async fn rows(&self) -> Rows {
        Rows::of(&self.db).await
    }

    /// Whether somebody is syncing this member at this moment.
    pub(crate) async fn is_claimed(&self, user_id: &str) -> bool {
        Self::is_claimed_in(&self.db, user_id).await
    }

    pub(crate) async fn is_claimed_in(db: &TestDb, user_id: &str) -> bool {
        let sql = "SELECT 1 FROM whoop_users WHERE user_id = $1 AND lease_until > now()";
        let rows = db.client().await.query(sql, &[&user_id]).await;
        !rows.unwrap().is_empty()
    }

    /// Makes what was read older than the interval between forced reads, for a program whose clock
    /// cannot be moved.
    pub(crate) async fn two_minutes_pass_since_reads(db: &TestDb) {
        let sql = "UPDATE whoop_sync_log SET last_sync_at = last_sync_at - INTERVAL '2 minutes'";
        db.client().await.batch_execute(sql).await.unwrap();
    }

    /// Whether the API has no connection to the database.
    pub(crate) async fn is_alone(&self) -> bool {
        let sql = "SELECT 1 FROM pg_stat_activity \
                   WHERE datname = current_database() AND application_name = 'whoop'";
        let rows = self.db.client().await.query(sql, &[]).await;
        rows.unwrap().is_empty()
    }

    /// What the API and WHOOP take for the present.
    pub(crate) fn clock_now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The one value of a query.
    pub(crate) async fn text(&self, sql: &str) -> String {
        let row = self.db.client().await.query_one(sql, &[]).await.unwrap();
        row.get(0)
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.db.client().await.batch_execute(sql).await.unwrap();
    }
}

/// An API beside the one of the stage.
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
        // The command is sent by the call itself; what it returns only waits.
        drop(self.server.stop());
    }
}

/// What every way to start the API is told, in flags.
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

/// WHOOP has to know the callback beforehand, so the port comes first; where
/// somebody else took it meanwhile, another one does as well.
fn application(
    database_url: &str,
    sim: &SimServer,
    clock: &FixedClock,
    more: &[String],
) -> Application {
    application_that_forces(TimeDelta::zero(), database_url, sim, clock, more)
}

/// An API with a minimum interval between forced reads.
fn application_that_forces(
    forced_reads_every: TimeDelta,
    database_url: &str,
    sim: &SimServer,
    clock: &FixedClock,
    more: &[String],
) -> Application {
    loop {
        let mut flags = flags(free_address(), database_url, sim);
        // What a test says comes before what all say.
        let name = |flag: &String| flag.split('=').next().map(str::to_owned);
        flags.retain(|flag| !more.iter().any(|said| name(said) == name(flag)));
        let mut cli = ApiCli::parse_from(flags.iter().chain(more));
        // The clock does not move: every read was made just now.
        cli.freshness.forced_read_interval = forced_reads_every;
        match Application::build(&cli, Arc::new(clock.clone())) {
            Err(ApiStartError::Listen { source, .. })
                if source.kind() == io::ErrorKind::AddrInUse => {}
            other => return other.unwrap(),
        }
    }
}

/// Why an API with these flags does not start.
pub(crate) async fn refused_start(more: &[String]) -> ApiStartError {
    let sim = SimServer::start(two_months()).await.unwrap();
    let mut flags = flags(free_address(), "postgres://127.0.0.1:1/nothing", &sim);
    let name = |flag: &String| flag.split('=').next().map(str::to_owned);
    flags.retain(|flag| !more.iter().any(|said| name(said) == name(flag)));
    let cli = ApiCli::parse_from(flags.iter().chain(more));
    match Application::build(&cli, Arc::new(FixedClock::at(now()))) {
        Err(error) => error,
        Ok(application) => panic!("it listens on {}", application.address()),
    }
}

pub(crate) fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap()
}

/// Waits for something that happens elsewhere, under a deadline.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(DEADLINE, waiting).await.is_ok(),
        "it never came to this: {what}"
    );
}
