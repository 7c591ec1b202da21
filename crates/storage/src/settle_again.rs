//! Settles the days of all members after an upgrade that changed the rules.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, RunQueryDsl};
use whoop_core::{Clock, SystemClock, UserId};

use crate::{
    Database, StorageError,
    changes::Changes,
    schema::whoop_users,
    settle::{self, RULE},
    table::users,
};

/// Settles the days of all members that older rules settled, one transaction per member. Returns
/// how many members there were. A run that is interrupted is continued by the next.
pub(crate) async fn settle_again(database: &Database) -> Result<u64, StorageError> {
    let mut conn = database.dedicated().await?;
    let outdated: Vec<String> = whoop_users::table
        .filter(whoop_users::days_rule.lt(RULE))
        .order(whoop_users::user_id)
        .select(whoop_users::user_id)
        .load(&mut conn)
        .await?;
    let mut count = 0;
    for user_id in outdated {
        let Ok(user_id) = user_id.parse::<UserId>() else {
            continue;
        };
        let settled = conn
            .transaction(async |conn| {
                users::take_turn(conn, &user_id).await?;
                let mut changes = Changes::default();
                settle::settle_all(conn, &user_id, &mut changes).await?;
                changes.write(conn, &user_id, SystemClock.now()).await?;
                diesel::update(whoop_users::table.find(user_id.as_str()))
                    .set(whoop_users::days_rule.eq(RULE))
                    .execute(conn)
                    .await?;
                Ok(())
            })
            .await;
        match settled {
            Ok(()) => count += 1,
            // Erased meanwhile.
            Err(StorageError::MemberGone(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}
