//! A stateful simulator of the WHOOP developer API v2.
//!
//! - `world`, `life`: the people and their records, in memory and pure
//! - `member_api`, `oauth`: what WHOOP answers, as functions of the world
//! - `http`, `server`: the thin layer that makes it reachable
//! - `webhook`: what is announced of changes, signed and sent
//! - `handle`: the world in the hands of tests
//!
//! It shares no code with the rest of the workspace on purpose: a field name
//! that is wrong in a client must not be wrong here in the same way.

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
pub use handle::WorldHandle;
pub use life::LifePattern;
pub use oauth::{Grant, SimTokenPair};
pub use protocol::{EmptyCollection, LastPage, LimitOverMax, ProtocolOptions};
pub use server::SimServer;
pub use webhook::{DeliveryAttempt, DeliveryState, WebhookDelivery, WebhookFaults};
