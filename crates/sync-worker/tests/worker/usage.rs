use crate::house::{House, bare_command, bare_worker, ended, plenty};

#[tokio::test]
async fn wrong_usage_ends_with_2_and_names_the_remedy() {
    let long = "x".repeat(129);
    for (args, expected) in [
        (vec!["run"], "--slot"),
        (
            vec!["run", "--slot", "noon"],
            "morning, afternoon, evening, night, auto",
        ),
        (vec!["run", "--slot=night", "--parallel=0"], "1..=256"),
        (vec!["run", "--slot=night", "--parallel=many"], "--parallel"),
        (vec!["run", "--slot=night", "--max-calls=-1"], "-1"),
        (vec!["run", "--slot=night", "--user="], "must not be empty"),
        (vec!["run", "--slot=night", "--user", &long], "at most 128"),
        (
            vec!["run", "--slot=night", "--user", "a\nb"],
            "control characters",
        ),
        (
            vec!["run", "--slot=night", "--data-type=steps"],
            "recovery, sleep, workout or cycle",
        ),
        (
            vec!["run", "--slot=night", "--since=yesterday"],
            "2026-01-31",
        ),
        (
            vec!["run", "--slot=night", "--since=2999-01-01"],
            "in the future",
        ),
        (
            vec![
                "run",
                "--slot=night",
                "--since=2999-01-01T00:00:00Z",
                "--json",
            ],
            "in the future",
        ),
        (
            vec!["run", "--slot=night", "--slot=morning"],
            "cannot be used multiple times",
        ),
        (
            vec!["reconcile", "--from=2026-02-02", "--to=2026-02-01"],
            "--from is after --to",
        ),
        (
            vec![
                "reconcile",
                "--from=2026-02-01T09:00:00Z",
                "--to=2026-02-01T08:00:00Z",
            ],
            "give the earlier of the two as --from",
        ),
        (vec!["reconcile", "--from=2999-01-01"], "in the future"),
        (
            vec!["run", "--slot=night", "--no-such-flag"],
            "--no-such-flag",
        ),
        (vec!["no-such-command"], "no-such-command"),
        (vec![], "Usage"),
    ] {
        let ended = bare_worker(&args).await;
        ended.expect_code(2).expect_in_stderr(expected);
        assert_eq!(ended.stdout, "", "{args:?}");
    }
}

#[tokio::test]
async fn help_lists_the_commands_and_help_settings_lists_every_shared_variable() {
    let all = bare_worker(&["--help"]).await;
    all.expect_code(0);
    for command in [
        "migrate",
        "run",
        "backfill",
        "reconcile",
        "users",
        "keys",
        "settings",
    ] {
        assert!(all.stdout.contains(command), "{}", all.stdout);
    }

    let settings = bare_worker(&["help", "settings"]).await;
    settings.expect_code(0);
    for variable in [
        "DATABASE_URL",
        "DATABASE_POOL_SIZE",
        "DATABASE_POOLER",
        "DATABASE_WAIT_SECONDS",
        "WHOOP_CLIENT_ID",
        "WHOOP_CLIENT_SECRET",
        "WHOOP_REDIRECT_URL",
        "WHOOP_API_URL",
        "WHOOP_OAUTH_URL",
        "WHOOP_CALLS_PER_MINUTE",
        "WHOOP_CALLS_PER_DAY",
        "TOKEN_KEYS",
        "RETENTION_DAYS",
        "AUDIT_RETENTION_DAYS",
        "METRICS_FILE",
        "LOG_FORMAT",
        "RUST_LOG",
    ] {
        let line = format!("\n  {variable} ");
        assert_eq!(
            settings.stdout.matches(&line).count(),
            1,
            "{variable}: {}",
            settings.stdout
        );
    }
    for secret in ["DATABASE_URL", "WHOOP_CLIENT_SECRET", "TOKEN_KEYS"] {
        let file = format!("{secret}_FILE]");
        assert!(
            settings.stdout.contains(&file),
            "{file}: {}",
            settings.stdout
        );
    }
    assert_eq!(settings.stdout.matches("(required)").count(), 5);
    let list = bare_worker(&["settings"]).await;
    list.expect_code(0);
    assert!(settings.stdout.contains(list.stdout.trim()), "{list:#?}");

    let run = bare_worker(&["run", "--help"]).await;
    run.expect_code(0);
    for text in [
        "\nExamples:\n",
        "sync-worker run --slot auto\n",
        "--dry-run",
        "sync-worker help settings",
    ] {
        assert!(run.stdout.contains(text), "no {text:?} in {}", run.stdout);
    }
    assert!(!run.stdout.contains("[env: "), "{}", run.stdout);
}

#[tokio::test]
async fn migrate_explains_its_own_setting_on_its_help_page() {
    let migrate = bare_worker(&["migrate", "--help"]).await;

    migrate.expect_code(0);
    assert!(
        migrate.stdout.contains("[env: DATABASE_SERVING_ROLE=]"),
        "{}",
        migrate.stdout
    );
}

#[tokio::test]
async fn help_shows_no_secret_of_the_environment() {
    let house = House::new(plenty()).await;
    for args in [&["run", "--help"], &["help", "settings"]] {
        let mut command = house.command(args);
        command
            .env("DATABASE_URL", "postgres://whoop:hunter2@db.example/whoop")
            .env("WHOOP_CLIENT_SECRET", "hunter2")
            .env("TOKEN_KEYS", "hunter2");

        let ended = ended(command.spawn().unwrap()).await;

        ended.expect_code(0);
        assert!(!ended.stdout.contains("hunter2"), "{}", ended.stdout);
    }
}

#[tokio::test]
async fn an_invalid_log_filter_ends_with_1_and_is_named() {
    for filter in ["whoop=loud", "inof"] {
        let ended = bare_worker(&["migrate", "--rust-log", filter]).await;

        ended.expect_code(1).expect_in_stderr("RUST_LOG");
    }
}

#[tokio::test]
async fn every_command_names_all_missing_settings_at_once() {
    let all = [
        "DATABASE_URL",
        "TOKEN_KEYS",
        "WHOOP_CLIENT_ID",
        "WHOOP_CLIENT_SECRET",
        "WHOOP_REDIRECT_URL",
    ];
    for (args, missing) in [
        (&["run", "--slot=night"][..], &all[..]),
        (&["backfill"], &all),
        (&["reconcile"], &all),
        (&["adopt"], &all),
        (&["webhooks", "drain"], &all),
        (&["users", "retry"], &all),
        (&["users", "disconnect", "alice"], &all),
        (&["users", "erase", "alice", "--yes"], &all),
        (&["keys", "rotate"], &all[..2]),
        (&["migrate"], &all[..1]),
        (&["status"], &all[..1]),
        (&["users", "list"], &all[..1]),
        (&["users", "show", "alice"], &all[..1]),
        (&["webhooks", "list"], &all[..1]),
        (&["webhooks", "replay", "--state=dead"], &all[..1]),
        (&["changes", "restart", "--yes"], &all[..1]),
        (&["service-keys", "list"], &all[..1]),
        (&["service-keys", "revoke", "backend"], &all[..1]),
        (
            &["service-keys", "create", "--name=backend", "--scope=read"],
            &all[..1],
        ),
        (&["audit"], &all[..1]),
    ] {
        let ended = bare_worker(args).await;

        ended.expect_code(1);
        for name in all {
            let is_named = ended.stderr.contains(&format!("{name} is not set"));
            assert_eq!(is_named, missing.contains(&name), "{name}: {ended:#?}");
        }
    }
}

#[tokio::test]
async fn invalid_variables_are_named_at_once_and_only_those_of_the_command() {
    let run = |args: &[&str]| {
        let mut command = bare_command(args);
        command
            .env("DATABASE_POOL_SIZE", "many")
            .env("DATABASE_URL_FILE", "/nowhere/url")
            .env("RETENTION_DAYS", "1")
            .env("WHOOP_CLIENT_SECRET", "hunter2")
            .env("WHOOP_API_URL", "whoop")
            .env("RUST_LOG", "inof");
        ended(command.spawn().unwrap())
    };

    let night = run(&["run", "--slot=night", "--json"]).await;
    let migrate = run(&["migrate"]).await;

    night.expect_code(1);
    assert_eq!(night.json()["exit_code"], 1);
    for name in ["DATABASE_POOL_SIZE", "DATABASE_URL_FILE", "RUST_LOG"] {
        night.expect_in_stderr(name);
        migrate.expect_code(1).expect_in_stderr(name);
    }
    for name in [
        "RETENTION_DAYS",
        "WHOOP_CLIENT_SECRET",
        "WHOOP_API_URL",
        "TOKEN_KEYS is not set",
    ] {
        night.expect_in_stderr(name);
        assert!(!migrate.stderr.contains(name), "{name}: {migrate:#?}");
    }
    assert!(!night.stderr.contains("hunter2"), "{night:#?}");
}

#[tokio::test]
async fn secrets_are_read_from_files_and_empty_variables_count_as_not_set() {
    let house = House::new(plenty()).await;
    house.connect("alice", 0).await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = house.command(&["run", "--slot=night"]);
    let variables: Vec<_> = command
        .as_std()
        .get_envs()
        .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
        .collect();
    for name in ["DATABASE_URL", "WHOOP_CLIENT_SECRET", "TOKEN_KEYS"] {
        let (_, value) = variables
            .iter()
            .find(|(known, _)| known.to_str() == Some(name))
            .unwrap();
        let content = format!("{}\n", value.as_ref().unwrap().to_str().unwrap());
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        command.env_remove(name).env(format!("{name}_FILE"), path);
    }
    for name in ["RETENTION_DAYS", "METRICS_FILE", "LOG_FORMAT", "RUST_LOG"] {
        command.env(name, "");
    }

    let ended = ended(command.spawn().unwrap()).await;

    ended.expect_code(0).expect_in_stderr("synced=1");
}
