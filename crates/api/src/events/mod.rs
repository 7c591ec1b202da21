//! Event streams for the members' apps, and the watcher that notifies the streams of changes in the
//! database.
//!
//! A stream has no queue of events. The watcher publishes the member's latest sequence number, and
//! the stream then reads from the database all changes after the last one that it has sent. A slow
//! reader therefore costs no more than a fast one.

mod hub;
mod stream;
mod watcher;

pub(crate) use hub::{EventHub, TooManyStreams};
pub(crate) use stream::{EventStreamRequest, open_stream};
pub(crate) use watcher::watch_members;
