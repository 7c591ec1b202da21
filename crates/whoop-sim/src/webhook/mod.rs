//! Webhooks: their content, the times of the delivery attempts, and the sending.
//!
//! `outbox` decides when each webhook is sent and does no I/O; `sender` sends the webhooks.

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
