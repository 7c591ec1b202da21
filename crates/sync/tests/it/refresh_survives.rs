//! Law 8: while the process lives, no token pair that WHOOP has issued is lost. If the process is
//! killed, a pair is lost only between WHOOP's response and the commit, and the stored reason
//! reports this.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::{runtime::Runtime, task::JoinHandle};
use whoop_core::{Clock, plan::Slot};
use whoop_sim::{Fault, FaultKind};
use whoop_storage::table::audit::Actor;
use whoop_sync::{Engine, MemberOutcome, SyncContext, SyncError};

use crate::harness::{Member, Stage, briskly, leaving_refreshes_alone, slot, text_of, until};

type Token = Result<secrecy::SecretString, SyncError>;

/// Creates a member with an expired access token.
async fn with_ended_token() -> (Stage, Member) {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(2));
    (stage, member)
}

fn answers_late(stage: &Stage, millis: u64) {
    stage.world().add_fault(Fault {
        millis: Some(millis),
        times: Some(1),
        ..Fault::new("token", FaultKind::LateAnswer)
    });
}

fn refresh(stage: &Stage, member: &Member, job: SyncContext) -> JoinHandle<Token> {
    let (engine, user_id) = (stage.engine.clone(), member.user_id.clone());
    tokio::spawn(async move { engine.access_token(&user_id, &job, None).await })
}

async fn until_whoop_has_replaced_the_pair(stage: &Stage, member: &Member) {
    until("WHOOP has replaced the pair", || async {
        stage.world().refresh_count(member.whoop_user_id) == 1
    })
    .await;
}

/// Makes PostgreSQL execute `does` before it updates a member's row, if the condition `when` holds.
async fn before(stage: &Stage, table: &str, when: &str, does: &str) {
    let sql = format!(
        "CREATE FUNCTION before_it() RETURNS trigger LANGUAGE plpgsql \
             AS $$ BEGIN {does}; RETURN NEW; END $$;
         CREATE TRIGGER before_it BEFORE UPDATE ON {table} \
             FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION before_it()"
    );
    stage.sql.batch_execute(&sql).await.unwrap();
}

async fn no_longer(stage: &Stage, table: &str) {
    let sql = format!("DROP TRIGGER before_it ON {table}");
    stage.sql.batch_execute(&sql).await.unwrap();
}

const NEW_PAIR: &str = "NEW.sealed <> OLD.sealed";

/// A lock at which a statement of the service waits, if a test's trigger contains
/// [`Barrier::WAIT`].
struct Barrier(tokio_postgres::Client);

impl Barrier {
    const WAIT: &str = "PERFORM pg_advisory_xact_lock(1)";

    async fn close(stage: &Stage) -> Self {
        let client = stage.db.client().await;
        let lock = "BEGIN; SELECT pg_advisory_xact_lock(1)";
        client.batch_execute(lock).await.unwrap();
        Self(client)
    }

    async fn open(self) {
        self.0.batch_execute("COMMIT").await.unwrap();
    }
}

/// Asserts that WHOOP replaced the pair once, that the new one works, and that no spent token was
/// used again.
async fn assert_nothing_was_lost(stage: &Stage, member: &Member) {
    let report = stage.sync(member, &slot(Slot::Night)).await;
    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
    assert_eq!(stage.connection_status(member).await, "connected");
    let grants = stage.world().grants();
    let of_member = |grant: &&whoop_sim::Grant| grant.whoop_user_id == member.whoop_user_id;
    let grant = grants.iter().rfind(of_member).unwrap();
    assert_eq!((grant.refreshes, grant.reuses), (1, 0));
}

#[tokio::test]
async fn an_answer_that_no_caller_waits_for_is_stored_for_the_next_caller() {
    let (stage, member) = with_ended_token().await;
    answers_late(&stage, 1_000);
    let mut hurried = leaving_refreshes_alone();
    hurried.retry_policy.call_timeout = Duration::from_millis(50);

    let gone = refresh(&stage, &member, hurried).await.unwrap();
    let next = refresh(&stage, &member, briskly()).await.unwrap();

    let error = gone.unwrap_err();
    assert!(matches!(error, SyncError::RefreshPending), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("has not answered the token refresh yet")
    );
    assert!(next.is_ok(), "{next:?}");
    assert_nothing_was_lost(&stage, &member).await;
}

#[tokio::test]
async fn a_caller_that_is_cut_off_does_not_end_the_refresh() {
    let (stage, member) = with_ended_token().await;
    answers_late(&stage, 500);
    let caller = refresh(&stage, &member, briskly());
    until_whoop_has_replaced_the_pair(&stage, &member).await;

    caller.abort();

    assert!(caller.await.unwrap_err().is_cancelled());
    assert_nothing_was_lost(&stage, &member).await;
}

#[tokio::test]
async fn connections_that_end_while_whoop_answers_lose_nothing() {
    let (stage, member) = with_ended_token().await;
    answers_late(&stage, 500);
    let caller = refresh(&stage, &member, briskly());
    until_whoop_has_replaced_the_pair(&stage, &member).await;

    let of_the_service = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND application_name = 'whoop'";
    let ended = stage.sql.query(of_the_service, &[]).await.unwrap();

    assert!(!ended.is_empty());
    assert!(caller.await.unwrap().is_ok());
    assert_nothing_was_lost(&stage, &member).await;
}

#[tokio::test]
async fn a_connection_that_ends_before_the_commit_loses_nothing() {
    let (stage, member) = with_ended_token().await;
    before(&stage, "whoop_tokens", NEW_PAIR, Barrier::WAIT).await;
    let barrier = Barrier::close(&stage).await;
    let caller = refresh(&stage, &member, briskly());
    stage.until_somebody_waits().await;

    let of_the_commit = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let ended = stage.sql.query(of_the_commit, &[]).await.unwrap();
    barrier.open().await;

    assert_eq!(ended.len(), 1);
    assert!(caller.await.unwrap().is_ok());
    assert_nothing_was_lost(&stage, &member).await;
}

#[tokio::test]
async fn no_transaction_is_open_while_whoop_answers() {
    let (stage, member) = with_ended_token().await;
    let impatient = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET \
        idle_in_transaction_session_timeout = ''50ms''', current_database()); END $$";
    stage.sql.batch_execute(impatient).await.unwrap();
    answers_late(&stage, 300);

    // A new process, because the setting applies only to new connections.
    let token = stage
        .another_engine()
        .access_token(&member.user_id, &briskly(), None)
        .await;

    assert!(token.is_ok(), "{token:?}");
    assert_nothing_was_lost(&stage, &member).await;
}

#[tokio::test]
async fn a_pair_that_cannot_be_stored_is_not_used_and_stored_once_it_can_be() {
    let (stage, member) = with_ended_token().await;
    before(
        &stage,
        "whoop_tokens",
        NEW_PAIR,
        "RAISE EXCEPTION 'the disk is full'",
    )
    .await;
    let job = leaving_refreshes_alone();

    let unstored = refresh(&stage, &member, job).await.unwrap();
    until_whoop_has_replaced_the_pair(&stage, &member).await;
    assert!(
        matches!(unstored, Err(SyncError::RefreshPending)),
        "{unstored:?}"
    );
    no_longer(&stage, "whoop_tokens").await;

    assert!(refresh(&stage, &member, briskly()).await.unwrap().is_ok());
    assert_nothing_was_lost(&stage, &member).await;
}

#[tokio::test]
async fn a_member_who_leaves_during_a_refresh_leaves_no_permission() {
    for erase in [false, true] {
        let (stage, member) = with_ended_token().await;
        answers_late(&stage, 500);
        let caller = refresh(&stage, &member, briskly());
        until_whoop_has_replaced_the_pair(&stage, &member).await;

        let left = stage
            .engine
            .disconnect(&member.user_id, erase, &Actor::member())
            .await;

        let left = left.unwrap();
        assert!(left.is_revoked(), "{left:?}");
        assert!(caller.await.unwrap().is_ok());
        assert!(stage.world().grants().iter().all(|grant| grant.is_revoked));
    }
}

#[tokio::test]
async fn the_pair_of_a_refresh_that_a_new_connect_overtook_is_ended() {
    let (stage, member) = with_ended_token().await;
    answers_late(&stage, 1_000);
    let caller = refresh(&stage, &member, briskly());
    until_whoop_has_replaced_the_pair(&stage, &member).await;

    let again = stage.try_connect(member.user_id.as_str(), member.whoop_user_id);
    again.await.unwrap().first_sync.await.unwrap();
    assert!(caller.await.unwrap().is_ok());
    let count = "SELECT count(*)::TEXT FROM whoop_revocation WHERE $1 <> ''";
    assert_eq!(stage.text(count, &member).await.as_deref(), Some("1"));
    stage.advance(TimeDelta::minutes(5));
    stage.engine.revoke_due(&briskly()).await.unwrap();

    assert_eq!(stage.text(count, &member).await.as_deref(), Some("0"));
    assert_eq!(stage.connection_status(&member).await, "connected");
    let report = stage.sync(&member, &slot(Slot::Night)).await;
    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
}

/// Simulates a process that can be killed: its runtime is shut down with all of its tasks.
struct Process {
    runtime: Runtime,
    engine: Engine,
}

impl Process {
    fn start(stage: &Stage) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        Self {
            runtime: runtime.worker_threads(1).enable_all().build().unwrap(),
            engine: stage.another_engine(),
        }
    }

    fn refresh(&self, member: &Member) {
        let (engine, user_id) = (self.engine.clone(), member.user_id.clone());
        self.runtime
            .spawn(async move { engine.access_token(&user_id, &briskly(), None).await });
    }

    async fn kill(self, stage: &Stage, member: &Member) {
        self.runtime.shutdown_background();
        drop(self.engine);
        stage.end_the_claim(member).await;
    }
}

#[tokio::test]
async fn a_process_killed_before_it_asks_whoop_loses_nothing() {
    let (stage, member) = with_ended_token().await;
    let begins = "NEW.begun_at IS NOT NULL AND OLD.begun_at IS NULL";
    before(&stage, "whoop_refresh", begins, Barrier::WAIT).await;
    let barrier = Barrier::close(&stage).await;
    let process = Process::start(&stage);
    process.refresh(&member);
    stage.until_somebody_waits().await;
    no_longer_waits(&stage, barrier, process, &member).await;

    assert_eq!(stage.world().refresh_count(member.whoop_user_id), 0);
    assert_nothing_was_lost(&stage, &member).await;
}

/// Kills a process that waits at a barrier. Its statement is then rolled back, or completed without
/// it.
async fn no_longer_waits(stage: &Stage, barrier: Barrier, process: Process, member: &Member) {
    process.runtime.shutdown_background();
    drop(process.engine);
    let of_the_dead = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    stage.sql.query(of_the_dead, &[]).await.unwrap();
    barrier.open().await;
    stage.end_the_claim(member).await;
}

#[tokio::test]
async fn a_process_killed_before_whoop_reads_its_request_loses_nothing() {
    let (stage, member) = with_ended_token().await;
    stage.world().add_fault(Fault {
        millis: Some(60_000),
        times: Some(1),
        ..Fault::new("token", FaultKind::Latency)
    });
    let process = Process::start(&stage);
    process.refresh(&member);
    // The row alone is too early: a request that is sent after that finds no delay.
    until("the request is at WHOOP", || async {
        stage.world().faults().is_empty()
    })
    .await;
    let begun = "SELECT begun_at::TEXT FROM whoop_refresh WHERE user_id = $1";
    assert!(stage.text(begun, &member).await.is_some());

    process.kill(&stage, &member).await;

    assert_nothing_was_lost(&stage, &member).await;
}

async fn assert_the_loss_is_told(stage: &Stage, member: &Member, began_at: &str) {
    let token = refresh(stage, member, briskly()).await.unwrap();

    assert!(matches!(token, Err(SyncError::ReauthRequired)), "{token:?}");
    let detail = stage.detail_of(member).await;
    assert!(
        detail.contains("cut off") && detail.contains(began_at),
        "{detail}"
    );
}

#[tokio::test]
async fn a_process_killed_before_whoops_answer_arrives_loses_the_pair_and_says_so() {
    let (stage, member) = with_ended_token().await;
    let began_at = text_of(stage.clock.now());
    answers_late(&stage, 60_000);
    let process = Process::start(&stage);
    process.refresh(&member);
    until_whoop_has_replaced_the_pair(&stage, &member).await;

    process.kill(&stage, &member).await;
    stage.advance(TimeDelta::minutes(5));

    assert_the_loss_is_told(&stage, &member, &began_at).await;
}

#[tokio::test]
async fn a_process_killed_before_the_commit_loses_the_pair_and_says_so() {
    let (stage, member) = with_ended_token().await;
    let began_at = text_of(stage.clock.now());
    before(&stage, "whoop_tokens", NEW_PAIR, Barrier::WAIT).await;
    let barrier = Barrier::close(&stage).await;
    let process = Process::start(&stage);
    process.refresh(&member);
    stage.until_somebody_waits().await;

    no_longer_waits(&stage, barrier, process, &member).await;
    stage.advance(TimeDelta::minutes(5));

    assert_the_loss_is_told(&stage, &member, &began_at).await;
}

#[tokio::test]
async fn a_process_killed_after_the_commit_loses_nothing() {
    let (stage, member) = with_ended_token().await;
    let released = "NEW.holder IS NULL AND OLD.holder IS NOT NULL";
    before(&stage, "whoop_refresh", released, Barrier::WAIT).await;
    let barrier = Barrier::close(&stage).await;
    let process = Process::start(&stage);
    process.refresh(&member);
    stage.until_somebody_waits().await;

    no_longer_waits(&stage, barrier, process, &member).await;

    assert_nothing_was_lost(&stage, &member).await;
}
