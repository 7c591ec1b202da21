//! Service keys in the database: they take effect and are revoked immediately, and they give no
//! access beyond their scopes.

use chrono::TimeDelta;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use whoop_devkit::TestDb;
use whoop_storage::{
    Database, DatabaseConfig, PoolerMode,
    service_key::{self, Scope},
    table::service_key::{self as keys, NewKey},
};

use crate::harness::{Answer, Member, SERVICE_KEY, Stage, documented, free_address, until};

async fn database(stage: &Stage) -> Database {
    Database::new(&DatabaseConfig {
        url: SecretString::from(stage.db.url()),
        pool_size: 2,
        pooler: PoolerMode::Transaction,
    })
    .unwrap()
}

/// Creates a service key as `sync-worker service-keys create` does, and returns the key.
async fn create(stage: &Stage, name: &str, scopes: &[Scope], days: Option<i64>) -> String {
    let (key, digest) = service_key::generate().unwrap();
    let database = database(stage).await;
    let mut conn = database.get().await.unwrap();
    let new = NewKey {
        name: name.parse().unwrap(),
        digest,
        scopes: scopes.iter().copied().collect(),
        created_at: stage.clock_now(),
        expires_at: days.map(|days| stage.clock_now() + TimeDelta::days(days)),
    };
    assert!(keys::insert(&mut conn, &new).await.unwrap());
    key.expose_secret().to_owned()
}

async fn revoke(stage: &Stage, name: &str) {
    let database = database(stage).await;
    let mut conn = database.get().await.unwrap();
    let name = name.parse().unwrap();
    assert!(
        keys::revoke(&mut conn, &name, stage.clock_now())
            .await
            .unwrap()
    );
}

fn holder(alice: &Member, key: &str) -> Member {
    Member {
        token: key.to_owned(),
        ..alice.clone()
    }
}

#[tokio::test]
async fn a_new_key_and_its_revocation_take_effect_immediately_in_every_process() {
    let (stage, alice) = Stage::with_member().await;
    let replica = stage.replica(&[]);
    let key = create(&stage, "backend", &[Scope::Read], None).await;
    let everywhere = [holder(&alice, &key), holder(&alice, &key).at(&replica)];

    for one in &everywhere {
        one.day("").await;
    }
    revoke(&stage, "backend").await;

    for one in &everywhere {
        let refused = one.get("daily-data", "").await;
        refused.assert_problem(401, "revoked-key");
        assert!(refused.text.contains("backend"), "{}", refused.text);
    }
}

#[tokio::test]
async fn a_key_is_refused_from_the_moment_it_expires() {
    let (stage, alice) = Stage::with_member().await;
    let key = create(&stage, "backend", &[Scope::Read], Some(1)).await;
    let service = holder(&alice, &key);
    service.day("?refresh=never").await;

    stage.advance(TimeDelta::days(1));

    let refused = service.get("daily-data", "?refresh=never").await;
    refused.assert_problem(401, "expired-key");
}

#[tokio::test]
async fn a_key_is_refused_outside_its_scopes_with_the_missing_scope() {
    let (stage, alice) = Stage::with_member().await;
    let document = serde_json::to_value(whoop_api::openapi_document()).unwrap();

    for scope in Scope::ALL {
        let key = create(&stage, scope.as_str(), &[scope], None).await;
        for route in documented() {
            let method = route.method.as_str().to_lowercase();
            let security = &document["paths"][route.path.as_str()][method.as_str()]["security"];
            let ways = security.as_array().unwrap();
            let Some(needed) = ways.iter().find_map(|way| way.get("serviceKey")) else {
                continue;
            };
            let needed = needed[0].as_str().unwrap();
            if needed == scope.as_str() {
                continue;
            }
            let ask = stage
                .client
                .ask(route.method.clone(), &route.of_member("alice"));
            let refused = ask.with_token(&key).send().await;
            refused.assert_problem(403, "insufficient-scope");
            assert!(
                refused.text.contains(&format!("`{needed}`")),
                "{}",
                refused.text
            );
        }
    }
    // The refused requests had no effect.
    assert_eq!(
        alice.day("?refresh=never").await["meta"]["connection"],
        "connected"
    );
}

#[tokio::test]
async fn a_forced_read_of_a_day_needs_the_scope_sync() {
    let (stage, alice) = Stage::with_member().await;
    let reads = create(&stage, "reads", &[Scope::Read], None).await;
    let both = create(&stage, "both", &[Scope::Read, Scope::Sync], None).await;

    let refused = holder(&alice, &reads)
        .get("daily-data", "?refresh=force")
        .await;
    refused.assert_problem(403, "insufficient-scope");
    assert!(refused.text.contains("`sync`"), "{}", refused.text);

    let day = holder(&alice, &both).day("?refresh=force").await;
    assert_eq!(day["meta"]["sync"], "done");
    holder(&alice, &both)
        .post("sync", &json!({}))
        .await
        .expect(200);
}

#[tokio::test]
async fn unknown_and_malformed_keys_have_different_errors() {
    let (_stage, alice) = Stage::with_member().await;
    let (unknown, _) = service_key::generate().unwrap();

    let refused = holder(&alice, unknown.expose_secret())
        .get("daily-data", "")
        .await;
    refused.assert_problem(401, "unknown-key");
    for typo in ["wsk_", "wsk_AAAA", &format!("{}A", unknown.expose_secret())] {
        let refused = holder(&alice, typo).get("daily-data", "").await;
        refused.assert_problem(401, "invalid-token");
    }
}

#[tokio::test]
async fn a_malformed_key_causes_no_query_and_a_well_formed_one_needs_the_database() {
    let nowhere = free_address();
    let url = format!("postgres://nobody:hush@{nowhere}/whoop?sslmode=disable");
    let stage = Stage::at(&url, TestDb::new().await, crate::harness::two_months()).await;
    let alice = stage.member("alice");
    let (real, _) = service_key::generate().unwrap();

    let refused = holder(&alice, "wsk_made-up").get("daily-data", "").await;
    refused.assert_problem(401, "invalid-token");
    let away = holder(&alice, real.expose_secret())
        .get("daily-data", "")
        .await;
    away.assert_problem(503, "database-unavailable");
}

#[tokio::test]
async fn the_last_use_is_recorded_once_a_minute() {
    let (stage, alice) = Stage::with_member().await;
    let key = create(&stage, "backend", &[Scope::Read], None).await;
    let service = holder(&alice, &key);
    let last_used = async || {
        stage
            .text("SELECT coalesce(last_used_at::text, '') FROM whoop_service_key")
            .await
    };
    let used_at = |at: chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%d %H:%M:%S+00").to_string();
    let began = stage.clock_now();

    service.day("?refresh=never").await;
    until("the last use is recorded", async || {
        last_used().await == used_at(began)
    })
    .await;
    stage.advance(TimeDelta::seconds(59));
    service.day("?refresh=never").await;
    assert_eq!(last_used().await, used_at(began));
    stage.advance(TimeDelta::seconds(1));
    service.day("?refresh=never").await;
    let later = began + TimeDelta::minutes(1);
    until("the next use is recorded", async || {
        last_used().await == used_at(later)
    })
    .await;
}

#[tokio::test]
async fn requests_are_counted_by_the_name_of_the_key_and_their_outcome() {
    let (stage, alice) = Stage::with_member().await;
    let key = create(&stage, "backend", &[Scope::Read], None).await;
    let service = holder(&alice, &key);
    service.day("").await;
    service.post("sync", &json!({})).await.assert_status(403);
    service
        .get("daily-data", "?date=nonsense")
        .await
        .assert_status(400);
    stage.service_for("alice").day("").await;
    revoke(&stage, "backend").await;
    service.get("daily-data", "").await.assert_status(401);
    let (unknown, _) = service_key::generate().unwrap();
    holder(&alice, unknown.expose_secret())
        .get("daily-data", "")
        .await;

    let metrics = stage.client.get("/metrics").send().await.text;

    for (name, outcome) in [
        ("backend", "answered"),
        ("backend", "insufficient_scope"),
        ("backend", "refused"),
        ("backend", "revoked"),
        ("settings-1", "answered"),
    ] {
        let line =
            format!("whoop_service_key_requests_total{{key=\"{name}\",outcome=\"{outcome}\"}} 1");
        assert!(metrics.contains(&line), "no {line} in {metrics}");
    }
    let lines = metrics.matches("whoop_service_key_requests_total{").count();
    assert_eq!(lines, 5, "{metrics}");
    assert!(metrics.contains("whoop_audit_dropped_total 0"), "{metrics}");
}

#[tokio::test]
async fn a_key_in_the_settings_has_every_scope() {
    let (stage, _alice) = Stage::with_member().await;

    let ask = stage.client.get("/api/v1/whoop/admin/status");
    ask.with_token(SERVICE_KEY).send().await.expect(200);
    let service = stage.service_for("alice");
    service.day("?refresh=force").await;
    service.delete("?erase=true").await.expect(200);
}

async fn audited(stage: &Stage) -> Vec<Value> {
    let sql = "SELECT coalesce(json_agg(a ORDER BY id), '[]')::text FROM whoop_audit a";
    serde_json::from_str(&stage.text(sql).await).unwrap()
}

/// Returns the rows of the audit trail about one caller: action, member and detail.
fn rows_of(rows: &[Value], caller: &str) -> Vec<(String, Value, Value)> {
    rows.iter()
        .filter(|row| row["caller"] == caller)
        .map(|row| {
            let action = row["action"].as_str().unwrap().to_owned();
            (action, row["user_id"].clone(), row["detail"].clone())
        })
        .collect()
}

fn request_id(answer: &Answer) -> &str {
    answer.header("x-request-id").unwrap()
}

#[tokio::test]
async fn every_access_by_a_service_key_is_audited_and_no_read_by_a_member() {
    let (stage, alice) = Stage::with_member().await;
    let key = create(&stage, "backend", &Scope::ALL, None).await;
    let service = holder(&alice, &key);
    alice.day("").await;

    let day = service.get("daily-data", "").await;
    service
        .get("records/sleep", "?limit=nonsense")
        .await
        .assert_status(400);
    let synced = service.post("sync", &json!({})).await;
    let ask = stage.client.get("/api/v1/whoop/admin/status");
    ask.with_token(&key).send().await.expect(200);
    let ask = stage
        .client
        .ask(Method::DELETE, "/api/v1/whoop/connection/nobody");
    ask.with_token(&key).send().await.assert_status(404);

    until("all five rows have been written", async || {
        rows_of(&audited(&stage).await, "key:backend").len() == 5
    })
    .await;
    let rows = audited(&stage).await;
    let mut caller_rows = rows_of(&rows, "key:backend");
    caller_rows.sort_by_key(|row| row.2.to_string());
    let alice_id = json!("alice");
    assert_eq!(
        caller_rows,
        [
            (
                "disconnect",
                json!("nobody"),
                "DELETE connection/{user_id} 404"
            ),
            ("operate", Value::Null, "GET admin/status 200"),
            ("read", alice_id.clone(), "GET daily-data/{user_id} 200"),
            (
                "read",
                alice_id.clone(),
                "GET records/{data_type}/{user_id} 400"
            ),
            ("sync", alice_id, "POST sync/{user_id} 200"),
        ]
        .map(|(action, member, detail)| (action.to_owned(), member, json!(detail)))
    );
    for answer in [&day, &synced] {
        let is_there = rows
            .iter()
            .any(|row| row["request_id"] == request_id(answer));
        assert!(is_there, "{rows:#?}");
    }
    let by_members = rows_of(&rows, "member");
    assert_eq!(
        by_members,
        [("connect".to_owned(), json!("alice"), json!("begun"))]
    );
    assert_eq!(
        rows_of(&rows, "whoop"),
        [("connect".to_owned(), json!("alice"), json!("completed"))]
    );
}

#[tokio::test]
async fn changes_are_audited_before_the_response() {
    let (stage, alice) = Stage::with_member().await;
    let exported = alice.get("export", "").await;
    assert!(
        exported
            .text
            .lines()
            .any(|line| line.contains("\"type\":\"audit\"") && line.contains("\"export\"")),
        "the export does not show itself"
    );
    let count = async || rows_of(&audited(&stage).await, "member").len();
    assert_eq!(count().await, 2);

    alice.delete("").await.expect(200);
    assert_eq!(count().await, 3);
    let service = stage.service_for("alice");
    service.post("connect", &json!({})).await.expect(200);
    let rows = audited(&stage).await;
    assert_eq!(
        rows_of(&rows, "key:settings-1"),
        [("connect".to_owned(), json!("alice"), json!("begun"))]
    );
}

#[tokio::test]
async fn an_erasure_leaves_a_pseudonym_and_shows_who_erased() {
    let (stage, alice) = Stage::with_member().await;
    let service = stage.service_for("alice");

    let disconnected = service.delete("?erase=true").await.expect(200);

    let rows = audited(&stage).await;
    let mut caller_rows: Vec<(String, Value)> = Vec::new();
    for row in &rows {
        let member = row["user_id"].as_str().unwrap();
        assert!(member.starts_with("erased:") && member.len() == 39, "{row}");
        caller_rows.push((
            row["caller"].as_str().unwrap().to_owned(),
            row["action"].clone(),
        ));
    }
    assert_eq!(
        caller_rows,
        [
            ("member", "connect"),
            ("whoop", "connect"),
            ("key:settings-1", "erase"),
        ]
        .map(|(caller, action)| (caller.to_owned(), json!(action)))
    );
    let receipt = disconnected["receipt"]["id"].as_str().unwrap();
    assert_eq!(rows[2]["detail"], format!("receipt {receipt}"));
    assert!(stage.rows().await.tables_with(&alice.user_id).is_empty());
}

#[tokio::test]
async fn a_stored_day_costs_a_service_key_one_statement_more_than_a_member() {
    use crate::harness::{RunningApi, simulator};

    let db = TestDb::new().await;
    let sim = simulator().await;
    let api = RunningApi::start(db.url(), &sim, "info,whoop_storage::wire=trace").await;
    let alice = Member::new(&api.client, "alice");
    let consent = alice.begin(&json!({})).await;
    let callback = consent.given_by(&api.client, sim.world().people()[0]).await;
    callback.follow(&api.client).await.assert_status(200);
    alice.is_read().await;
    let database = Database::new(&DatabaseConfig {
        url: SecretString::from(db.url()),
        pool_size: 1,
        pooler: PoolerMode::Transaction,
    })
    .unwrap();
    let (key, digest) = service_key::generate().unwrap();
    let new = NewKey {
        name: "backend".parse().unwrap(),
        digest,
        scopes: [Scope::Read].into_iter().collect(),
        created_at: whoop_core::Clock::now(&whoop_core::SystemClock),
        expires_at: None,
    };
    let mut conn = database.get().await.unwrap();
    keys::insert(&mut conn, &new).await.unwrap();
    let date = alice.day("").await["date"].as_str().unwrap().to_owned();
    let rest = format!("?date={date}&refresh=never");
    let service = holder(&alice, key.expose_secret());

    for (caller, id, expected) in [(&alice, "by-a-member", 0), (&service, "by-a-key", 1)] {
        let path = format!("{}{rest}", alice.path("daily-data"));
        let ask = alice.client.get(&path).with_token(&caller.token);
        let ask = ask.with_header("x-request-id", id);
        ask.send().await.expect(200);
        until("the request is logged", async || {
            api.log_so_far()
                .lines()
                .any(|line| line.contains(id) && line.contains("answered"))
        })
        .await;
        let log = api.log_so_far();
        let statements = log
            .lines()
            .filter(|line| line.contains(id) && line.contains("executing statement"))
            .filter(|line| !line.contains("UPDATE") && !line.contains("INSERT"));
        let statements: Vec<&str> = statements.collect();
        let of_keys = statements.iter().filter(|one| one.contains("service_key"));
        assert_eq!(of_keys.count(), expected, "{statements:#?}");
        assert_eq!(statements.len(), 1 + expected, "{statements:#?}");
    }
    let log = api.log_so_far();
    for (id, caller) in [
        ("by-a-member", "caller=member"),
        ("by-a-key", "caller=key:backend"),
    ] {
        let line = log
            .lines()
            .find(|line| line.contains(id) && line.contains("answered"))
            .unwrap();
        assert!(line.contains(caller), "{line}");
        let (_, member) = line.split_once(" member=").unwrap();
        let digits = member.chars().take_while(char::is_ascii_hexdigit).count();
        assert_eq!(digits, 16, "{line}");
        assert!(!line.contains("alice"), "{line}");
    }
}
