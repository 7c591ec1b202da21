//! Storage of service keys.

use chrono::TimeDelta;
use secrecy::ExposeSecret;
use whoop_storage::{
    service_key::{self, KeyDigest, Scope},
    table::service_key::{KeyState, NewKey, find, insert, list, note_use, revoke},
};

use crate::test_env::{TestEnv, now};

fn new_key(name: &str) -> (NewKey, String, KeyDigest) {
    let (key, digest) = service_key::generate().unwrap();
    let new = NewKey {
        name: name.parse().unwrap(),
        digest,
        scopes: [Scope::Read].into_iter().collect(),
        created_at: now(),
        expires_at: Some(now() + TimeDelta::days(1)),
    };
    (new, key.expose_secret().to_owned(), digest)
}

#[tokio::test]
async fn a_name_is_free_again_once_its_key_is_revoked() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let (first, _, digest) = new_key("backend");
    let (second, ..) = new_key("backend");

    assert!(insert(&mut conn, &first).await.unwrap());
    assert!(!insert(&mut conn, &second).await.unwrap());
    assert!(revoke(&mut conn, &first.name, now()).await.unwrap());
    assert!(!revoke(&mut conn, &first.name, now()).await.unwrap());
    assert!(insert(&mut conn, &second).await.unwrap());

    let row = find(&mut conn, digest).await.unwrap().unwrap();
    assert_eq!(row.state(now()), KeyState::Revoked);
    assert_eq!(list(&mut conn).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_key_is_active_until_it_expires() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let (key, _, digest) = new_key("backend");
    insert(&mut conn, &key).await.unwrap();

    let row = find(&mut conn, digest).await.unwrap().unwrap();

    let end = now() + TimeDelta::days(1);
    assert_eq!(
        row.state(end - TimeDelta::milliseconds(1)),
        KeyState::Active
    );
    assert_eq!(row.state(end), KeyState::Expired);
    assert!(row.scopes().contains(Scope::Read) && !row.scopes().contains(Scope::Sync));
}

#[tokio::test]
async fn the_key_itself_is_not_stored() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let (key, text, _) = new_key("backend");
    insert(&mut conn, &key).await.unwrap();

    let stored = env
        .value("SELECT string_agg(k::text, '') FROM whoop_service_key k")
        .await
        .unwrap();

    let secret = text.strip_prefix(service_key::PREFIX).unwrap();
    assert!(
        stored.contains("backend") && !stored.contains(secret),
        "{stored}"
    );
}

#[tokio::test]
async fn a_use_is_recorded_once_a_minute() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let (key, _, digest) = new_key("backend");
    insert(&mut conn, &key).await.unwrap();

    for (seconds, recorded) in [(0, 0), (59, 0), (60, 60)] {
        let at = now() + TimeDelta::seconds(seconds);
        note_use(&mut conn, digest, at).await.unwrap();
        let row = find(&mut conn, digest).await.unwrap().unwrap();
        let expected = now() + TimeDelta::seconds(recorded);
        assert_eq!(row.last_used_at, Some(expected), "{seconds}");
    }
}
