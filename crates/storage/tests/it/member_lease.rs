//! The member lease.

use std::time::Duration;

use whoop_storage::member_lease::{self, LeaseClaim};

use crate::test_env::{TestEnv, connect};

/// The statement of a holder's last extension may arrive after that of its release.
#[tokio::test]
async fn an_extension_after_the_release_claims_nothing() {
    let env = TestEnv::new().await;
    let mut conn = env.connection().await;
    let member = connect(&mut conn, "member").await;
    let minute = Duration::from_secs(60);
    let held = LeaseClaim::Held {
        unidentified_pair: None,
    };
    let claimed = member_lease::claim(&mut conn, &member, "first", false, minute).await;
    assert_eq!(claimed.unwrap(), held);
    member_lease::request_release(&mut conn, &member)
        .await
        .unwrap();
    let is_wanted = member_lease::extend(&mut conn, &member, "first", minute).await;
    assert!(is_wanted.unwrap());

    member_lease::release(&mut conn, &member, "first")
        .await
        .unwrap();
    member_lease::extend(&mut conn, &member, "first", minute)
        .await
        .unwrap();

    assert!(!member_lease::is_held(&mut conn, &member).await.unwrap());
    let claimed = member_lease::claim(&mut conn, &member, "second", true, minute).await;
    assert_eq!(claimed.unwrap(), held);
}
