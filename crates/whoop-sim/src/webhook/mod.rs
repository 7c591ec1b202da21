//! Webhooks: their content, the times of their attempts, and the sending.
//!
//! `outbox` decides which webhooks are sent at which time and has no I/O; `sender` sends them.

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
