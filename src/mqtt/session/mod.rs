//! What a session with the broker consists of, without I/O: messages in flight, subscriptions, what comes for them, and
//! requests that await an answer.

pub mod heartbeat;
pub mod in_flight;
pub mod requests;
pub mod subscriptions;
pub mod topic_buffer;
