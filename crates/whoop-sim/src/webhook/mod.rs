//! Webhooks: what is announced, when it is tried, and how it is sent.
//!
//! `outbox` decides and has no I/O; `sender` only carries out.

mod mischief;
mod outbox;
mod sender;
mod signature;

pub use mischief::WebhookMischief;
pub(crate) use mischief::check_url;
pub(crate) use outbox::Shipment;
pub use outbox::{Attempt, Delivery, DeliveryState};
pub(crate) use outbox::{Outbox, WebhookEvent};
pub(crate) use sender::{Gate, client, deliver, keep_delivering};
