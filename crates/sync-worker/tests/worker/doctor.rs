//! `doctor` and `status`, with a healthy service and with problems.

use serde_json::Value;

use crate::house::{Ended, House, bare_worker, plenty};

async fn after_a_night() -> House {
    let house = House::new(plenty()).await;
    house.connect("ann", 0).await;
    house
        .worker(&["run", "--slot=night", "--user=ann"])
        .await
        .expect_code(0);
    house
}

fn check(ended: &Ended, name: &str) -> Value {
    let report = ended.json();
    let checks = report["checks"].as_array().unwrap();
    let found = checks.iter().find(|one| one["check"] == name);
    found
        .unwrap_or_else(|| panic!("no {name}: {report}"))
        .clone()
}

#[tokio::test]
async fn a_healthy_service_has_nothing_to_do() {
    let house = after_a_night().await;
    house
        .execute(
            "INSERT INTO whoop_webhook_event (trace_id, event_type, record_id, whoop_user_id, state, \
                 signed_at, received_at, due_at, finished_at) \
             VALUES ('t', 'sleep.updated', 's', 1, 'done', now(), now(), now(), now())",
        )
        .await;

    let ended = house.worker(&["doctor", "--json"]).await;

    ended.expect_code(0);
    for one in ended.json()["checks"].as_array().unwrap() {
        assert_eq!(one["state"], "ok", "{one}");
        assert!(one["what_to_do"].is_null(), "{one}");
    }
    for name in [
        "settings",
        "database",
        "keys",
        "quota",
        "WHOOP",
        "clock of WHOOP",
        "WHOOP app",
        "members",
        "webhooks",
        "runs",
    ] {
        check(&ended, name);
    }
}

#[tokio::test]
async fn each_problem_is_named_with_what_to_do_about_it() {
    let house = after_a_night().await;
    let other_key = "k9:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    house
        .execute("UPDATE whoop_sync_log SET sync_status = 'failed', last_error = 'x' WHERE data_type = 'sleep'")
        .await;
    house
        .execute("UPDATE whoop_sync_run SET started_at = started_at - interval '2 days', finished_at = finished_at - interval '2 days'")
        .await;

    let ended = house
        .worker(&[
            "doctor",
            "--json",
            "--token-keys",
            other_key,
            "--whoop-api-url=http://127.0.0.1:9/developer",
        ])
        .await;

    ended.expect_code(3);
    assert_eq!(check(&ended, "keys")["state"], "problem");
    assert_eq!(check(&ended, "WHOOP")["state"], "problem");
    assert_eq!(check(&ended, "runs")["state"], "problem");
    assert_eq!(check(&ended, "syncs")["state"], "warning");
    assert!(
        check(&ended, "WHOOP")["what_to_do"]
            .as_str()
            .unwrap()
            .contains("WHOOP_API_URL")
    );
    assert!(!ended.stdout.contains("AAECAwQ"), "{}", ended.stdout);
}

#[tokio::test]
async fn a_wrong_client_secret_is_found() {
    let house = after_a_night().await;

    let ended = house
        .worker(&[
            "doctor",
            "--json",
            "--whoop-client-secret=not-the-right-secret",
        ])
        .await;

    ended.expect_code(3);
    let app = check(&ended, "WHOOP app");
    assert_eq!(app["state"], "problem");
    let todo = app["what_to_do"].as_str().unwrap();
    assert!(todo.contains("WHOOP_CLIENT_SECRET"), "{todo}");
    assert!(!ended.stdout.contains("not-the-secret"), "{}", ended.stdout);
}

#[tokio::test]
async fn a_connection_that_is_not_verified_is_named_by_the_doctor_and_in_the_log() {
    let house = House::new(plenty()).await;
    // The same server, at an address that is not recognized as loopback.
    let url = house.db.url().replace("@127.0.0.1:", "@127.1:");

    let ended = house
        .worker(&["doctor", "--json", "--database-url", &url])
        .await;
    let local = house.worker(&["doctor", "--json"]).await;

    let connection = check(&ended, "connection to PostgreSQL");
    assert_eq!(connection["state"], "warning", "{connection}");
    let what_to_do = connection["what_to_do"].as_str().unwrap();
    assert!(what_to_do.contains("sslmode=verify-full"), "{what_to_do}");
    ended.expect_in_stderr("connection to PostgreSQL is not verified");
    let connection = check(&local, "connection to PostgreSQL");
    assert_eq!(connection["state"], "ok", "{connection}");
    assert!(!local.stderr.contains("not verified"), "{local:#?}");
}

#[tokio::test]
async fn without_settings_or_a_database_the_doctor_ends_with_1() {
    let bare = bare_worker(&["doctor", "--json"]).await;
    bare.expect_code(1);
    // All problems are reported at once, and not one per attempt.
    let report = bare.json();
    let checks = report["checks"].as_array().unwrap();
    let names = checks.iter().map(|one| {
        assert_eq!(one["check"], "settings");
        assert_eq!(one["state"], "problem");
        one["detail"].as_str().unwrap().split(' ').next().unwrap()
    });
    let names: Vec<_> = names.collect();
    assert_eq!(
        names,
        [
            "DATABASE_URL",
            "TOKEN_KEYS",
            "WHOOP_CLIENT_ID",
            "WHOOP_CLIENT_SECRET",
            "WHOOP_REDIRECT_URL"
        ]
    );

    let house = House::new(plenty()).await;
    let ended = house
        .worker(&[
            "doctor",
            "--json",
            "--database-url=postgres://u:hunter2@127.0.0.1:9/none",
        ])
        .await;
    ended.expect_code(1);
    assert_eq!(check(&ended, "database")["state"], "problem");
    assert!(!ended.stdout.contains("hunter2"), "{}", ended.stdout);
}

#[tokio::test]
async fn status_shows_the_service_on_one_page() {
    let house = after_a_night().await;

    let ended = house.worker(&["status", "--json"]).await;
    ended.expect_code(0);
    let status = ended.json();
    assert_eq!(status["members"]["connected"], 1);
    assert_eq!(status["runs"][0]["slot"], "night");
    assert_eq!(status["runs"][0]["status"], "success");
    let spent: u64 = status["quota"]["spent"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(Value::as_u64)
        .sum();
    let remaining = status["quota"]["left_in_day"].as_u64().unwrap();
    assert!(spent > 0);
    assert_eq!(
        spent + remaining,
        status["quota"]["calls_per_day"].as_u64().unwrap()
    );

    let page = house.worker(&["status"]).await;
    page.expect_code(0);
    assert!(page.stdout.contains("1 connected"), "{}", page.stdout);
}

#[tokio::test]
async fn completions_and_the_manual_contain_every_command() {
    let commands = [
        "run", "backfill", "capacity", "status", "doctor", "users", "keys", "migrate",
    ];
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ended = bare_worker(&["completions", shell]).await;
        ended.expect_code(0);
        for command in commands {
            assert!(ended.stdout.contains(command), "{shell}: {command}");
        }
    }
    let man = bare_worker(&["man"]).await;
    man.expect_code(0);
    for command in commands {
        assert!(man.stdout.contains(command), "{command}");
    }
    bare_worker(&["completions", "csh"])
        .await
        .expect_code(2)
        .expect_in_stderr("bash");
}
