//! Migrations of the database while an API serves requests.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use whoop_devkit::TestDb;
use whoop_storage::{Database, DatabaseConfig, PoolerMode, migrate, serving_role};

use crate::harness::{SERVICE_KEY, Stage, two_months, until};

const ROLLOUTS: usize = 20;
const CALLERS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_rollouts_under_traffic_succeed_and_fail_no_request() {
    let db = TestDb::new().await;
    // A role belongs to the whole PostgreSQL server, so its name contains the name of the database.
    let role = format!("{}_serves", db.name());
    let owner = db.client().await;
    let create = format!("CREATE ROLE {role} LOGIN PASSWORD 'serving-word'");
    owner.batch_execute(&create).await.unwrap();
    let as_owner = Database::new(&DatabaseConfig {
        // Migrations are applied without a pooler.
        url: db.direct_url().into(),
        pool_size: 2,
        pooler: PoolerMode::Session,
    })
    .unwrap();
    serving_role::grant_serving(&as_owner, Some(&role))
        .await
        .unwrap();
    let mut url: url::Url = db.url().parse().unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("serving-word")).unwrap();
    let stage = Stage::at(url.as_str(), db, two_months()).await;
    let mut alice = stage.connect("alice").await;
    // The test uses a service key, because a member is limited to ten requests per second.
    SERVICE_KEY.clone_into(&mut alice.token);

    let (stop, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (alice, stop, answered) = (alice.clone(), Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    // Reads and writes use many tables, so that their locks conflict.
                    let answer = match caller {
                        0 => alice.post("sync", &serde_json::json!({})).await,
                        1 => alice.get("export", "").await,
                        _ => alice.get("daily-data", "").await,
                    };
                    answer.assert_status(200);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for _ in 0..ROLLOUTS {
        let before = answered.load(Ordering::Relaxed);
        migrate::apply(&as_owner).await.unwrap();
        serving_role::grant_serving(&as_owner, Some(&role))
            .await
            .unwrap();
        until("another request has been answered", || async {
            answered.load(Ordering::Relaxed) > before
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }

    let sql = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'; \
         DROP OWNED BY {role}; DROP ROLE {role}"
    );
    owner.batch_execute(&sql).await.unwrap();
}
