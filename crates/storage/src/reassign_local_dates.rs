//! Assigns the local dates of members again.
//!
//! This is needed after an upgrade that changed the rules, and after a process of an older version
//! wrote records, because such a process does not follow the new rules.

use diesel::prelude::*;
use diesel_async::{AsyncConnection, RunQueryDsl};
use whoop_core::{Clock, SystemClock, UserId};

use crate::{
    Database, StorageError, change_batch::ChangeBatch, date_assignment, schema::whoop_users,
    table::users,
};

/// Assigns the local dates again for all members that need it. Returns the number of these members.
///
/// Each member has a separate transaction. If a run is interrupted, the next run continues with the
/// remaining members.
///
/// # Errors
///
/// PostgreSQL is unavailable or rejects a query.
pub async fn reassign_local_dates(database: &Database) -> Result<u64, StorageError> {
    let mut conn = database.connect_dedicated().await?;
    let outdated: Vec<String> = whoop_users::table
        .filter(whoop_users::settled_seq.ne(whoop_users::change_seq))
        .order(whoop_users::user_id)
        .select(whoop_users::user_id)
        .load(&mut conn)
        .await?;
    let mut count = 0;
    for user_id in outdated {
        let Ok(user_id) = user_id.parse::<UserId>() else {
            continue;
        };
        let result = conn
            .transaction(async |conn| {
                users::lock_member(conn, &user_id).await?;
                let mut changes = ChangeBatch::default();
                date_assignment::assign_all_local_dates(conn, &user_id, &mut changes).await?;
                changes.write(conn, &user_id, SystemClock.now()).await?;
                diesel::update(whoop_users::table.find(user_id.as_str()))
                    .set(whoop_users::settled_seq.eq(whoop_users::change_seq))
                    .execute(conn)
                    .await?;
                Ok(())
            })
            .await;
        match result {
            Ok(()) => count += 1,
            // The member was erased in the meantime.
            Err(StorageError::MemberGone(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}
