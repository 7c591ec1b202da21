use whoop_devkit::TestDb;

use crate::house::bare_worker;

#[tokio::test]
async fn migrate_lists_the_applied_migrations_and_then_has_nothing_to_do() {
    let db = TestDb::empty().await;

    let first = bare_worker(&["migrate", "--database-url", db.url()]).await;
    let second = bare_worker(&["migrate", "--database-url", db.url()]).await;

    first.expect_code(0);
    let lines: Vec<&str> = first.stdout.lines().collect();
    assert!(lines.len() >= 6, "{first:#?}");
    assert!(
        lines.iter().all(|line| line.starts_with("applied ")),
        "{first:#?}"
    );
    second.expect_code(0);
    assert!(second.stdout.starts_with("nothing to do"), "{second:#?}");
}

#[tokio::test]
async fn nothing_is_migrated_if_the_serving_role_does_not_exist() {
    let db = TestDb::empty().await;
    let url = db.url();

    let refused = bare_worker(&[
        "migrate",
        "--serving-role=missing_role",
        "--database-url",
        url,
    ])
    .await;

    refused.expect_code(1);
    assert!(refused.stderr.contains("missing_role"), "{refused:#?}");
    let tables = "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'whoop%'";
    let found = db.client().await.query_one(tables, &[]).await.unwrap();
    assert_eq!(found.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn migrate_lists_the_renamed_objects_of_the_legacy_service() {
    let db = TestDb::empty().await;
    db.client()
        .await
        .batch_execute("CREATE TABLE whoop_sleep (id UUID PRIMARY KEY, note TEXT)")
        .await
        .unwrap();

    let first = bare_worker(&["migrate", "--json", "--database-url", db.url()]).await;
    let second = bare_worker(&["migrate", "--database-url", db.url()]).await;

    let migrated = first.expect_code(0).json();
    assert!(migrated["applied"].as_array().unwrap().len() >= 6);
    let moved = &migrated["set_aside"][0];
    assert_eq!(moved["name"], "whoop_sleep");
    let now = moved["now"].as_str().unwrap();
    let kept = format!("SELECT note FROM {now}");
    assert!(db.client().await.query(&kept, &[]).await.is_ok());
    // Reported until the table is dropped, because the log of a Kubernetes Job with the first
    // report may be gone.
    assert!(
        second.stdout.contains(&format!("whoop_sleep -> {now}")),
        "{second:#?}"
    );
}

#[tokio::test]
async fn concurrent_migrations_apply_each_migration_once() {
    let db = TestDb::empty().await;
    let args = ["migrate", "--json", "--database-url", db.url()];

    let (one, two, three) =
        tokio::join!(bare_worker(&args), bare_worker(&args), bare_worker(&args));

    let applied: usize = [one, two, three]
        .iter()
        .map(|ended| {
            ended.expect_code(0).json()["applied"]
                .as_array()
                .unwrap()
                .len()
        })
        .sum();
    let known = db
        .client()
        .await
        .query_one("SELECT count(*) FROM __diesel_schema_migrations", &[])
        .await
        .unwrap();
    assert_eq!(i64::try_from(applied).unwrap(), known.get::<_, i64>(0));
}
