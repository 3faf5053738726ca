//! What a client gets: a reply as bytes, how it is written with a deadline, and how a request of tiny_http's is
//! dropped.

pub mod disposal;
pub mod serializer;
pub mod write;
