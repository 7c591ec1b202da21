use whoop_sim::SimConfig;

use crate::house::{House, bare_worker, ended, plenty};

#[tokio::test]
async fn all_done_is_0_even_if_no_member_is_connected() {
    let house = House::new(plenty()).await;
    let empty = house.worker(&["run", "--slot", "morning"]).await;
    empty.expect_code(0);

    house.connect("alice", 0).await;
    let one = house.worker(&["run", "--slot", "morning"]).await;

    one.expect_code(0).expect_in_stderr("synced=1");
    assert_eq!(one.stdout, "");
    assert_eq!(
        house
            .texts("SELECT concat_ws(' ', slot, trigger, status, members, failures) FROM whoop_sync_run ORDER BY started_at")
            .await,
        ["morning scheduled success 0 0", "morning scheduled success 1 0"]
    );
}

#[tokio::test]
async fn an_unreachable_postgresql_is_1_and_names_the_server_but_not_the_password() {
    // A port that was free a moment ago, so that no server listens on it.
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let url = format!("postgres://whoop:hunter2@127.0.0.1:{port}/whoop");

    let migrate = bare_worker(&["migrate", "--database-url", &url]).await;
    let run = bare_worker(&[
        "run",
        "--slot=night",
        "--json",
        "--database-url",
        &url,
        "--whoop-client-id=app",
        "--whoop-client-secret=hush-hush-app-secret",
        "--whoop-redirect-url=http://127.0.0.1/cb",
        "--token-keys=k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    ])
    .await;

    for ended in [&migrate, &run] {
        ended
            .expect_code(1)
            .expect_in_stderr(&format!("127.0.0.1:{port}"))
            .expect_in_stderr("DATABASE_URL");
        let all = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!all.contains("hunter2"), "{all}");
    }
    assert_eq!(run.json()["exit_code"], 1);
}

#[tokio::test]
async fn a_password_that_is_not_url_encoded_is_not_printed_as_a_host() {
    for password in ["hunter@zq/2", "hunter/2", "hunter#2"] {
        let url = format!("postgres://whoop:{password}@127.0.0.1/whoop");

        let ended = bare_worker(&["migrate", "--database-url", &url]).await;

        ended.expect_code(1).expect_in_stderr("DATABASE_URL");
        assert!(!ended.stderr.contains("zq"), "{ended:#?}");
        assert!(!ended.stderr.contains("hunter"), "{ended:#?}");
    }
}

#[tokio::test]
async fn a_missing_setting_is_1_and_named() {
    let house = House::new(plenty()).await;

    for name in [
        "DATABASE_URL",
        "WHOOP_CLIENT_ID",
        "WHOOP_CLIENT_SECRET",
        "WHOOP_REDIRECT_URL",
        "TOKEN_KEYS",
    ] {
        let mut command = house.command(&["run", "--slot", "night"]);
        command.env_remove(name);
        let ended = crate::house::ended(command.spawn().unwrap()).await;
        ended
            .expect_code(1)
            .expect_in_stderr(&format!("{name} is not set"));
    }
}

#[tokio::test]
async fn a_database_without_the_tables_is_1_and_names_the_remedy() {
    let house = House {
        db: whoop_devkit::TestDb::empty().await,
        sim: whoop_sim::SimServer::start(plenty()).await.unwrap(),
    };

    let ended = house.worker(&["run", "--slot", "night"]).await;

    ended
        .expect_code(1)
        .expect_in_stderr("run `sync-worker migrate` first");
}

#[tokio::test]
async fn a_member_who_revoked_is_3_and_the_other_is_synced() {
    let house = House::new(plenty()).await;
    let alice = house.connect("alice", 0).await;
    let bob = house.connect("bob", 1).await;
    house.world().oauth().revoke_grants(alice);

    let ended = house.worker(&["run", "--slot", "night", "--json"]).await;

    let report = ended.expect_code(3).json();
    assert_eq!(report["exit_code"], 3);
    assert_eq!(
        (&report["synced"], &report["failed"]),
        (&1.into(), &1.into())
    );
    let reports = report["reports"].as_array().unwrap();
    let report_of = |user: &str| reports.iter().find(|one| one["user_id"] == user).unwrap();
    assert_eq!(report_of("alice")["outcome"], "failed");
    assert_eq!(report_of("alice")["reauth_required"], true);
    let error = report_of("alice")["error"].as_str().unwrap();
    assert!(error.contains("connect WHOOP again"), "{error}");
    assert_eq!(report_of("bob")["outcome"], "done");
    house.expect_truth("bob", bob).await;
    assert_eq!(
        house
            .texts("SELECT status FROM whoop_users ORDER BY user_id")
            .await,
        ["reauth_required", "connected"]
    );

    // A member who has to connect again is not synced until then.
    house.world().reset_calls();
    house
        .worker(&["run", "--slot", "morning"])
        .await
        .expect_code(0);
    let calls = house.world().calls();
    assert!(
        calls.iter().all(|call| call.whoop_user_id == Some(bob)),
        "{calls:#?}"
    );
}

#[tokio::test]
async fn an_unknown_member_is_2_and_no_member_is_read() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;

    for command in [&["run", "--slot=night"][..], &["backfill"], &["reconcile"]] {
        let both = ["--user=alice", "--user=alcie"];
        let ended = house.worker(&[command, &both].concat()).await;

        ended
            .expect_code(2)
            .expect_in_stderr("--user alcie: there is no member with this id")
            .expect_in_stderr("users list");
    }
    assert_eq!(house.world().call_count(), 0);
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_4_with_the_reason() {
    let house = House::new(SimConfig {
        people: 3,
        calls_per_day: 12,
        ..plenty()
    })
    .await;
    for (person, user) in ["alice", "bob", "carol"].into_iter().enumerate() {
        house.connect(user, person).await;
    }

    let ended = house
        .worker(&["run", "--slot=night", "--parallel=1", "--json"])
        .await;

    let report = ended.expect_code(4).json();
    assert_eq!(report["exit_code"], 4);
    assert_eq!(report["failed"], 0);
    assert_eq!(report["stopped"], false);
    assert_eq!(report["deferred"], 3);
    for one in report["reports"].as_array().unwrap() {
        assert_eq!(one["outcome"], "deferred");
        let error = one["error"].as_str().unwrap();
        assert!(error.contains("daily limit is used up"), "{error}");
        assert!(one["retry_after_seconds"].as_u64() > Some(3600), "{one}");
    }
    ended.expect_in_stderr("daily limit is used up");
    // The connects used three calls for profiles, so nine remained.
    let calls = house.world().calls();
    let answered = calls.iter().filter(|call| call.status == 200).count();
    assert_eq!(answered, 9, "{calls:#?}");
    assert_eq!(
        house.texts("SELECT status FROM whoop_sync_run").await,
        ["deferred"]
    );
}

#[tokio::test]
async fn a_used_up_day_window_is_4_before_whoop_refuses_a_call() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;
    house.connect("bob", 1).await;
    let run = ["run", "--slot=night", "--parallel=1", "--json"];

    let limited = house.command(&run).env("WHOOP_CALLS_PER_DAY", "20").spawn();
    let put_off = ended(limited.unwrap()).await;

    let report = put_off.expect_code(4).json();
    assert!(report["goes_on_at"].is_string(), "{report}");
    for one in report["reports"].as_array().unwrap() {
        assert!(
            one["retry_after_seconds"].as_u64() > Some(23 * 3600),
            "{one}"
        );
    }
    put_off.expect_in_stderr("WHOOP's daily limit is used up");
    let calls = house.world().calls();
    assert!((10..=20).contains(&calls.len()), "{} calls", calls.len());
    assert!(calls.iter().all(|call| call.status == 200));
}

#[tokio::test]
async fn a_run_makes_at_most_max_calls_and_defers_the_rest_with_4() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;
    house.connect("bob", 1).await;

    let ended = house
        .worker(&["run", "--slot=night", "--max-calls=7", "--json"])
        .await;

    let report = ended.expect_code(4).json();
    assert_eq!(report["calls"], 7);
    assert_eq!(house.world().call_count(), 7);
    // The records of those seven calls are stored and counted.
    let stored = house
        .count(
            "SELECT (SELECT count(*) FROM whoop_cycle) + (SELECT count(*) FROM whoop_recovery)
                     + (SELECT count(*) FROM whoop_sleep) + (SELECT count(*) FROM whoop_workout)",
        )
        .await;
    assert_eq!(report["inserted"], stored);
    assert!(stored > 0);
    // No failure is reported, neither in the sync log nor by the doctor.
    let failed = "SELECT count(*) FROM whoop_sync_log WHERE sync_status IN ('failed', 'running')";
    assert_eq!(house.count(failed).await, 0);
    assert!(!ended.stderr.contains("sync failed"), "{ended:#?}");
}

#[tokio::test]
async fn a_failure_beside_deferred_work_is_3() {
    let house = House::new(plenty()).await;
    let alice = house.connect("alice", 0).await;
    house.connect("bob", 1).await;
    house.world().oauth().revoke_grants(alice);

    let ended = house
        .worker(&[
            "run",
            "--slot=night",
            "--parallel=1",
            "--max-calls=9",
            "--json",
        ])
        .await;

    let report = ended.expect_code(3).json();
    assert_eq!(
        (&report["failed"], &report["deferred"]),
        (&1.into(), &1.into())
    );
}
