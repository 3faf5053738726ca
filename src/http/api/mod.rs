//! The endpoints, a file each, and what they have in common: a `call` is one request as an endpoint sees it.

pub mod call;
pub mod context;
pub mod outcomes;

pub mod bulk;
pub mod emqx;
pub mod publish;
pub mod topics;

pub mod messages;
pub mod received;
pub mod request;
pub mod subscriptions;

pub mod openapi;
pub mod operations;
pub mod page;
