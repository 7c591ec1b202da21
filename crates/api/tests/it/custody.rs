//! Law 8 (one token refresh at a time), tested from outside.
//!
//! Two API processes and a worker need new tokens of one member at the same moment, and WHOOP
//! receives only one refresh request.

use clap::Parser;
use futures::future::join_all;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use whoop_devkit::TestDb;
use whoop_sim::{Fault, FaultKind, ReuseMode, SimServer};
use whoop_sync_worker::{Console, WorkerCli, run_until_stopped};

use crate::harness::{Member, RunningApi, Stage, flags, simulator};

/// Runs the night run of the worker for alice, with the same database and the same simulated WHOOP
/// as the API. Returns the exit code.
async fn night_run(database_url: &str, sim: &SimServer, api: &RunningApi) -> u8 {
    let shared = flags(api.client.address, database_url, sim);
    let known = ["--database-", "--whoop-", "--token-keys"];
    let shared = shared
        .into_iter()
        .filter(|flag| known.iter().any(|one| flag.starts_with(one)));
    let own = [
        "sync-worker",
        "run",
        "--slot=night",
        "--user=alice",
        "--json",
    ]
    .map(str::to_owned);
    let cli = WorkerCli::try_parse_from(own.into_iter().chain(shared)).unwrap();
    let (console, _results) = Console::capturing();
    run_until_stopped(cli, &console, CancellationToken::new()).await
}

async fn one_refresh_for_all(mode: ReuseMode) {
    let db = TestDb::new().await;
    let sim = simulator().await;
    let first = RunningApi::start(db.url(), &sim, "warn").await;
    let second = RunningApi::start(db.url(), &sim, "warn").await;
    let alice = Member::new(&first.client, "alice");
    let whoop_user_id = sim.world().people()[0];
    let consent = alice.begin(&json!({})).await;
    let callback = consent.given_by(&first.client, whoop_user_id).await;
    callback.follow(&first.client).await.expect(200);
    alice.is_read().await;
    let elsewhere = Member {
        client: second.client.clone(),
        ..alice.clone()
    };

    for round in 1..=3 {
        sim.world().oauth().set_reuse_mode(mode);
        sim.world().oauth().expire_access_tokens();
        Stage::two_minutes_pass_since_reads(&db).await;
        // The latency is long enough for all requests to arrive before WHOOP answers the first.
        sim.world().add_fault(Fault {
            millis: Some(200),
            ..Fault::new("token", FaultKind::Latency)
        });

        let requests = (0..20).map(|nth| {
            let member = if nth % 2 == 0 { &alice } else { &elsewhere };
            async move {
                if nth % 4 < 2 {
                    member.get("daily-data", "?refresh=force").await
                } else {
                    member.post("sync", &json!({})).await
                }
            }
        });
        let (answers, worker) =
            tokio::join!(join_all(requests), night_run(db.url(), &sim, &second));

        assert_eq!(worker, 0);
        for answer in answers {
            answer.expect(200);
        }
        let grants = sim.world().oauth().grants();
        let grant = grants.last().unwrap();
        assert_eq!(
            (grant.refreshes, grant.reuses, grant.is_revoked),
            (round, 0, false),
            "{mode:?}"
        );
        let state = elsewhere.get("connection", "").await.expect(200);
        assert_eq!(state["connection"], "connected");
    }
}

#[tokio::test]
async fn twenty_requests_two_apis_and_a_worker_refresh_once() {
    one_refresh_for_all(ReuseMode::LoserRejected).await;
}

#[tokio::test]
async fn twenty_requests_two_apis_and_a_worker_refresh_once_if_reuse_ends_the_connection() {
    one_refresh_for_all(ReuseMode::FamilyRevoked).await;
}
