//! Law 8 for stored tokens: the token table contains no readable token.

use secrecy::{ExposeSecret, SecretString};
use whoop_storage::{
    StorageError,
    seal::{SealError, TokenKeys},
    table::tokens::{self, OAuthTokens},
};

use crate::test_env::{TestEnv, at, connect, now};

const ACCESS: &str = "an-access-token-that-nobody-may-read";
const REFRESH: &str = "a-refresh-token-that-nobody-may-read";

fn keys(text: &str) -> TokenKeys {
    TokenKeys::parse(&SecretString::from(text)).unwrap()
}

fn first_key() -> TokenKeys {
    keys("one:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")
}

fn pair() -> OAuthTokens {
    OAuthTokens {
        access_token: SecretString::from(ACCESS),
        refresh_token: Some(SecretString::from(REFRESH)),
        scope: "offline read:sleep".to_owned(),
        expires_at: at("2026-06-01T13:00:00Z"),
    }
}

#[tokio::test]
async fn a_dump_of_the_table_contains_no_token_in_any_encoding() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    tokens::upsert(&mut conn, &first_key(), &member, &pair(), now())
        .await
        .unwrap();

    let dump = env
        .value(
            "SELECT to_jsonb(t)::text || encode(t.sealed, 'escape') || encode(t.sealed, 'base64')
             FROM whoop_tokens t",
        )
        .await
        .unwrap();

    for secret in [ACCESS, REFRESH, "token", "nobody"] {
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!dump.contains(secret), "{secret} can be read");
        assert!(!dump.contains(&hex), "{secret} can be read as hex");
    }
    // Values that are not secret remain readable for the operator.
    assert!(dump.contains("offline read:sleep") && dump.contains("\"one\""));
}

#[tokio::test]
async fn sealed_tokens_can_be_opened_and_a_refresh_replaces_them() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    let both = keys(
        "two:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=,\
         one:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
    );
    tokens::upsert(&mut conn, &first_key(), &member, &pair(), now())
        .await
        .unwrap();

    let read = tokens::find(&mut conn, &both, &member)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read.access_token.expose_secret(), ACCESS);
    assert_eq!(read.refresh_token.unwrap().expose_secret(), REFRESH);
    assert_eq!(
        (read.scope, read.expires_at),
        (pair().scope, pair().expires_at)
    );

    let refreshed = OAuthTokens {
        access_token: SecretString::from("fresh"),
        refresh_token: None,
        ..pair()
    };
    tokens::upsert(&mut conn, &both, &member, &refreshed, now())
        .await
        .unwrap();

    let read = tokens::find(&mut conn, &both, &member)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(read.access_token.expose_secret(), "fresh");
    assert!(read.refresh_token.is_none());
    let key = env.value("SELECT key_id FROM whoop_tokens").await;
    assert_eq!(key.as_deref(), Some("two"));
}

#[tokio::test]
async fn sealed_tokens_moved_to_another_members_row_cannot_be_opened() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let mara = connect(&mut conn, "mara").await;
    let noa = connect(&mut conn, "noa").await;
    tokens::upsert(&mut conn, &first_key(), &mara, &pair(), now())
        .await
        .unwrap();

    env.execute("UPDATE whoop_tokens SET user_id = 'noa'").await;

    let opened = tokens::find(&mut conn, &first_key(), &noa).await;
    assert!(matches!(
        opened,
        Err(StorageError::Seal(SealError::DoesNotOpen))
    ));
    assert!(
        tokens::find(&mut conn, &first_key(), &mara)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn the_same_tokens_are_sealed_differently_each_time() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    for name in ["mara", "noa", "mara"] {
        let member = connect(&mut conn, name).await;
        tokens::upsert(&mut conn, &first_key(), &member, &pair(), now())
            .await
            .unwrap();
    }

    let different = env
        .value("SELECT count(DISTINCT sealed) FROM whoop_tokens")
        .await;
    assert_eq!(different.as_deref(), Some("2"));
}

#[tokio::test]
async fn tokens_are_deleted_with_their_member_and_never_printed() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "mara").await;
    tokens::upsert(&mut conn, &first_key(), &member, &pair(), now())
        .await
        .unwrap();
    let printed = format!("{:?}", tokens::find(&mut conn, &first_key(), &member).await);
    assert!(!printed.contains("nobody"), "{printed}");

    let deleted = whoop_storage::erase::erase(
        &mut conn,
        &member,
        "erased:00112233445566778899aabbccddeeff",
    )
    .await;

    assert_eq!(deleted.unwrap(), 2, "the member and the tokens");

    let remaining = env.value("SELECT count(*) FROM whoop_tokens").await;
    assert_eq!(remaining.as_deref(), Some("0"));
}
