//! What a client gets: a reply as bytes, how it is written with a deadline, and the end of a tiny_http request.

pub mod disposal;
pub mod form;
pub mod write;
