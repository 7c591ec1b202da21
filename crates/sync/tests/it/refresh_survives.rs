//! Tests of law 8 (no refresh is lost): as long as the process runs, no token pair that WHOOP has
//! issued is lost.
//!
//! If the process is killed, a token pair is lost only between WHOOP's response and the commit, and
//! the stored reason reports this loss.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::{runtime::Runtime, task::JoinHandle};
use whoop_core::{Clock, plan::Slot};
use whoop_sim::{Fault, FaultKind};
use whoop_storage::table::audit::Actor;
use whoop_sync::{Engine, MemberOutcome, SyncContext, SyncError};

use crate::harness::{
    Member, Stage, context_with_short_refresh_timeout, context_without_retries, slot, text_of,
    until,
};

type Token = Result<secrecy::SecretString, SyncError>;

/// Creates a member whose access token has expired.
async fn with_expired_token() -> (Stage, Member) {
    let (stage, member) = Stage::with_member().await;
    stage.advance(TimeDelta::hours(2));
    (stage, member)
}

fn delay_answer(stage: &Stage, millis: u64) {
    stage.world().add_fault(Fault {
        millis: Some(millis),
        times: Some(1),
        ..Fault::new("token", FaultKind::LateAnswer)
    });
}

fn refresh(stage: &Stage, member: &Member, context: SyncContext) -> JoinHandle<Token> {
    let (engine, user_id) = (stage.engine.clone(), member.user_id.clone());
    tokio::spawn(async move { engine.calls.access_token(&user_id, &context, None).await })
}

async fn until_whoop_has_replaced_the_pair(stage: &Stage, member: &Member) {
    until("WHOOP has replaced the pair", || async {
        stage.world().oauth().refresh_count(member.whoop_user_id) == 1
    })
    .await;
}

/// Makes PostgreSQL execute `does` before it updates a row of the table, if the condition `when` is
/// true for the row.
async fn add_trigger(stage: &Stage, table: &str, when: &str, does: &str) {
    let sql = format!(
        "CREATE FUNCTION before_it() RETURNS trigger LANGUAGE plpgsql \
             AS $$ BEGIN {does}; RETURN NEW; END $$;
         CREATE TRIGGER before_it BEFORE UPDATE ON {table} \
             FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION before_it()"
    );
    stage.sql.batch_execute(&sql).await.unwrap();
}

async fn drop_trigger(stage: &Stage, table: &str) {
    let sql = format!("DROP TRIGGER before_it ON {table}");
    stage.sql.batch_execute(&sql).await.unwrap();
}

const NEW_PAIR: &str = "NEW.sealed <> OLD.sealed";

/// A lock at which a statement of the service waits. For this, the test adds a trigger that
/// contains [`Barrier::WAIT`].
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

/// Asserts that WHOOP replaced the token pair once, that the new pair works, and that no spent
/// refresh token was used again.
async fn assert_nothing_was_lost(stage: &Stage, member: &Member) {
    let report = stage.sync(member, &slot(Slot::Night)).await;
    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
    assert_eq!(stage.connection_status(member).await, "connected");
    let grants = stage.world().oauth().grants();
    let of_member = |grant: &&whoop_sim::Grant| grant.whoop_user_id == member.whoop_user_id;
    let grant = grants.iter().rfind(of_member).unwrap();
    assert_eq!((grant.refreshes, grant.reuses), (1, 0));
}

#[tokio::test]
async fn an_answer_that_arrives_after_the_caller_timed_out_is_stored() {
    let (stage, member) = with_expired_token().await;
    delay_answer(&stage, 1_000);
    let mut context = context_with_short_refresh_timeout();
    context.retry_policy.call_timeout = Duration::from_millis(50);

    let timed_out = refresh(&stage, &member, context).await.unwrap();
    let next = refresh(&stage, &member, context_without_retries())
        .await
        .unwrap();

    let error = timed_out.unwrap_err();
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
async fn a_cancelled_caller_does_not_end_the_refresh() {
    let (stage, member) = with_expired_token().await;
    delay_answer(&stage, 500);
    let caller = refresh(&stage, &member, context_without_retries());
    until_whoop_has_replaced_the_pair(&stage, &member).await;

    caller.abort();

    assert!(caller.await.unwrap_err().is_cancelled());
    assert_nothing_was_lost(&stage, &member).await;
}

#[tokio::test]
async fn database_connections_that_break_while_whoop_answers_lose_nothing() {
    let (stage, member) = with_expired_token().await;
    delay_answer(&stage, 500);
    let caller = refresh(&stage, &member, context_without_retries());
    until_whoop_has_replaced_the_pair(&stage, &member).await;

    let terminate_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND application_name = 'whoop'";
    let ended = stage.sql.query(terminate_all, &[]).await.unwrap();

    assert!(!ended.is_empty());
    assert!(caller.await.unwrap().is_ok());
    assert_nothing_was_lost(&stage, &member).await;
}

#[tokio::test]
async fn a_database_connection_that_breaks_before_the_commit_loses_nothing() {
    let (stage, member) = with_expired_token().await;
    add_trigger(&stage, "whoop_tokens", NEW_PAIR, Barrier::WAIT).await;
    let barrier = Barrier::close(&stage).await;
    let caller = refresh(&stage, &member, context_without_retries());
    stage.until_a_transaction_waits().await;

    let terminate_waiting = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let ended = stage.sql.query(terminate_waiting, &[]).await.unwrap();
    barrier.open().await;

    assert_eq!(ended.len(), 1);
    assert!(caller.await.unwrap().is_ok());
    assert_nothing_was_lost(&stage, &member).await;
}

#[tokio::test]
async fn no_transaction_is_open_while_whoop_answers() {
    let (stage, member) = with_expired_token().await;
    let set_timeout = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET \
        idle_in_transaction_session_timeout = ''50ms''', current_database()); END $$";
    stage.sql.batch_execute(set_timeout).await.unwrap();
    delay_answer(&stage, 300);

    // This test uses the engine of a new process, because the setting applies only to new
    // connections.
    let token = stage
        .another_engine()
        .calls
        .access_token(&member.user_id, &context_without_retries(), None)
        .await;

    assert!(token.is_ok(), "{token:?}");
    assert_nothing_was_lost(&stage, &member).await;
}

#[tokio::test]
async fn a_pair_is_not_used_until_it_can_be_stored() {
    let (stage, member) = with_expired_token().await;
    add_trigger(
        &stage,
        "whoop_tokens",
        NEW_PAIR,
        "RAISE EXCEPTION 'the disk is full'",
    )
    .await;
    let context = context_with_short_refresh_timeout();

    let unstored = refresh(&stage, &member, context).await.unwrap();
    until_whoop_has_replaced_the_pair(&stage, &member).await;
    assert!(
        matches!(unstored, Err(SyncError::RefreshPending)),
        "{unstored:?}"
    );
    drop_trigger(&stage, "whoop_tokens").await;

    assert!(
        refresh(&stage, &member, context_without_retries())
            .await
            .unwrap()
            .is_ok()
    );
    assert_nothing_was_lost(&stage, &member).await;
}

#[tokio::test]
async fn a_disconnect_during_a_refresh_revokes_the_new_pair() {
    for erase in [false, true] {
        let (stage, member) = with_expired_token().await;
        delay_answer(&stage, 500);
        let caller = refresh(&stage, &member, context_without_retries());
        until_whoop_has_replaced_the_pair(&stage, &member).await;

        let result = stage
            .engine
            .connections
            .disconnect(&member.user_id, erase, &Actor::member())
            .await;

        let result = result.unwrap();
        assert!(result.is_revoked(), "{result:?}");
        assert!(caller.await.unwrap().is_ok());
        assert!(
            stage
                .world()
                .oauth()
                .grants()
                .iter()
                .all(|grant| grant.is_revoked)
        );
    }
}

#[tokio::test]
async fn the_pair_of_a_refresh_is_revoked_if_a_new_connect_was_stored_first() {
    let (stage, member) = with_expired_token().await;
    delay_answer(&stage, 1_000);
    let caller = refresh(&stage, &member, context_without_retries());
    until_whoop_has_replaced_the_pair(&stage, &member).await;

    let again = stage.try_connect(member.user_id.as_str(), member.whoop_user_id);
    again.await.unwrap().first_sync.await.unwrap();
    assert!(caller.await.unwrap().is_ok());
    let count = "SELECT count(*)::TEXT FROM whoop_revocation WHERE $1 <> ''";
    assert_eq!(stage.text(count, &member).await.as_deref(), Some("1"));
    stage.advance(TimeDelta::minutes(5));
    stage
        .engine
        .revocations
        .revoke_due(&context_without_retries())
        .await
        .unwrap();

    assert_eq!(stage.text(count, &member).await.as_deref(), Some("0"));
    assert_eq!(stage.connection_status(&member).await, "connected");
    let report = stage.sync(&member, &slot(Slot::Night)).await;
    assert_eq!(report.outcome, MemberOutcome::Done, "{report:?}");
}

/// A process that a test can kill: its runtime is shut down with all of its tasks.
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
        self.runtime.spawn(async move {
            engine
                .calls
                .access_token(&user_id, &context_without_retries(), None)
                .await
        });
    }

    async fn kill(self, stage: &Stage, member: &Member) {
        self.runtime.shutdown_background();
        drop(self.engine);
        stage.expire_the_claim(member).await;
    }
}

#[tokio::test]
async fn a_process_killed_before_its_request_to_whoop_loses_nothing() {
    let (stage, member) = with_expired_token().await;
    let begins = "NEW.begun_at IS NOT NULL AND OLD.begun_at IS NULL";
    add_trigger(&stage, "whoop_refresh", begins, Barrier::WAIT).await;
    let barrier = Barrier::close(&stage).await;
    let process = Process::start(&stage);
    process.refresh(&member);
    stage.until_a_transaction_waits().await;
    kill_waiting(&stage, barrier, process, &member).await;

    assert_eq!(stage.world().oauth().refresh_count(member.whoop_user_id), 0);
    assert_nothing_was_lost(&stage, &member).await;
}

/// Kills a process whose statement waits at a barrier. PostgreSQL then rolls the statement back, or
/// completes it without the process.
async fn kill_waiting(stage: &Stage, barrier: Barrier, process: Process, member: &Member) {
    process.runtime.shutdown_background();
    drop(process.engine);
    let terminate_waiting = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    stage.sql.query(terminate_waiting, &[]).await.unwrap();
    barrier.open().await;
    stage.expire_the_claim(member).await;
}

#[tokio::test]
async fn a_process_killed_before_whoop_reads_its_request_loses_nothing() {
    let (stage, member) = with_expired_token().await;
    stage.world().add_fault(Fault {
        millis: Some(60_000),
        times: Some(1),
        ..Fault::new("token", FaultKind::Latency)
    });
    let process = Process::start(&stage);
    process.refresh(&member);
    // The row in `whoop_refresh` is written before WHOOP receives the request, so waiting for the
    // row would not be enough.
    until("WHOOP has received the request", || async {
        stage.world().faults().is_empty()
    })
    .await;
    let begun = "SELECT begun_at::TEXT FROM whoop_refresh WHERE user_id = $1";
    assert!(stage.text(begun, &member).await.is_some());

    process.kill(&stage, &member).await;

    assert_nothing_was_lost(&stage, &member).await;
}

async fn assert_the_loss_is_reported(stage: &Stage, member: &Member, began_at: &str) {
    let token = refresh(stage, member, context_without_retries())
        .await
        .unwrap();

    assert!(matches!(token, Err(SyncError::ReauthRequired)), "{token:?}");
    let detail = stage.detail_of(member).await;
    assert!(
        detail.contains("was interrupted") && detail.contains(began_at),
        "{detail}"
    );
}

#[tokio::test]
async fn a_process_killed_before_whoops_answer_arrives_loses_the_pair_and_reports_it() {
    let (stage, member) = with_expired_token().await;
    let began_at = text_of(stage.clock.now());
    delay_answer(&stage, 60_000);
    let process = Process::start(&stage);
    process.refresh(&member);
    until_whoop_has_replaced_the_pair(&stage, &member).await;

    process.kill(&stage, &member).await;
    stage.advance(TimeDelta::minutes(5));

    assert_the_loss_is_reported(&stage, &member, &began_at).await;
}

#[tokio::test]
async fn a_process_killed_before_the_commit_loses_the_pair_and_reports_it() {
    let (stage, member) = with_expired_token().await;
    let began_at = text_of(stage.clock.now());
    add_trigger(&stage, "whoop_tokens", NEW_PAIR, Barrier::WAIT).await;
    let barrier = Barrier::close(&stage).await;
    let process = Process::start(&stage);
    process.refresh(&member);
    stage.until_a_transaction_waits().await;

    kill_waiting(&stage, barrier, process, &member).await;
    stage.advance(TimeDelta::minutes(5));

    assert_the_loss_is_reported(&stage, &member, &began_at).await;
}

#[tokio::test]
async fn a_process_killed_after_the_commit_loses_nothing() {
    let (stage, member) = with_expired_token().await;
    let released = "NEW.holder IS NULL AND OLD.holder IS NOT NULL";
    add_trigger(&stage, "whoop_refresh", released, Barrier::WAIT).await;
    let barrier = Barrier::close(&stage).await;
    let process = Process::start(&stage);
    process.refresh(&member);
    stage.until_a_transaction_waits().await;

    kill_waiting(&stage, barrier, process, &member).await;

    assert_nothing_was_lost(&stage, &member).await;
}
