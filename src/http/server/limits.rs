//! What a server allows its clients, and how many threads it has for them.

use std::time::Duration;

/// The limits of one listener.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Threads that serve requests.
    pub workers: usize,
    /// Connections at a time.
    pub max_connections: usize,
    /// Streams at a time, each of which has a thread of its own.
    pub max_streams: usize,
    /// Bytes of a body.
    pub max_body: usize,
    /// How long a connection may be without a request.
    pub idle_timeout: Duration,
    /// From the first byte of a request to its last.
    pub request_timeout: Duration,
}
