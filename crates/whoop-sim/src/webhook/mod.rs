//! Webhooks: what is announced, when it is tried, and how it is sent.
//!
//! `outbox` decides and has no I/O; `sender` only carries out.

mod faults;
mod outbox;
mod sender;
mod signature;

pub use faults::WebhookFaults;
pub(crate) use faults::check_webhook_url;
pub(crate) use outbox::OutgoingWebhook;
pub use outbox::{DeliveryAttempt, DeliveryState, WebhookDelivery};
pub(crate) use outbox::{SimWebhookEvent, WebhookOutbox};
pub(crate) use sender::{DeliveryLock, deliver_due, http_client, run_delivery};
