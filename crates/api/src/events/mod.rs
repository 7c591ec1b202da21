//! Event streams, and the watcher that notifies them of changes.
//!
//! A stream has no queue. It gets the member's latest sequence number, and reads the changes after
//! the one that it has sent. A slow reader therefore costs no more than a fast one.

mod hub;
mod stream;
mod watcher;

pub(crate) use hub::{EventHub, TooManyStreams};
pub(crate) use stream::{EventStreamRequest, open_stream};
pub(crate) use watcher::watch_members;
