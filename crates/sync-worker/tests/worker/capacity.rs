use crate::house::bare_worker;

#[tokio::test]
async fn capacity_needs_neither_a_database_nor_whoop_and_repeats_for_the_same_seed() {
    let args = [
        "capacity",
        "--users=40",
        "--active-share=0.5",
        "--days=3",
        "--webhooks=on",
        "--json",
    ];

    let once = bare_worker(&args).await;
    let again = bare_worker(&args).await;

    once.expect_code(0);
    assert_eq!(once.stdout, again.stdout);
    let report = once.json();
    assert_eq!(report["held"], true);
    assert_eq!(report["by_day"].as_array().unwrap().len(), 3);
    assert!(report["calls"].as_u64().unwrap() > 100);
}

#[tokio::test]
async fn a_quota_that_does_not_suffice_is_1_and_the_missed_goal_is_named() {
    let ended = bare_worker(&[
        "capacity",
        "--users=100",
        "--active-share=1",
        "--days=2",
        "--whoop-calls-per-day=200",
    ])
    .await;

    ended.expect_code(1);
    assert!(ended.stdout.contains("GOAL MISSED"), "{}", ended.stdout);
    assert!(ended.stdout.contains("maximum in any 24 hours: 200"));
}

#[tokio::test]
async fn a_launch_and_an_outage_are_reported() {
    let args = [
        "capacity",
        "--users=20",
        "--days=2",
        "--launch=30",
        "--within=5",
        "--outage=1:9",
    ];

    let text = bare_worker(&args).await;
    let json = bare_worker(&[&args[..], &["--json"]].concat()).await;

    text.expect_code(0);
    assert!(text.stdout.contains("launch: last member read after"));
    assert!(
        text.stdout
            .contains("longest wait of an app request during the launch")
    );
    let report = json.json();
    assert_eq!(report["launch"]["members_read"], 30);
    assert_eq!(report["outages"]["seconds"], 3_600);
}

#[tokio::test]
async fn invalid_shares_and_numbers_are_2() {
    for (args, expected) in [
        (vec!["capacity"], "--users"),
        (vec!["capacity", "--users=0"], "1..=200000"),
        (
            vec!["capacity", "--users=9", "--active-share=25"],
            "0.25 for a quarter",
        ),
        (
            vec!["capacity", "--users=9", "--active-share=nan"],
            "0.25 for a quarter",
        ),
        (vec!["capacity", "--users=9", "--days=0"], "1..=366"),
        (
            vec!["capacity", "--users=9", "--webhooks=perhaps"],
            "on, off",
        ),
        (vec!["capacity", "--users=9", "--launch=5"], "--within"),
        (vec!["capacity", "--users=9", "--within=5"], "--launch"),
        (
            vec!["capacity", "--users=9", "--outage=2:24"],
            "such as 2:18",
        ),
    ] {
        bare_worker(&args)
            .await
            .expect_code(2)
            .expect_in_stderr(expected);
    }
}
