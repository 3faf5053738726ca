//! What a client sent: the head of a request, its target, how its body is framed, and chunks.

pub mod chunks;
pub mod decoded_chunks;
pub mod framing;
pub mod head;
mod target;

pub use self::head::Head;
pub use self::target::{Target, without_secrets};
