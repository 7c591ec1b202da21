//! The API while PostgreSQL is unavailable, after it becomes available again, and before it is
//! migrated.

use whoop_devkit::TestDb;

use crate::harness::{Answer, Ask, SERVICE_KEY, Stage, documented, free_address, two_months};

#[track_caller]
fn assert_unavailable(answer: &Answer) {
    answer.assert_problem(503, "database-unavailable");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    // The response must not reveal the address or the credentials of the database.
    for secret in ["127.0.0.1", "hush", "postgres://", "nobody"] {
        assert!(!answer.text.contains(secret), "{}", answer.text);
    }
}

/// Adds the body that the route for confirming a connection requires. Without the one-time word,
/// the request is refused before the database is used.
fn with_needed_body(ask: Ask, path: &str) -> Ask {
    match path.ends_with("/confirm") {
        true => ask.with_json(&serde_json::json!({"confirm": "a-word"})),
        false => ask,
    }
}

async fn without() -> Stage {
    let nowhere = free_address();
    let url = format!("postgres://nobody:hush@{nowhere}/whoop?sslmode=disable");
    Stage::at(&url, TestDb::new().await, two_months()).await
}

#[tokio::test]
async fn every_route_of_a_member_answers_503_while_the_database_is_unavailable() {
    let stage = without().await;

    for route in documented() {
        if !route.path.contains("{user_id}") {
            continue;
        }
        let path = route.of_member("alice");
        let ask = with_needed_body(stage.client.ask(route.method.clone(), &path), &path);
        assert_unavailable(&ask.with_token(SERVICE_KEY).send().await);
    }
    let path = "/api/v1/whoop/callback?state=something&code=something";
    assert_unavailable(&stage.client.get(path).send().await);
    let path = "/api/v1/whoop/callback?state=something&error=access_denied";
    assert_unavailable(&stage.client.get(path).send().await);
}

#[tokio::test]
async fn the_process_is_alive_and_not_ready() {
    let stage = without().await;

    stage.client.get("/healthz").send().await.expect(200);
    assert_unavailable(&stage.client.get("/readyz").send().await);
    stage.client.get("/openapi.json").send().await.expect(200);
}

#[tokio::test]
async fn the_metrics_show_that_the_database_is_down_and_no_old_values() {
    let stage = without().await;

    let answer = stage.client.get("/metrics").send().await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(
        answer.text.contains("\nwhoop_database_up 0\n"),
        "{}",
        answer.text
    );
    assert!(!answer.text.contains("whoop_users{"), "{}", answer.text);
}

#[tokio::test]
async fn missing_credentials_and_invalid_input_are_reported_without_the_database() {
    let stage = without().await;

    let path = "/api/v1/whoop/daily-data/alice?date=never";
    let answer = stage.client.get(path).send().await;
    answer.assert_problem(401, "no-credentials");
    let answer = stage.client.get(path).with_token(SERVICE_KEY).send().await;
    answer.assert_invalid("invalid-date", "date");
}

#[tokio::test]
async fn broken_database_connections_are_replaced() {
    let (stage, alice) = Stage::with_member().await;
    alice.day("").await;

    stage
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    crate::harness::until("all database connections are closed", || stage.is_alone()).await;

    crate::harness::until("the API answers again", || async {
        let answer = alice.get("daily-data", "").await;
        if answer.status != 200 {
            assert_unavailable(&answer);
        }
        answer.status == 200
    })
    .await;
}

#[tokio::test]
async fn a_database_without_tables_is_not_ready_and_the_remedy_is_named() {
    let stage = Stage::over(TestDb::empty().await, two_months()).await;

    let answer = stage.client.get("/readyz").send().await;

    answer.assert_problem(503, "not-migrated");
    assert!(
        answer.text.contains("sync-worker migrate"),
        "{}",
        answer.text
    );
    assert!(answer.header("retry-after").is_some());
    stage.client.get("/healthz").send().await.expect(200);
}

#[tokio::test]
async fn every_route_of_a_member_answers_503_without_tables() {
    let stage = Stage::over(TestDb::empty().await, two_months()).await;

    for route in documented() {
        if !route.path.contains("{user_id}") {
            continue;
        }
        let path = route.of_member("alice");
        let ask = with_needed_body(stage.client.ask(route.method.clone(), &path), &path);
        let answer = ask.with_token(SERVICE_KEY).send().await;
        answer.assert_problem(503, "not-migrated");
    }
}

#[tokio::test]
async fn a_database_that_lacks_the_newest_migration_is_not_ready() {
    let stage = Stage::new().await;
    stage.client.get("/readyz").send().await.expect(200);
    stage
        .execute(
            "DELETE FROM __diesel_schema_migrations \
             WHERE version = (SELECT max(version) FROM __diesel_schema_migrations)",
        )
        .await;

    let answer = stage.client.get("/readyz").send().await;

    answer.assert_problem(503, "not-migrated");
}
