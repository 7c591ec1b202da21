//! The operator who runs a command, for the audit trail.

use whoop_core::{Clock, SystemClock, UserId};
use whoop_storage::{
    Database, StorageError,
    table::audit::{self, Actor},
};

/// Returns the operating system's user that runs this command, or the user's number if it has no
/// name, as in a container.
pub(crate) fn current_operator() -> Actor {
    let number = || format!("uid-{}", rustix::process::getuid().as_raw());
    Actor::cli(&whoami::username().unwrap_or_else(|_| number()))
}

/// Adds an audit row for a command, before the command changes anything.
pub(crate) async fn record_action(
    database: &Database,
    action: &'static str,
    user_id: Option<&UserId>,
    detail: Option<&str>,
) -> Result<(), StorageError> {
    let mut entry = current_operator().entry(action, SystemClock.now());
    if let Some(user_id) = user_id {
        entry = entry.about(user_id.as_str());
    }
    if let Some(detail) = detail {
        entry = entry.with_detail(detail);
    }
    let mut conn = database.get().await?;
    audit::insert(&mut conn, &[entry]).await
}

/// Adds an audit row for each of these members, or one row if the command is about all of them.
pub(crate) async fn record_action_for(
    database: &Database,
    action: &'static str,
    users: &[UserId],
    detail: &str,
) -> Result<(), StorageError> {
    if users.is_empty() {
        return record_action(database, action, None, Some(detail)).await;
    }
    for user_id in users {
        record_action(database, action, Some(user_id), Some(detail)).await?;
    }
    Ok(())
}
