//! What a client gets: a reply as bytes, and the end of a tiny_http request.

pub mod disposal;
pub mod form;
