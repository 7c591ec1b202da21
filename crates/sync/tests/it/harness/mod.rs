//! Test environment (stage) for one or more members: a PostgreSQL, a simulated WHOOP, and the
//! engine.
//!
//! The clocks of WHOOP and of the service are frozen at the same time until a test moves them. The
//! quota is practically unlimited unless a test limits it.

mod calls;
mod crowd;
mod days;
mod follower;
mod hold;
mod log;
mod receiver;
mod truth;

use std::{future::Future, sync::Arc, time::Duration};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use whoop_client::{RetryPolicy, SCOPES, WhoopClient, WhoopConfig};
use whoop_core::{
    Clock, DataType, FixedClock, UserId,
    coverage::CONFIRM_AFTER,
    day::{Day, MissingReason},
    plan::{ReadReason, Slot},
    quota::QuotaLimits,
};
use whoop_devkit::TestDb;
use whoop_sim::{SimConfig, SimServer, WorldHandle};
use whoop_storage::{Database, DatabaseConfig, seal::TokenKeys};
use whoop_sync::{
    Engine, EngineSettings, MemberOutcome, MemberReport, SyncContext,
    connect::{CompletedConnect, ConnectError},
    member_sync::SyncRequest,
    run::{RunObserver, RunRequest, RunTask},
};

pub(crate) use calls::{list_of, parameter};
pub(crate) use crowd::{CrowdDue, crowd_agenda};
pub(crate) use follower::Follower;
pub(crate) use hold::Hold;
pub(crate) use log::listen;
use receiver::Receiver;
pub(crate) use truth::{assert_all_same, at_whoop, id_of};

pub(crate) const APP_SECRET: &str = "hush-hush-app-secret";

/// Maximum time to wait for a condition. It is long enough for a slow machine.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Stage {
    pub(crate) sim: SimServer,
    pub(crate) clock: FixedClock,
    pub(crate) engine: Engine,
    pub(crate) db: TestDb,
    pub(crate) sql: tokio_postgres::Client,
    _receiver: Receiver,
}

/// A member of the app, with the id of the member's WHOOP account.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) user_id: UserId,
    pub(crate) whoop_user_id: i64,
}

pub(crate) fn now() -> DateTime<Utc> {
    "2026-10-20T15:07:00Z".parse().unwrap()
}

/// Formats an instant as WHOOP does, in UTC with milliseconds.
pub(crate) fn text_of(instant: DateTime<Utc>) -> String {
    whoop_core::instant::to_text(instant)
}

/// Returns a configuration of the simulator with three people and half a year of history.
pub(crate) fn half_a_year() -> SimConfig {
    SimConfig {
        days: 180,
        now: Some(now()),
        speed: 0.0,
        freeze_records: true,
        calls_per_minute: 1_000_000,
        calls_per_day: 1_000_000,
        client_secret: APP_SECRET.to_owned(),
        ..SimConfig::default()
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(half_a_year()).await
    }

    pub(crate) async fn with(config: SimConfig) -> Self {
        Self::build(config, Receiver::bind().await).await
    }

    /// Creates a test environment in which WHOOP's webhooks reach the service.
    pub(crate) async fn with_webhooks(config: SimConfig) -> Self {
        let receiver = Receiver::bind().await;
        let config = SimConfig {
            webhook_url: Some(receiver.url.clone()),
            ..config
        };
        Self::build(config, receiver).await
    }

    async fn build(config: SimConfig, receiver: Receiver) -> Self {
        let db = TestDb::new().await;
        let sim = SimServer::start(config).await.unwrap();
        let clock = FixedClock::at(now());
        let engine = engine(&db, &sim, &clock, settings(PLENTY));
        receiver.hand_to(&engine);
        let sql = db.client().await;
        Self {
            sim,
            clock,
            engine,
            db,
            sql,
            _receiver: receiver,
        }
    }

    /// Creates a test environment with one connected member, whose first sync has ended.
    ///
    /// The member is the simulator's first person, an ordinary sleeper.
    pub(crate) async fn with_member() -> (Self, Member) {
        let stage = Self::new().await;
        let member = stage.connect_person(0).await;
        (stage, member)
    }

    /// Sets the limits of the quota at WHOOP and in the service.
    pub(crate) fn limit(&mut self, limits: QuotaLimits) {
        self.world().set_limits(limits.per_minute, limits.per_day);
        self.engine = self.restarted(&self.engine, limits);
    }

    /// Returns the engine of another process of the service.
    pub(crate) fn another_engine(&self) -> Engine {
        self.engine_within(PLENTY)
    }

    /// Returns the engine of the same process after a restart, with these limits of the quota.
    ///
    /// Its database connections remain open, because opening new connections takes longer than most
    /// tests.
    pub(crate) fn restarted(&self, process: &Engine, limits: QuotaLimits) -> Engine {
        engine_on(
            process.database.clone(),
            &self.sim,
            &self.clock,
            settings(limits),
        )
    }

    /// Returns the engine of another process, with these limits of the quota.
    pub(crate) fn engine_within(&self, limits: QuotaLimits) -> Engine {
        self.engine_with(settings(limits))
    }

    pub(crate) fn engine_with(&self, settings: EngineSettings) -> Engine {
        engine(&self.db, &self.sim, &self.clock, settings)
    }

    pub(crate) fn world(&self) -> WorldHandle {
        self.sim.world()
    }

    /// Moves the clocks of the service and of WHOOP forward.
    pub(crate) fn advance(&self, by: TimeDelta) {
        self.set_time(self.clock.now() + by);
    }

    pub(crate) fn set_time(&self, now: DateTime<Utc>) {
        self.clock.set(now);
        self.world().set_now(now);
    }

    /// Begins to connect a member, and returns the `state` that WHOOP's redirect will contain.
    pub(crate) async fn state_for(&self, user: &str, return_to: Option<&str>) -> String {
        let url = self
            .engine
            .connections
            .begin_connect(
                &user.parse().unwrap(),
                return_to.map(str::to_owned),
                Some("terms of 2026".to_owned()),
            )
            .await
            .unwrap();
        url.query_pairs()
            .find(|(name, _)| name == "state")
            .map(|(_, state)| state.into_owned())
            .unwrap()
    }

    pub(crate) fn code_for(&self, whoop_user_id: i64) -> String {
        self.code_without("nothing", whoop_user_id)
    }

    /// Returns the authorization code of a consent in which the member refused this scope.
    pub(crate) fn code_without(&self, scope: &str, whoop_user_id: i64) -> String {
        let granted: Vec<&str> = SCOPES.split(' ').filter(|one| *one != scope).collect();
        self.world().oauth().issue_code(whoop_user_id, &granted)
    }

    pub(crate) async fn try_connect(
        &self,
        user: &str,
        whoop_user_id: i64,
    ) -> Result<CompletedConnect, ConnectError> {
        let state = self.state_for(user, None).await;
        let code = self.code_for(whoop_user_id);
        self.engine
            .connections
            .complete_connect(&state, &code)
            .await
    }

    /// Connects a person as a member, and waits until the first sync has ended.
    pub(crate) async fn connect(&self, user: &str, whoop_user_id: i64) -> Member {
        let completed = self.try_connect(user, whoop_user_id).await.unwrap();
        completed.first_sync.await.unwrap();
        Member {
            user_id: completed.user_id,
            whoop_user_id,
        }
    }

    pub(crate) async fn connect_person(&self, index: usize) -> Member {
        let whoop_user_id = self.world().people()[index];
        self.connect(&format!("member {index}"), whoop_user_id)
            .await
    }

    /// Connects a member who has no records at WHOOP, because the membership ended before the
    /// history begins.
    pub(crate) async fn connect_without_records(&self) -> Member {
        let added = self
            .world()
            .add_people(whoop_sim::LifePattern::MembershipLapsed, 1, 5);
        let whoop_user_id = added.unwrap()[0];
        self.connect("member without records", whoop_user_id).await
    }

    pub(crate) async fn sync(&self, member: &Member, request: &SyncRequest) -> MemberReport {
        self.engine
            .members
            .sync_member(&member.user_id, &context_without_retries(), request)
            .await
            .unwrap()
    }

    /// Reads the member's whole history, and reads it again on the next day.
    ///
    /// The second read is needed because the service accepts the end of WHOOP's lists only when it
    /// sees the same end on another day.
    pub(crate) async fn read_whole_history(&self, member: &Member) {
        for wait in [TimeDelta::zero(), CONFIRM_AFTER] {
            self.advance(wait);
            let report = self.sync(member, &history(&DataType::ALL)).await;
            assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
        }
    }

    /// Deletes all stored records of the member, and everything that the sync log contains about
    /// the member.
    pub(crate) async fn forget(&self, member: &Member) {
        for table in [
            "whoop_recovery",
            "whoop_sleep",
            "whoop_workout",
            "whoop_cycle",
            "whoop_rejected_record",
            "whoop_sync_log",
        ] {
            self.execute(&format!("DELETE FROM {table} WHERE user_id = $1"), member)
                .await;
        }
    }

    /// Executes a statement about one member and returns the number of rows; `$1` is the user id.
    pub(crate) async fn execute(&self, sql: &str, member: &Member) -> u64 {
        let user = member.user_id.as_str();
        self.sql.execute(sql, &[&user]).await.unwrap()
    }

    /// Returns the rows of a query about one member, each as one text; `$1` is the user id.
    pub(crate) async fn texts(&self, sql: &str, member: &Member) -> Vec<Option<String>> {
        let user = member.user_id.as_str();
        let rows = self.sql.query(sql, &[&user]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    pub(crate) async fn text(&self, sql: &str, member: &Member) -> Option<String> {
        self.texts(sql, member).await.into_iter().next().flatten()
    }

    pub(crate) async fn connection_status(&self, member: &Member) -> String {
        self.text("SELECT status FROM whoop_users WHERE user_id = $1", member)
            .await
            .unwrap()
    }

    /// Returns, as one text, the columns of the sync log that change only after a whole window was
    /// read.
    pub(crate) async fn log_of(&self, member: &Member, data_type: DataType) -> String {
        self.text(
            &format!(
                "SELECT concat_ws(' | ', last_sync_at, covered_from, covered_until, whole_history) \
                 FROM whoop_sync_log WHERE user_id = $1 AND data_type = '{data_type}'"
            ),
            member,
        )
        .await
        .unwrap_or_default()
    }

    pub(crate) async fn error_of(&self, member: &Member, data_type: DataType) -> Option<String> {
        self.text(
            &format!(
                "SELECT last_error FROM whoop_sync_log \
                 WHERE user_id = $1 AND data_type = '{data_type}'"
            ),
            member,
        )
        .await
    }

    pub(crate) async fn status_of(&self, member: &Member, data_type: DataType) -> Option<String> {
        self.text(
            &format!(
                "SELECT sync_status FROM whoop_sync_log \
                 WHERE user_id = $1 AND data_type = '{data_type}'"
            ),
            member,
        )
        .await
    }

    /// Returns the date of the newest stored night.
    ///
    /// This is today, or yesterday if WHOOP has no record of the last night.
    pub(crate) async fn latest_day(&self, member: &Member) -> NaiveDate {
        let date = self
            .text(
                "SELECT max(local_date)::TEXT FROM whoop_sleep WHERE user_id = $1 AND NOT nap",
                member,
            )
            .await;
        let date = date.unwrap().parse().unwrap();
        assert!(now().date_naive() - date <= TimeDelta::days(1));
        date
    }

    /// Returns whether a process holds the member's refresh claim.
    pub(crate) async fn is_refreshing(&self, member: &Member) -> bool {
        let claimed =
            "SELECT user_id FROM whoop_refresh WHERE user_id = $1 AND claimed_until > now()";
        !self.texts(claimed, member).await.is_empty()
    }

    /// Ends the refresh claim of a killed process now. The claim would otherwise expire later on
    /// its own.
    pub(crate) async fn expire_the_claim(&self, member: &Member) {
        let end = "UPDATE whoop_refresh SET claimed_until = now() - INTERVAL '1 second' WHERE user_id = $1";
        self.execute(end, member).await;
    }

    /// Returns the stored reason because of which the member has to connect again.
    pub(crate) async fn detail_of(&self, member: &Member) -> String {
        let sql = "SELECT status_detail FROM whoop_users WHERE user_id = $1";
        self.text(sql, member).await.unwrap()
    }
}

/// Practically unlimited quota. Most tests are about WHOOP's answers and not about the service's
/// own count of calls.
pub(crate) const PLENTY: QuotaLimits = QuotaLimits {
    per_minute: 1_000_000,
    per_day: 1_000_000,
};

fn engine(db: &TestDb, sim: &SimServer, clock: &FixedClock, settings: EngineSettings) -> Engine {
    let database = Database::new(&DatabaseConfig {
        url: SecretString::from(db.url()),
        pool_size: 8,
        pooler: db.pooler(),
    })
    .unwrap();
    engine_on(database, sim, clock, settings)
}

fn settings(limits: QuotaLimits) -> EngineSettings {
    EngineSettings {
        limits,
        // The clock is frozen, so all earlier reads seem to have happened just now. With an
        // interval, forced reads would be refused.
        forced_read_interval: TimeDelta::zero(),
        ..EngineSettings::default()
    }
}

fn engine_on(
    database: Database,
    sim: &SimServer,
    clock: &FixedClock,
    settings: EngineSettings,
) -> Engine {
    let config = WhoopConfig {
        api_url: sim.api_url().parse().unwrap(),
        oauth_url: sim.oauth_url().parse().unwrap(),
        client_id: SimConfig::default().client_id,
        client_secret: SecretString::from(APP_SECRET),
        redirect_url: "http://127.0.0.1:8080/callback".parse().unwrap(),
    };
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let whoop = WhoopClient::new(config, Arc::clone(&clock)).unwrap();
    let key = SecretString::from("k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let keys = TokenKeys::parse(&key).unwrap();
    Engine::new(database, whoop, keys, clock, settings)
}

/// Returns a context that waits for PostgreSQL but not for WHOOP. A call that fails is not
/// repeated.
pub(crate) fn context_without_retries() -> SyncContext {
    let mut context = SyncContext::scheduled(None, CancellationToken::new());
    context.retry_policy = RetryPolicy {
        max_wait: Duration::ZERO,
        retries: 0,
        call_timeout: Duration::from_secs(10),
    };
    context.refresh_timeout = DEADLINE;
    context
}

/// Returns a context with which the caller waits 100 ms for a token refresh. The refresh continues
/// after that.
pub(crate) fn context_with_short_refresh_timeout() -> SyncContext {
    let mut context = context_without_retries();
    context.refresh_timeout = Duration::from_millis(100);
    context
}

/// Observer that ignores the progress of a run.
pub(crate) struct SilentObserver;

impl RunObserver for SilentObserver {
    fn on_start(&self, _: usize, _: usize) {}
    fn on_member_done(&self, _: &MemberReport) {}
}

/// Returns the request for a scheduled run over all members.
pub(crate) fn plan(task: RunTask) -> RunRequest {
    RunRequest {
        trigger: "scheduled",
        task,
        users: Vec::new(),
        parallel: 4,
    }
}

pub(crate) fn slot(slot: Slot) -> SyncRequest {
    SyncRequest {
        reason: ReadReason::Asked,
        slot: Some(slot),
        data_types: slot.data_types().to_vec(),
        since: None,
        backfill: false,
    }
}

/// Returns the request to read the whole history of these data types.
pub(crate) fn history(data_types: &[DataType]) -> SyncRequest {
    SyncRequest {
        reason: ReadReason::Asked,
        slot: None,
        data_types: data_types.to_vec(),
        since: None,
        backfill: true,
    }
}

/// Returns the request to read these data types from `since` up to the present.
pub(crate) fn back_to(since: DateTime<Utc>, data_types: &[DataType]) -> SyncRequest {
    SyncRequest {
        reason: ReadReason::Asked,
        slot: None,
        data_types: data_types.to_vec(),
        since: Some(since),
        backfill: false,
    }
}

/// Returns the reason because of which all parts of a day are absent; `None` if a part exists or
/// the reasons differ.
pub(crate) fn all_missing(day: &Day) -> Option<MissingReason> {
    let reason = *day.missing.get("sleep")?;
    let parts = ["recovery", "sleep", "cycle", "workouts"];
    let all_alike = parts
        .iter()
        .all(|part| day.missing.get(part) == Some(&reason));
    let is_empty = day.sleep.is_none()
        && day.recovery.is_none()
        && day.cycle.is_none()
        && day.naps.is_empty()
        && day.workouts.is_empty();
    (all_alike && is_empty).then_some(reason)
}

/// Waits until a condition is true, and panics if that takes longer than [`DEADLINE`].
pub(crate) async fn until<F: Future<Output = bool>>(
    condition: &str,
    mut is_true: impl FnMut() -> F,
) {
    let waiting = async {
        while !is_true().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        tokio::time::timeout(DEADLINE, waiting).await.is_ok(),
        "condition was not met in time: {condition}"
    );
}
