//! How a request of tiny_http's is dropped without an answer, and without harm.

use tiny_http::Request;

/// The longest body that is dropped, in bytes: tiny_http reserves as much memory for what was not read of it, and a length
/// that the system cannot reserve ends the process (`equal_reader.rs` of tiny_http 0.12).
const MAX_DROPPED: usize = 64 * 1024 * 1024;

/// Drops a request that gets no answer, on a connection that has ended.
pub fn drop_unanswered(request: Request) {
    if is_too_long_to_drop(&request) {
        // its thread and its descriptors stay; the reaper counts them
        std::mem::forget(request);
    } else {
        // to drop its writer sends nothing, to drop the request sends 500
        drop(request.into_writer());
    }
}

/// Whether dropping a request could end the process.
pub fn is_too_long_to_drop(request: &Request) -> bool {
    request.body_length().is_some_and(|length| length > MAX_DROPPED)
}
