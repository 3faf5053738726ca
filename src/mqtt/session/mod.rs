//! The session with the broker, without I/O: messages in flight, subscriptions, topic buffers, requests that await a
//! response, and deliveries to webhooks.
//!
//! The publisher and the subscriber each have a lock of their own. The subscriber's is held while a received message is
//! routed and while operations are planned for up to a thousand filters; under one common lock every publish would wait
//! for that. Where both are needed, the subscriber's is locked first. They share one clock thread, and one order of
//! packet identifiers, which is the publisher's.

pub mod clock;
pub mod heartbeat;
pub mod lifecycle;

pub mod deliveries;
pub mod in_flight;
pub mod requests;
pub mod subscriptions;
pub mod topic_buffer;
