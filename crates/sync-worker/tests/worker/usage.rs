use crate::house::{House, bare_worker, plenty};

#[tokio::test]
async fn wrong_usage_is_2_and_says_what_would_be_right() {
    let long = "x".repeat(129);
    for (args, said) in [
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
            "--from lies after --to",
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
        ended.expect_code(2).expect_in_stderr(said);
        assert_eq!(ended.stdout, "", "{args:?}");
    }
}

#[tokio::test]
async fn help_names_every_variable_and_only_commands_that_exist() {
    let all = bare_worker(&["--help"]).await;
    all.expect_code(0);
    for command in ["migrate", "run", "backfill", "reconcile", "users", "keys"] {
        assert!(all.stdout.contains(command), "{}", all.stdout);
    }

    let run = bare_worker(&["run", "--help"]).await;
    run.expect_code(0);
    for variable in [
        "DATABASE_URL",
        "DATABASE_POOL_SIZE",
        "WHOOP_CLIENT_ID",
        "WHOOP_CLIENT_SECRET",
        "WHOOP_REDIRECT_URL",
        "WHOOP_API_URL",
        "WHOOP_OAUTH_URL",
        "TOKEN_KEYS",
        "RETENTION_DAYS",
        "LOG_FORMAT",
        "RUST_LOG",
    ] {
        assert!(
            run.stdout.contains(&format!("[env: {variable}")),
            "{variable}: {}",
            run.stdout
        );
    }
}

#[tokio::test]
async fn help_shows_no_secret_of_the_environment() {
    let house = House::new(plenty()).await;
    let mut command = house.command(&["run", "--help"]);
    command
        .env("DATABASE_URL", "postgres://whoop:hunter2@db.example/whoop")
        .env("WHOOP_CLIENT_SECRET", "hunter2")
        .env("TOKEN_KEYS", "hunter2");

    let ended = crate::house::ended(command.spawn().unwrap()).await;

    ended.expect_code(0);
    assert!(!ended.stdout.contains("hunter2"), "{}", ended.stdout);
}

#[tokio::test]
async fn a_log_filter_that_cannot_be_read_is_1_and_named() {
    let ended = bare_worker(&["migrate", "--rust-log", "whoop=loud"]).await;

    ended.expect_code(1).expect_in_stderr("RUST_LOG");
}
