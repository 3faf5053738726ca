//! What a client sent: the head of a request, its target, how its body is framed, and chunks.

pub mod chunks;
pub mod framing;
pub mod head;
pub mod target;
