//! What becomes of an event: done, later, or given up.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::TimeDelta;
use whoop_client::WhoopError;
use whoop_storage::{
    StorageError,
    table::{
        record_denial::INDEPENDENT_AFTER,
        webhook_event::{Because, EventRow, State},
    },
};

use crate::SyncError;

/// An event that failed so often is given up: about half a day.
const MOST_TRIES: i32 = 16;

/// What waits for its score is asked for again so often; the slots go on.
const MOST_LOOKS: i32 = 3;

/// How soon a score is looked for again; each time twice as long.
const LOOK_AGAIN: Duration = Duration::from_secs(15 * 60);

/// How soon an event that failed is tried again; each time twice as long.
const TRY_AGAIN: Duration = Duration::from_secs(5);

const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// Somebody else is at the member, who will soon be done.
const WHILE_BUSY: TimeDelta = TimeDelta::seconds(1);

/// What to do with an event.
pub(super) enum Verdict {
    End(State, Option<String>),
    Later {
        after: TimeDelta,
        because: Because,
        reason: String,
    },
}

/// Of what two members of one account make of an event, the one that goes on.
pub(super) fn worse(known: &mut Option<Verdict>, other: Verdict) {
    let goes_on = |verdict: &Verdict| matches!(verdict, Verdict::Later { .. });
    let is_dead = |verdict: &Verdict| matches!(verdict, Verdict::End(State::Dead, _));
    let stays = known
        .as_ref()
        .is_some_and(|known| goes_on(known) || (is_dead(known) && !goes_on(&other)));
    if !stays {
        *known = Some(other);
    }
}

/// Whether nothing can be done for anybody. What concerns one member's rows, as
/// tokens under a key that is not there, is the event's own failure.
pub(super) fn is_about_the_database(error: &SyncError) -> bool {
    match error {
        SyncError::Storage(
            StorageError::Unavailable(_)
            | StorageError::Full(_)
            | StorageError::NotMigrated(_)
            | StorageError::NotAllowed(_)
            | StorageError::Pooled(_),
        ) => true,
        SyncError::Storage(error) => error.is_transient(),
        _ => false,
    }
}

/// Whether the next event of the same member would meet the same.
pub(super) fn stands_in_the_way(error: &SyncError) -> bool {
    error.ends_the_run()
        || matches!(
            error,
            SyncError::Stopped
                | SyncError::ReauthRequired
                | SyncError::NotConnected
                | SyncError::Busy
        )
}

pub(super) fn after_error(event: &EventRow, error: &SyncError) -> Verdict {
    let reason = error.in_full();
    let later = |after| Verdict::Later {
        after,
        because: Because::ItIsNotItsTurn,
        reason: reason.clone(),
    };
    match error {
        SyncError::Busy => later(WHILE_BUSY),
        SyncError::Stopped | SyncError::CallsSpent => later(TimeDelta::zero()),
        // Once the member has connected again, it is fetched.
        SyncError::ReauthRequired | SyncError::NotConnected => later(TimeDelta::hours(1)),
        SyncError::Whoop(WhoopError::RateLimited { retry_after, .. }) => {
            let wait = (*retry_after).clamp(Duration::from_secs(1), Duration::from_secs(15 * 60));
            later(TimeDelta::from_std(wait).unwrap_or(TimeDelta::minutes(15)))
        }
        // Nothing of it is to be had, and nothing is missing.
        SyncError::NotGranted { .. } => Verdict::End(State::Done, Some(reason)),
        _ if event.attempts + 1 >= MOST_TRIES => Verdict::End(State::Dead, Some(reason)),
        _ => Verdict::Later {
            after: pause(TRY_AGAIN, event.attempts),
            because: Because::ItFailed,
            reason,
        },
    }
}

/// What it speaks of was fetched, and waits for its score.
pub(super) fn after_look(event: &EventRow) -> Verdict {
    if event.looks >= MOST_LOOKS {
        return Verdict::End(State::Done, None);
    }
    Verdict::Later {
        after: pause(LOOK_AGAIN, event.looks),
        because: Because::ItIsOpen,
        reason: "it still waits for its score".to_owned(),
    }
}

/// WHOOP announced it and answered 404. Its lists and records can be behind its webhooks, so it
/// is looked at again after a minute, ten minutes and an hour; the last 404 is independent of the
/// first, and deletes what is stored.
pub(super) fn after_denial(event: &EventRow) -> Verdict {
    if event.attempts + 1 >= MOST_TRIES {
        let note = "WHOOP answers 404 for a record that it announced";
        return Verdict::End(State::Done, Some(note.to_owned()));
    }
    let pause = match event.attempts {
        0 => TimeDelta::minutes(1),
        1 => TimeDelta::minutes(10),
        _ => INDEPENDENT_AFTER,
    };
    Verdict::Later {
        after: pause,
        because: Because::ItFailed,
        reason: "WHOOP answered 404 for a record that it announced".to_owned(),
    }
}

/// The pause after so many tries, jittered: many events may have failed together.
fn pause(first: Duration, attempts: i32) -> TimeDelta {
    let tries = usize::try_from(attempts).unwrap_or(0);
    let pause = ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(LONGEST_PAUSE)
        .with_max_times(tries + 1)
        .with_jitter()
        .build()
        .nth(tries)
        .unwrap_or(LONGEST_PAUSE);
    TimeDelta::from_std(pause).unwrap_or(TimeDelta::hours(1))
}
