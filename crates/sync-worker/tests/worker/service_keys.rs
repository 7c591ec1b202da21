//! `sync-worker service-keys`.

use whoop_storage::service_key;

use crate::house::{Ended, House, plenty};

async fn create(house: &House, more: &[&str]) -> Ended {
    let mut args = vec!["service-keys", "create", "--name=backend"];
    args.extend(more);
    house.worker(&args).await
}

#[tokio::test]
async fn a_key_is_printed_once_listed_without_it_and_revoked() {
    let house = House::new(plenty()).await;

    let created = create(
        &house,
        &["--scope=read,sync", "--expires=2999-12-31", "--json"],
    )
    .await;
    let created = created.expect_code(0).json();
    let key = created["key"].as_str().unwrap();
    assert!(service_key::digest_of(key).is_some(), "{created}");
    assert_eq!(created["scopes"], serde_json::json!(["read", "sync"]));
    assert_eq!(created["expires_at"], "3000-01-01T00:00:00Z");

    let listed = house.worker(&["service-keys", "list", "--json"]).await;
    assert!(!listed.stdout.contains(key), "{listed:#?}");
    let listed = listed.expect_code(0).json();
    let only = &listed["service_keys"][0];
    assert_eq!(
        (&only["name"], &only["state"]),
        (&"backend".into(), &"active".into())
    );
    assert_eq!(only["last_used_at"], serde_json::Value::Null);
    let table = house.worker(&["service-keys", "list"]).await;
    table.expect_code(0);
    assert!(table.stdout.contains("read,sync"), "{table:#?}");

    let again = create(&house, &["--scope=read"]).await;
    again
        .expect_code(1)
        .expect_in_stderr("service-keys revoke backend");
    house
        .worker(&["service-keys", "revoke", "backend"])
        .await
        .expect_code(0);
    let twice = house
        .worker(&["service-keys", "revoke", "backend", "--json"])
        .await;
    assert_eq!(twice.expect_code(1).json()["exit_code"], 1);
    let unknown = house.worker(&["service-keys", "revoke", "nobody"]).await;
    unknown.expect_code(1).expect_in_stderr("service-keys list");

    // The name is free again. In the output for people, standard output has only the key.
    let text = create(&house, &["--scope", "operate"]).await;
    text.expect_code(0).expect_in_stderr("shown only once");
    assert!(
        service_key::digest_of(text.stdout.trim()).is_some(),
        "{text:#?}"
    );
}

#[tokio::test]
async fn an_invalid_key_is_wrong_usage() {
    let house = House::new(plenty()).await;
    let long = format!("--name={}", "x".repeat(65));

    for (args, expected) in [
        (vec!["--name=a"], "--scope"),
        (vec!["--scope=read"], "--name"),
        (vec!["--name=", "--scope=read"], "1 to 64 characters"),
        (vec!["--name=A b", "--scope=read"], "1 to 64 characters"),
        (vec![&long, "--scope=read"], "1 to 64 characters"),
        (vec!["--name=a", "--scope="], "read, sync, erase, operate"),
        (
            vec!["--name=a", "--scope=read,all"],
            "read, sync, erase, operate",
        ),
        (
            vec!["--name=a", "--name=b", "--scope=read"],
            "cannot be used multiple times",
        ),
        (
            vec!["--name=a", "--scope=read", "--expires=2020-01-01"],
            "in the past",
        ),
        (
            vec!["--name=a", "--scope=read", "--expires=soon"],
            "2027-01-31",
        ),
    ] {
        let mut all = vec!["service-keys", "create"];
        all.extend(args.iter());
        let ended = house.worker(&all).await;
        ended.expect_code(2).expect_in_stderr(expected);
        assert_eq!(ended.stdout, "", "{all:?}");
    }
    assert_eq!(
        house.count("SELECT count(*) FROM whoop_service_key").await,
        0
    );
    assert_eq!(house.count("SELECT count(*) FROM whoop_audit").await, 0);
}
