//! Who follows whom, and how they hear of it.
//!
//! A follower holds no queue: it knows the member's latest number, and reads what
//! came after the one it has sent. So a slow reader costs no more than a quick one.

mod hub;
mod stream;
mod watcher;

pub(crate) use hub::{EventHub, TooManyStreams};
pub(crate) use stream::{EventStreamRequest, open_stream};
pub(crate) use watcher::watch_members;
