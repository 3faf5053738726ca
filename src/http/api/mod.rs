//! The endpoints, a file or a folder each. To add one: a file here, its `mod` line, its line in `ROUTES` of `http`, and
//! its description in `openapi.json`.
//!
//! An endpoint gets a `Call`, or the `Context` and the `Head` if it needs no token. It returns a `Handled`, or the
//! reply that refuses the request.

pub mod call;
pub mod context;

pub mod emqx;
pub mod hooks;
pub mod publish;
pub mod publish_bulk;
pub mod topics;

pub mod messages;
pub mod request;
pub mod subscribe;
pub mod subscriptions;
pub mod unsubscribe;

pub mod health;
pub mod metrics;
pub mod status;

pub mod openapi;
pub mod page;

mod bulk;
mod keyed;
mod message_context;
pub mod outbox;
mod outcomes;
mod publishing;
mod storing;
mod subscription_json;
