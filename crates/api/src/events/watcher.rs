use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use whoop_storage::{StorageError, follow::Listener, table::change};
use whoop_sync::Engine;

use super::Hub;

/// How often everybody is looked at where nothing can be heard.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The same where it can: for what is lost all the same.
const LOOK_ANYWAY: Duration = Duration::from_secs(15);

/// Before another try to listen, or to look.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Keeps the hub up to date, as long as somebody follows somebody. `may_listen` is
/// false behind a pooler in transaction mode.
pub(crate) async fn watch(
    engine: Engine,
    hub: Arc<Hub>,
    may_listen: bool,
    stop: CancellationToken,
) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = keep_watching(&engine, &hub, may_listen) => {}
    }
}

async fn keep_watching(engine: &Engine, hub: &Hub, may_listen: bool) {
    let mut listener: Option<Listener> = None;
    loop {
        if hub.streams() == 0 {
            // A connection of its own is not worth keeping for nobody.
            listener = None;
            hub.came.notified().await;
        }
        if may_listen && listener.is_none() {
            match engine.database.listen().await {
                Ok(listening) => listener = Some(listening),
                Err(error) => tracing::warn!(%error, "cannot listen for changes; looking instead"),
            }
        }
        if let Err(error) = look_at(engine, hub, hub.everybody()).await {
            tracing::warn!(%error, "followers wait for the database");
            listener = None;
            sleep(TRY_AGAIN).await;
            continue;
        }
        let look_again = match listener {
            Some(_) => LOOK_ANYWAY,
            None => LOOK_EVERY,
        };
        if let Err(error) = hear(engine, hub, &mut listener, Instant::now() + look_again).await {
            tracing::warn!(%error, "the connection that listens for changes is lost");
            listener = None;
        }
    }
}

/// Passes on what is heard, until it is time to look at everybody.
async fn hear(
    engine: &Engine,
    hub: &Hub,
    listener: &mut Option<Listener>,
    until: Instant,
) -> Result<(), StorageError> {
    loop {
        let heard = async {
            match listener {
                Some(listener) => listener.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep_until(until) => return Ok(()),
            () = hub.came.notified() => look_at(engine, hub, hub.newcomers()).await?,
            signal = heard => {
                let names = hub.behind(&signal?).into_iter().collect();
                look_at(engine, hub, names).await?;
            }
        }
    }
}

async fn look_at(engine: &Engine, hub: &Hub, names: Vec<String>) -> Result<(), StorageError> {
    if names.is_empty() {
        return Ok(());
    }
    let pulses = {
        let mut conn = engine.database.get().await?;
        change::pulses(&mut conn, &names).await?
    };
    hub.tell(&names, &pulses);
    Ok(())
}
