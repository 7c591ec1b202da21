//! The API is killed (`kill -9`) between its response to a webhook and the processing: no
//! acknowledged webhook is lost.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use rustix::process::Signal;
use serde_json::{Value, json};
use whoop_core::{Clock, SystemClock};
use whoop_devkit::TestDb;
use whoop_sim::SimDataType;

use crate::harness::{
    Member, RunningApi, simulator, until,
    webhooks::{Webhook, event},
};

const KILLS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_is_killed_a_hundred_times_loses_nothing_that_it_acknowledged() {
    let seed = rand::rng().random_range(1..1_000_000);
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (db, sim) = (TestDb::new().await, simulator().await);
    let sql = db.client().await;
    let person = sim.world().people()[0];
    let mut api = RunningApi::start(db.url(), &sim, "warn").await;
    connect(&api, person).await;

    let (mut acknowledged, mut scores) = (0, Vec::new());
    let truth = sim.world().records().truth(person);
    let recoveries: Vec<Value> = truth["recoveries"].as_array().unwrap().clone();
    for kill in 0..KILLS {
        // A few nights get new scores, and WHOOP sends an event for each of them.
        for nth in 0..random.random_range(1..4) {
            let recovery = &recoveries[random.random_range(0..15)];
            let score = random.random_range(1..99);
            sim.world()
                .records()
                .patch(
                    person,
                    SimDataType::Recovery,
                    &recovery["cycle_id"],
                    json!({"score": {"recovery_score": score}}),
                )
                .unwrap();
            let sleep = recovery["sleep_id"].as_str().unwrap();
            let trace = format!("{kill} {nth}");
            let webhook = Webhook::of(
                &event(person, "recovery.updated", sleep, &trace),
                SystemClock.now(),
            );
            webhook.send(&api.client).await.assert_status(204);
            acknowledged += 1;
            scores.retain(|(cycle, _)| cycle != &recovery["cycle_id"]);
            scores.push((recovery["cycle_id"].clone(), score));
        }
        // The process is killed at a random moment: before the event is read, during a call to
        // WHOOP, or during a write.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..450))).await;
        api.signal(Signal::KILL);
        api.end().await;
        // Until PostgreSQL has closed the connections of the killed process, one of them may still
        // claim a member lease.
        let of_killed = "SELECT 1 FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'whoop'";
        while !sql.query(of_killed, &[]).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        // The killed process would hold the member lease for a minute; the test removes it.
        sql.batch_execute("UPDATE whoop_users SET lease_until = NULL")
            .await
            .unwrap();
        api = RunningApi::start(db.url(), &sim, "warn").await;
    }

    until("every received event has been processed", || async {
        let open = "SELECT 1 FROM whoop_webhook_event WHERE state = 'pending'";
        sql.query(open, &[]).await.unwrap().is_empty()
    })
    .await;
    let rows = sql
        .query(
            "SELECT count(*), count(*) FILTER (WHERE state = 'done') FROM whoop_webhook_event",
            &[],
        )
        .await
        .unwrap();
    let counts: (i64, i64) = (rows[0].get(0), rows[0].get(1));
    assert_eq!(counts, (acknowledged, acknowledged));
    for (cycle, score) in scores {
        let stored = sql
            .query_one(
                "SELECT recovery_score FROM whoop_recovery WHERE id = $1",
                &[&cycle.to_string()],
            )
            .await
            .unwrap();
        assert_eq!(stored.get::<_, f64>(0), f64::from(score), "{cycle}");
    }
    // The sequence numbers of the changes have no gap.
    let gap = "SELECT 1 FROM (SELECT seq - lag(seq) OVER (PARTITION BY user_id ORDER BY seq) AS step \
               FROM whoop_change) AS steps WHERE step <> 1";
    assert!(sql.query(gap, &[]).await.unwrap().is_empty());
    api.signal(Signal::TERM);
    api.end().await;
}

/// Connects alice through WHOOP's consent page, and waits for the first sync.
async fn connect(api: &RunningApi, person: i64) {
    let member = Member::new(&api.client, "alice");
    let consent = member.begin(&json!({})).await;
    let callback = consent.given_by(&api.client, person).await;
    callback.follow(&api.client).await.expect(200);
    member.is_read().await;
}
