//! The member lease.

use std::time::Duration;

use whoop_storage::lease::{self, Claim};

use crate::stand::{Stand, connect};

/// The statement of a holder's last extension may arrive after the one of its release.
#[tokio::test]
async fn an_extension_after_the_release_takes_no_lease() {
    let stand = Stand::new().await;
    let mut conn = stand.connection().await;
    let member = connect(&mut conn, "member").await;
    let minute = Duration::from_secs(60);
    let free = Claim::Held {
        unidentified_pair: None,
    };
    let claimed = lease::claim(&mut conn, &member, "first", false, minute).await;
    assert_eq!(claimed.unwrap(), free);
    lease::want(&mut conn, &member).await.unwrap();
    let is_wanted = lease::extend(&mut conn, &member, "first", minute).await;
    assert!(is_wanted.unwrap());

    lease::release(&mut conn, &member, "first").await.unwrap();
    lease::extend(&mut conn, &member, "first", minute)
        .await
        .unwrap();

    assert!(!lease::is_held(&mut conn, &member).await.unwrap());
    let claimed = lease::claim(&mut conn, &member, "second", true, minute).await;
    assert_eq!(claimed.unwrap(), free);
}
