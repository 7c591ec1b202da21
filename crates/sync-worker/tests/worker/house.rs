//! Test environment: a database, a simulator, and the binary between them.

use std::{process::Stdio, sync::Arc, time::Duration};

use secrecy::SecretString;
use serde_json::Value;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};
use whoop_core::{SystemClock, UserId};
use whoop_devkit::{TestDb, pooler_mode};
use whoop_sim::{SimConfig, SimServer, WorldHandle};
use whoop_storage::PoolerMode;
use whoop_sync::{
    Engine, EngineSettings,
    config::{DatabaseArgs, KeyArgs, WhoopArgs},
};

const TOKEN_KEYS: &str = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

pub(crate) const REDIRECT_URL: &str = "http://127.0.0.1:8080/api/v1/whoop/callback";

pub(crate) const SCOPES: [&str; 7] = [
    "offline",
    "read:profile",
    "read:body_measurement",
    "read:cycles",
    "read:recovery",
    "read:sleep",
    "read:workout",
];

/// Maximum duration of one step of a test.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct House {
    pub(crate) db: TestDb,
    pub(crate) sim: SimServer,
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Configuration with plenty of quota, a frozen clock, and few enough days to be quick.
pub(crate) fn plenty() -> SimConfig {
    SimConfig {
        people: 2,
        days: 90,
        speed: 0.0,
        freeze_records: true,
        calls_per_minute: 100_000,
        calls_per_day: 1_000_000,
        ..SimConfig::default()
    }
}

impl House {
    pub(crate) async fn new(config: SimConfig) -> Self {
        Self {
            db: TestDb::new().await,
            sim: SimServer::start(config).await.unwrap(),
        }
    }

    pub(crate) fn world(&self) -> WorldHandle {
        self.sim.world()
    }

    /// Connects one of the simulator's people under a user id of the test. Reads none of their
    /// records.
    pub(crate) async fn connect(&self, user: &str, person: usize) -> i64 {
        let whoop_user_id = self.world().people()[person];
        let code = self.world().oauth().issue_code(whoop_user_id, &SCOPES);
        let (database, whoop) = (self.database_args(), self.whoop_args());
        let user_id: UserId = user.parse().unwrap();
        // A separate runtime: it ends before the first sync, which every connect starts in the
        // background, has taken the member lease.
        let connecting = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let engine = engine(&database, &whoop);
                let address = engine
                    .connections
                    .begin_connect(&user_id, None, None)
                    .await
                    .unwrap();
                let (_, state) = address
                    .query_pairs()
                    .find(|(name, _)| name == "state")
                    .unwrap();
                engine
                    .connections
                    .complete_connect(&state, &code)
                    .await
                    .unwrap();
            });
        };
        tokio::task::spawn_blocking(connecting).await.unwrap();
        let as_if_ended = "UPDATE whoop_users SET first_sync_pending = FALSE";
        let client = self.db.client().await;
        client.batch_execute(as_if_ended).await.unwrap();
        self.world().reset_calls();
        whoop_user_id
    }

    fn database_args(&self) -> DatabaseArgs {
        DatabaseArgs {
            database_url: Some(SecretString::from(self.db.url())),
            database_pool_size: 4,
            database_pooler: self.db.pooler(),
        }
    }

    fn whoop_args(&self) -> WhoopArgs {
        let config = SimConfig::default();
        WhoopArgs {
            whoop_client_id: Some(config.client_id),
            whoop_client_secret: Some(config.client_secret.into()),
            whoop_redirect_url: Some(REDIRECT_URL.parse().unwrap()),
            whoop_api_url: self.sim.api_url().parse().unwrap(),
            whoop_oauth_url: self.sim.oauth_url().parse().unwrap(),
            limits: whoop_sync::config::LimitArgs {
                whoop_calls_per_minute: 1_000_000,
                whoop_calls_per_day: 1_000_000,
            },
            keys: KeyArgs {
                token_keys: Some(TOKEN_KEYS.into()),
            },
        }
    }

    /// Returns the binary's command with all settings; a test may remove some of them.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let config = SimConfig::default();
        let mut command = bare_command(args);
        command
            .env("DATABASE_URL", self.db.url())
            .env("WHOOP_CLIENT_ID", config.client_id)
            .env("WHOOP_CLIENT_SECRET", config.client_secret)
            .env("WHOOP_REDIRECT_URL", REDIRECT_URL)
            .env("WHOOP_API_URL", self.sim.api_url())
            .env("WHOOP_OAUTH_URL", self.sim.oauth_url())
            .env("WHOOP_CALLS_PER_MINUTE", "1000000")
            .env("WHOOP_CALLS_PER_DAY", "1000000")
            .env("TOKEN_KEYS", TOKEN_KEYS);
        command
    }

    pub(crate) async fn worker(&self, args: &[&str]) -> Ended {
        ended(self.command(args).spawn().unwrap()).await
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().unwrap()
    }

    /// Makes all stored data an hour older, so that it is stale and due at the next run.
    pub(crate) async fn an_hour_passes(&self) {
        self.execute("UPDATE whoop_sync_log SET last_sync_at = last_sync_at - interval '1 hour'")
            .await;
    }

    /// Dates the observed ends of WHOOP's lists one day back, so that they can be confirmed today.
    pub(crate) async fn a_day_passes(&self) {
        self.execute(
            "UPDATE whoop_sync_log SET last_sync_at = last_sync_at - interval '1 hour', \
                 list_end_seen_at = list_end_seen_at - interval '1 day'",
        )
        .await;
    }

    pub(crate) async fn count(&self, sql: &str) -> i64 {
        let client = self.db.client().await;
        client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Returns one text per row, in the order of the query.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let client = self.db.client().await;
        let rows = client.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.db.client().await.batch_execute(sql).await.unwrap();
    }

    /// Waits until a count reaches `wanted`.
    pub(crate) async fn until_at_least(&self, sql: &str, wanted: i64) {
        let client = self.db.client().await;
        let give_up_at = Instant::now() + DEADLINE;
        loop {
            let count: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
            if count >= wanted {
                return;
            }
            assert!(
                Instant::now() < give_up_at,
                "only {count} of {wanted}: {sql}"
            );
            sleep(Duration::from_millis(10)).await;
        }
    }
}

fn engine(database: &DatabaseArgs, whoop: &WhoopArgs) -> Engine {
    let database = database.database().unwrap();
    whoop
        .engine(database, Arc::new(SystemClock), EngineSettings::default())
        .unwrap()
}

/// Returns the binary's command without any settings, not even those of the test's own environment.
/// Only the mode of the tests' pooler is set.
pub(crate) fn bare_command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sync-worker"));
    command
        .args(args)
        .env_clear()
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if pooler_mode() == PoolerMode::Transaction {
        command.env("DATABASE_POOLER", PoolerMode::Transaction.name());
    }
    command
}

pub(crate) async fn bare_worker(args: &[&str]) -> Ended {
    ended(bare_command(args).spawn().unwrap()).await
}

pub(crate) async fn ended(child: Child) -> Ended {
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output())
        .await
        .expect("the worker ends in time")
        .unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ended {
    /// Parses standard output, which must be one JSON object.
    pub(crate) fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {self:#?}"));
        assert!(value.is_object(), "{value}");
        value
    }

    #[track_caller]
    pub(crate) fn expect_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn expect_in_stderr(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "no {text:?} in {self:#?}");
        self
    }
}
