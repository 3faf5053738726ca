//! How a request of tiny_http's is dropped without a reply and without harm.

use tiny_http::Request;

/// The longest body that is dropped, in bytes: tiny_http allocates as much memory for the unread part of it, and a
/// length that cannot be allocated aborts the process (`equal_reader.rs` of tiny_http 0.12).
const MAX_DROPPED: usize = 64 * 1024 * 1024;

/// Drops a request that gets no reply, on a connection that has ended.
pub fn drop_unanswered(request: Request) {
    if is_too_long_to_drop(&request) {
        // leaks tiny_http's thread and its descriptors; the reaper counts the connection as stuck
        std::mem::forget(request);
    } else {
        // dropping the writer writes nothing, dropping the request writes a reply of 500
        drop(request.into_writer());
    }
}

/// Whether dropping a request could abort the process.
pub fn is_too_long_to_drop(request: &Request) -> bool {
    request.body_length().is_some_and(|length| length > MAX_DROPPED)
}
