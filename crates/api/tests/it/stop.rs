//! The real program stops when it receives a signal.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use whoop_devkit::TestDb;
use whoop_sim::{Fault, FaultKind, SimServer};

use crate::harness::{Member, RunningApi, Stage, simulator, until};

/// Maximum time that the program may take to stop.
///
/// The contract allows ten seconds. A caller who keeps an idle connection open must not delay the
/// stop until then.
const QUICKLY: Duration = Duration::from_secs(3);

async fn running(log_filter: &str) -> (TestDb, SimServer, RunningApi) {
    let db = TestDb::new().await;
    let sim = simulator().await;
    let api = RunningApi::start(db.url(), &sim, log_filter).await;
    (db, sim, api)
}

#[tokio::test]
async fn an_idle_program_stops_immediately_with_exit_code_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let (_db, _sim, api) = running("info").await;
        // The client keeps its connection open after this request.
        api.client.get("/readyz").send().await.expect(200);

        let signalled_at = Instant::now();
        api.signal(signal);
        let (status, log) = api.end().await;

        assert_eq!(status.code(), Some(0), "{log}");
        assert!(
            signalled_at.elapsed() < QUICKLY,
            "{:?}",
            signalled_at.elapsed()
        );
    }
}

#[tokio::test]
async fn requests_in_progress_are_answered_before_the_stop() {
    let (db, sim, api) = running("info").await;
    let alice = connected(&db, &api, &sim).await;
    sim.world().add_fault(Fault {
        millis: Some(700),
        ..Fault::new("*", FaultKind::Latency)
    });
    let request = tokio::spawn({
        let alice = alice.clone();
        async move { alice.day("?refresh=force").await }
    });
    until("the day is being read", || {
        Stage::is_claimed_in(&db, "alice")
    })
    .await;

    let signalled_at = Instant::now();
    api.signal(Signal::TERM);
    let day = request.await.unwrap();
    let (status, log) = api.end().await;

    assert_eq!(day["meta"]["sync"], "done");
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(
        signalled_at.elapsed() < QUICKLY,
        "{:?}",
        signalled_at.elapsed()
    );
    assert!(
        !Stage::is_claimed_in(&db, "alice").await,
        "the lease is still held"
    );
}

/// Law 8 (no token refresh is lost): a refresh in progress is finished before the program ends.
///
/// After WHOOP has answered, the old token pair is invalid. If the program ended between this
/// response and the commit, the member would lose the connection.
#[tokio::test]
async fn a_refresh_in_progress_is_finished_although_no_caller_waits_for_it() {
    let (db, sim, api) = running("info").await;
    let alice = connected(&db, &api, &sim).await;
    sim.world().oauth().expire_access_tokens();
    sim.world().add_fault(Fault {
        millis: Some(500),
        ..Fault::new("token", FaultKind::Latency)
    });
    let body = serde_json::json!({"wait": false});
    alice.post("sync", &body).await.expect(202);
    until("WHOOP has refused the access token", || async {
        let calls = sim.world().calls();
        calls.iter().any(|call| call.status == 401)
    })
    .await;

    api.signal(Signal::TERM);
    let (status, log) = api.end().await;

    assert_eq!(status.code(), Some(0), "{log}");
    sim.world().clear_faults();
    let again = RunningApi::start(db.url(), &sim, "info").await;
    let alice = Member::new(&again.client, "alice");
    let day = alice.day("?refresh=force").await;
    assert_eq!(day["meta"]["sync"], "done", "{day:#}\n{log}");
    assert_eq!(day["meta"]["connection"], "connected");
    assert_eq!(
        sim.world().oauth().grants()[0].reuses,
        0,
        "an old token pair was used"
    );
}

async fn connected(db: &TestDb, api: &RunningApi, sim: &SimServer) -> Member {
    let alice = Member::new(&api.client, "alice");
    let consent = alice.begin(&serde_json::json!({})).await;
    let callback = consent.given_by(&api.client, sim.world().people()[0]).await;
    callback.follow(&api.client).await.expect(200);
    alice.is_read().await;
    Stage::two_minutes_pass_since_reads(db).await;
    alice
}
