//! Requests that get no reply.

use tiny_http::Request;

use super::Connections;
use crate::http::server::request::Head;
use crate::http::server::request::framing::has_whole_body;
use crate::http::server::response::disposal::drop_unanswered;

impl Connections {
    /// Drops requests that are not answered. Never waits for the rest of a body.
    pub(super) fn abandon(&self, requests: impl IntoIterator<Item = Request>) {
        for request in requests {
            if has_whole_body(Head::of(&request)) {
                drop_unanswered(request);
            } else {
                self.drop_in_pool(request);
            }
            self.count_answered();
        }
    }

    /// Drops a request in a thread that may wait for the rest of its body.
    pub(super) fn drop_in_pool(&self, request: Request) {
        // without a thread it is never dropped; the reaper counts the connection as stuck
        self.writers.run(request, drop_unanswered).into_iter().for_each(std::mem::forget);
    }
}
