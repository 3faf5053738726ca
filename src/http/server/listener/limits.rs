//! What a server allows its clients, and how many threads it has for them.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors of a connection: tiny_http duplicates it.
const DESCRIPTORS_EACH: u64 = 2;
/// Descriptors that everything else takes.
const OTHER_DESCRIPTORS: u64 = 64;

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

impl Limits {
    /// Raises the process's limit of descriptors to what the connections need. Allows fewer connections if that is not
    /// possible, and logs it.
    pub(in crate::http::server) fn with_descriptors(self) -> Self {
        let limit = getrlimit(Resource::Nofile);
        let wanted = self.max_connections as u64 * DESCRIPTORS_EACH * 2 + OTHER_DESCRIPTORS;
        let (current, maximum) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
        let allowed = wanted.min(maximum).max(current);
        let raised = allowed == current
            || setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum: limit.maximum }).is_ok();
        let allowed = if raised { allowed } else { current };
        let possible = allowed.saturating_sub(OTHER_DESCRIPTORS) / DESCRIPTORS_EACH;
        let possible = usize::try_from(possible).unwrap_or(usize::MAX).max(1);
        if possible < self.max_connections {
            log::warn!("the limit of {allowed} descriptors allows no more than {possible} connections");
        }
        Self { max_connections: self.max_connections.min(possible), ..self }
    }
}
