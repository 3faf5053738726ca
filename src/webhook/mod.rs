//! MQTT to HTTP: webhooks send received messages to endpoints, and acknowledge each to the broker when it is delivered.
//!
//! 1. Each webhook has a connection and a kept session of its own. What comes on it waits in an inbox.
//!    `mqtt/consumer.rs`, `mqtt/inbound/inbox.rs`
//! 2. A thread of the webhook takes the next message and makes a request of it. `running/worker.rs`,
//!    `running/request.rs`
//! 3. It sends the request until the endpoint answers with 2xx. `client/`, `running/retry.rs`
//! 4. A message that is not delivered in time is given up: it is published as a dead letter, or recorded.
//!    `running/giving_up.rs`
//! 5. The message is acknowledged to the broker, after all that came before it. `mqtt/session/deliveries.rs`

#[cfg(feature = "webhook")]
mod client;
mod status;

#[cfg_attr(not(feature = "webhook"), path = "none.rs")]
mod running;

pub use self::running::Webhooks;
pub use self::status::{LastError, WebhookStatus};
