//! The API in its recommended setup: with a database role that cannot change the schema.

use serde_json::json;
use whoop_devkit::TestDb;
use whoop_sim::Fault;

use crate::harness::{Stage, two_months};

#[tokio::test]
async fn the_serving_role_suffices_for_every_route() {
    let db = TestDb::new().await;
    // A role belongs to the whole PostgreSQL server, so its name contains the name of the database.
    let role = format!("{}_serves", db.name());
    let owner = db.client().await;
    owner
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'serving-word'; SELECT whoop_let_serve('{role}')"
        ))
        .await
        .unwrap();
    let mut url: url::Url = db.url().parse().unwrap();
    url.set_username(&role).unwrap();
    url.set_password(Some("serving-word")).unwrap();
    let stage = Stage::at(url.as_str(), db, two_months()).await;

    stage.client.get("/readyz").send().await.expect(200);
    let alice = stage.connect("alice").await;
    let day = alice.day("?refresh=force").await;
    assert_eq!(day["meta"]["sync"], "done");
    stage.world().oauth().expire_access_tokens();
    alice.post("sync", &json!({})).await.expect(200);
    let broken = json!({"timezone_offset": 7});
    let person = stage.world().people()[0];
    stage
        .world()
        .add_fault(Fault::every_record("sleep", "timezone_offset", broken));
    alice
        .post("sync", &json!({"data_types": ["sleep"]}))
        .await
        .expect(200);
    stage.world().clear_faults();
    let status = alice.get("sync-status", "").await.expect(200);
    assert!(status["rejected_records"].as_i64() > Some(0), "{status}");
    let metrics = stage.client.get("/metrics").send().await;
    assert!(
        metrics.text.contains("whoop_database_up 1"),
        "{}",
        metrics.text
    );

    // The member disconnects while WHOOP is unavailable, so the permission can be revoked only
    // later.
    stage.world().add_fault(Fault::status("*", 503));
    let disconnected = alice.delete("").await.expect(200);
    assert_eq!(disconnected["revocation"], "pending");
    stage.world().clear_faults();
    let alice = stage.connect_person("alice", 0).await;
    let disconnected = alice.delete("?erase=true").await.expect(200);
    assert_eq!(
        (&disconnected["revocation"], &disconnected["erased"]),
        (&json!("done"), &json!(true))
    );
    assert!(
        stage
            .world()
            .oauth()
            .grants()
            .iter()
            .all(|grant| grant.is_revoked || grant.whoop_user_id != person)
    );

    let sql = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'; \
         DROP OWNED BY {role}; DROP ROLE {role}"
    );
    owner.batch_execute(&sql).await.unwrap();
}
