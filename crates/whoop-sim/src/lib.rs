//! A simulator of the WHOOP developer API v2 that keeps its state in memory.
//!
//! - `world`, `life`: the people and their records, in memory and without I/O
//! - `member_api`, `oauth`: WHOOP's answers, as functions of the world
//! - `http`, `server`: the thin layer that serves these answers over HTTP
//! - `webhook`: webhooks about changes, signed and sent
//! - `handle`: access to the simulator for tests
//!
//! The simulator intentionally shares no code with the rest of the workspace. With shared code, a
//! wrong field name in the client would be wrong in the simulator too, and no test would fail.

mod call_log;
mod clock;
mod config;
mod data_type;
mod edit;
mod edit_overlay;
mod fault;
mod handle;
mod http;
mod key_order;
mod life;
mod member_api;
mod merge_patch;
mod nap;
mod number;
mod oauth;
mod page;
mod people;
mod protocol;
mod rate_limit;
mod record;
mod records;
mod reply;
mod server;
mod webhook;
mod world;

pub use call_log::{CallSide, LoggedCall};
pub use config::{ReuseMode, SimConfig, SimError};
pub use data_type::SimDataType;
pub use edit::EditError;
pub use fault::{Fault, FaultKind};
pub use handle::{WorldGrants, WorldHandle, WorldRecords};
pub use life::LifePattern;
pub use oauth::{Grant, SimTokenPair};
pub use protocol::{EmptyCollection, LastPage, LimitOverMax, ProtocolOptions};
pub use server::SimServer;
pub use webhook::{DeliveryAttempt, DeliveryState, WebhookDelivery, WebhookFaults};
