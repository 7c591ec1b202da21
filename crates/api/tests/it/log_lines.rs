//! Log lines and responses of the real program: they contain no secret, even if all logging is
//! enabled.

use base64::{Engine, engine::general_purpose::STANDARD};
use rustix::process::Signal;
use serde_json::json;
use whoop_devkit::TestDb;
use whoop_sim::Fault;

use crate::harness::{
    APP_SECRET, JWT_SECRET, Member, Rows, RunningApi, SERVICE_KEY, Stage, TOKEN_KEY, Token,
    simulator, until,
};

#[tokio::test]
async fn no_secret_is_logged_at_trace_level_sent_or_stored() {
    let db = TestDb::new().await;
    let sim = simulator().await;
    let api = RunningApi::start(db.url(), &sim, "trace").await;
    let world = sim.world();
    let mut secrets: Vec<(&str, String)> = vec![
        ("the app's secret", APP_SECRET.to_owned()),
        ("the members' secret", JWT_SECRET.to_owned()),
        ("the service key", SERVICE_KEY.to_owned()),
        ("the key of the tokens", TOKEN_KEY.to_owned()),
    ];
    let database: url::Url = db.url().parse().unwrap();
    if let Some(password) = database.password() {
        secrets.push(("the database's password", password.to_owned()));
    }
    let note_tokens = |secrets: &mut Vec<(&str, String)>| {
        for grant in world.oauth().grants() {
            secrets.push(("an access token", grant.access_token));
            secrets.extend(grant.refresh_token.map(|token| ("a refresh token", token)));
        }
    };

    // The member connects WHOOP, with a return address that contains a text of the member.
    let alice = Member::new(&api.client, "alice-whose-name-is-hers");
    secrets.push(("the member's JWT", alice.token.clone()));
    let body = json!({"return_to": "hos://whoop/words-of-the-address"});
    let consent = alice.begin(&body).await;
    secrets.push(("the state", consent.state()));
    let callback = consent.given_by(&api.client, world.people()[0]).await;
    secrets.push(("the code", callback.code()));
    assert_eq!(callback.follow(&api.client).await.status, 303);
    alice.is_read().await;
    note_tokens(&mut secrets);

    // The following requests are invalid: the same state again, an invented state, an expired
    // token.
    let again = callback.follow(&api.client).await;
    assert!(again.location().as_str().ends_with("error=used_state"));
    let invented = "/api/v1/whoop/callback?state=made-up-state-text&code=made-up-code-text";
    api.client.get(invented).send().await;
    let twice = "/api/v1/whoop/callback?state=made-up-state-text&state=b&code=made-up-code-text";
    api.client.get(twice).send().await;
    secrets.push(("a made-up state", "made-up-state-text".to_owned()));
    secrets.push(("a made-up code", "made-up-code-text".to_owned()));
    let expired = Token::of("alice").with_time("exp", -3600).text();
    let path = alice.path("daily-data");
    api.client.get(&path).with_token(&expired).send().await;
    secrets.push(("an expired JWT", expired));

    // The following requests cause a token refresh, and read a day, start a sync and read the
    // metrics.
    world.oauth().expire_access_tokens();
    Stage::two_minutes_pass_since_reads(&db).await;
    let day = alice.day("?refresh=force").await;
    assert_eq!(day["meta"]["sync"], "done");
    assert_eq!(world.oauth().refresh_count(world.people()[0]), 1);
    note_tokens(&mut secrets);
    let service = Member {
        token: SERVICE_KEY.to_owned(),
        ..alice.clone()
    };
    Stage::two_minutes_pass_since_reads(&db).await;
    service.post("sync", &json!({})).await.expect(200);
    let metrics = api.client.get("/metrics").send().await;
    assert!(metrics.text.contains("whoop_users"), "{}", metrics.text);
    // WHOOP refuses a token refresh with its own text, and the permission cannot be revoked.
    world.oauth().expire_access_tokens();
    world.add_fault(Fault::status("token", 503));
    Stage::two_minutes_pass_since_reads(&db).await;
    alice.day("?refresh=force").await;
    let kept = Rows::of(&db).await.text();
    let disconnected = alice.delete("").await.expect(200);
    assert_eq!(disconnected["revocation"], "pending");
    let kept_after_disconnect = Rows::of(&db).await.text();
    world.clear_faults();
    alice.delete("?erase=true").await.expect(200);

    let api_answers = api.client.answers();
    api.signal(Signal::TERM);
    let (status, log) = api.end().await;

    assert!(status.success(), "{log}");
    // The log contains these words only if all logging was enabled.
    for word in ["TRACE", "DEBUG", "tokio_postgres", "whoop_client", "actix"] {
        assert!(log.contains(word), "no {word} among {} bytes", log.len());
    }
    assert!(secrets.len() >= 14, "{}", secrets.len());
    let answers = api_answers.join("\n");
    // The searched texts are not empty: each contains a word that it must contain.
    for (text, word) in [
        (&answers, "expired-token"),
        (&answers, "whoop_users"),
        (&kept, "alice-whose-name-is-hers"),
        (&kept_after_disconnect, "k1"),
    ] {
        assert!(text.contains(word), "no {word} among {} bytes", text.len());
    }
    for (what, secret) in &secrets {
        assert!(secret.len() >= 8, "{what}");
        let places = [
            ("the log", &log),
            ("the database", &kept),
            ("the database after disconnecting", &kept_after_disconnect),
            ("an answer", &answers),
        ];
        for (place, text) in places {
            // The state is allowed in a response: the app receives it, because it sends the member
            // to WHOOP with it.
            if (*what, place) == ("the state", "an answer") {
                continue;
            }
            for form in forms(secret) {
                let line = text.lines().find(|line| line.contains(&form));
                assert_eq!(line, None, "{what} is in {place}");
            }
        }
    }
}

#[tokio::test]
async fn a_slow_statement_is_logged_without_its_values() {
    let db = TestDb::new().await;
    let sim = simulator().await;
    let api = RunningApi::start(db.url(), &sim, "warn").await;
    let alice = Member::new(&api.client, "alice-whose-name-is-hers");
    alice.day("?refresh=never").await;
    let mut other = db.client().await;

    let lock = other.transaction().await.unwrap();
    lock.execute("LOCK TABLE whoop_users", &[]).await.unwrap();
    let hold = async {
        // The sleep runs in PostgreSQL. It is longer than the time after which a statement is
        // logged as slow.
        lock.execute("SELECT pg_sleep(0.8)", &[]).await.unwrap();
        lock.commit().await.unwrap();
    };
    let (day, ()) = tokio::join!(alice.day("?refresh=never"), hold);

    assert_eq!(day["meta"]["connection"], "never_connected");
    api.signal(Signal::TERM);
    let (_, log) = api.end().await;
    let line = log
        .lines()
        .find(|line| line.contains("slow statement, or a wait for a lock"))
        .unwrap();
    assert!(
        line.contains("SELECT") && line.contains("timezone_offset"),
        "{line}"
    );
    assert!(!line.contains("alice"), "{line}");
}

/// Returns a secret in the forms in which a text can contain it: unchanged, in hexadecimal, and in
/// Base64.
fn forms(secret: &str) -> [String; 3] {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    [secret.to_owned(), hex, STANDARD.encode(secret)]
}

/// Returns the lines of a log that contain all of these words.
fn lines_with<'a>(log: &'a str, words: &[&str]) -> Vec<&'a str> {
    log.lines()
        .filter(|line| words.iter().all(|word| line.contains(word)))
        .collect()
}

#[tokio::test]
async fn log_lines_of_refused_requests_are_limited_and_counted() {
    const REFUSED: usize = 300;
    let (db, sim) = (TestDb::new().await, simulator().await);
    let api = RunningApi::start(db.url(), &sim, "info").await;
    let refuse = || async {
        for path in ["/api/v1/whoop/daily-data/alice", "/nowhere"] {
            api.client.get(path).send_undescribed().await;
        }
        let forged = api.client.post("/webhooks/whoop").with_json(&json!({}));
        forged.send_undescribed().await.assert_status(401);
    };

    for _ in 0..REFUSED / 3 {
        refuse().await;
    }
    // The next log line that is written contains the number of suppressed lines.
    until("the suppressed lines are counted", || async {
        refuse().await;
        !lines_with(&api.log_so_far(), &["request refused", "suppressed="]).is_empty()
    })
    .await;

    api.signal(Signal::TERM);
    let (_, log) = api.end().await;
    let refused = lines_with(&log, &["request refused"]);
    assert!(refused.len() < REFUSED / 2, "{} lines", refused.len());
    assert!(refused.iter().any(|line| line.contains("no-credentials")));
    let forged = lines_with(&log, &["/webhooks/whoop"]);
    assert!(!forged.is_empty(), "{log}");
    for line in forged {
        assert!(line.contains("bad-signature"), "{line}");
    }
    assert!(lines_with(&log, &["WARN"]).is_empty(), "{log}");
    assert!(lines_with(&log, &["ERROR"]).is_empty(), "{log}");
}

#[tokio::test]
async fn health_checks_and_pages_write_no_log_line() {
    let (db, sim) = (TestDb::new().await, simulator().await);
    let api = RunningApi::start(db.url(), &sim, "info").await;

    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/",
        "/page/health.js",
        "/docs/",
        "/openapi.json",
    ] {
        let answer = api.client.get(path).send_undescribed().await;
        answer.assert_status(200);
    }
    let alice = Member::new(&api.client, "alice");
    alice.get("connection", "").await.assert_status(200);

    api.signal(Signal::TERM);
    let (_, log) = api.end().await;
    let answered = lines_with(&log, &["answered"]);
    assert_eq!(answered.len(), 1, "{log}");
    assert!(answered[0].contains("connection"), "{log}");
}

#[tokio::test]
async fn an_internal_error_writes_one_log_line_with_its_cause() {
    let (db, sim) = (TestDb::new().await, simulator().await);
    let api = RunningApi::start(db.url(), &sim, "info").await;
    let alice = Member::new(&api.client, "alice");
    let sql = db.client().await;
    sql.batch_execute("ALTER TABLE whoop_users RENAME COLUMN status TO gone")
        .await
        .unwrap();

    let ask = api.client.get(&alice.path("connection"));
    let failed = ask.with_token(&alice.token).send_undescribed().await;

    failed.assert_problem(500, "internal");
    let id = failed.header("x-request-id").unwrap();
    api.signal(Signal::TERM);
    let (_, log) = api.end().await;
    let lines = lines_with(&log, &[id]);
    let [line] = lines.as_slice() else {
        panic!("{lines:#?}");
    };
    for word in [
        "ERROR",
        "request failed",
        "status=500",
        "whoop_users.status",
    ] {
        assert!(line.contains(word), "no {word} in {line}");
    }
}
