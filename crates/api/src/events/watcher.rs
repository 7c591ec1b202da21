use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use whoop_storage::{StorageError, change_feed::ChangeListener, table::change};
use whoop_sync::Engine;

use super::EventHub;

/// Interval between two reads of the states of all members with an open stream, if PostgreSQL's
/// notifications are not available.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Interval between two reads of the states of all members with an open stream while the process
/// listens for notifications. These reads find changes with a lost notification.
const POLL_INTERVAL_LISTENING: Duration = Duration::from_secs(15);

/// Pause after the states could not be read, before the next attempt to listen and to read.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Publishes the changes of members to their open event streams, until a stop is requested.
///
/// `may_listen` states whether PostgreSQL's notifications can be received. It is false behind a
/// pooler in transaction mode.
pub(crate) async fn watch_members(
    engine: Engine,
    hub: Arc<EventHub>,
    may_listen: bool,
    stop: CancellationToken,
) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = run_watcher(&engine, &hub, may_listen) => {}
    }
}

async fn run_watcher(engine: &Engine, hub: &EventHub, may_listen: bool) {
    let mut listener: Option<ChangeListener> = None;
    loop {
        if hub.stream_count() == 0 {
            // The listener occupies a database connection, which is not needed if no stream is
            // open.
            listener = None;
            hub.member_added.notified().await;
        }
        if may_listen && listener.is_none() {
            match engine.database.listen().await {
                Ok(new) => listener = Some(new),
                Err(error) => tracing::warn!(%error, "cannot listen for changes; polling instead"),
            }
        }
        if let Err(error) = refresh_states(engine, hub, hub.followed_members()).await {
            tracing::warn!(%error, "event streams wait for the database");
            listener = None;
            sleep(RETRY_PAUSE).await;
            continue;
        }
        let poll_interval = match listener {
            Some(_) => POLL_INTERVAL_LISTENING,
            None => POLL_INTERVAL,
        };
        if let Err(error) =
            handle_signals(engine, hub, &mut listener, Instant::now() + poll_interval).await
        {
            tracing::warn!(%error, "connection for change notifications lost");
            listener = None;
        }
    }
}

/// Publishes the states of members when a notification about them arrives or when their first
/// stream opens. Returns at the time `until`, when the states of all members have to be read again.
async fn handle_signals(
    engine: &Engine,
    hub: &EventHub,
    listener: &mut Option<ChangeListener>,
    until: Instant,
) -> Result<(), StorageError> {
    loop {
        let next_signal = async {
            match listener {
                Some(listener) => listener.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep_until(until) => return Ok(()),
            () = hub.member_added.notified() => refresh_states(engine, hub, hub.members_without_state()).await?,
            signal = next_signal => {
                let user_ids = hub.member_of_signal(&signal?).into_iter().collect();
                refresh_states(engine, hub, user_ids).await?;
            }
        }
    }
}

async fn refresh_states(
    engine: &Engine,
    hub: &EventHub,
    user_ids: Vec<String>,
) -> Result<(), StorageError> {
    if user_ids.is_empty() {
        return Ok(());
    }
    let feeds = {
        let mut conn = engine.database.get().await?;
        change::list_feed_states(&mut conn, &user_ids).await?
    };
    hub.publish_states(&user_ids, &feeds);
    Ok(())
}
