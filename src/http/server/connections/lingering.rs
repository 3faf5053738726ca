//! Connections that are refused while their clients may still be sending: who is ended at once might never read why.

use std::mem;
use std::time::{Duration, Instant};

use tiny_http::Request;

use super::{Client, Connections, End, State};
use crate::http::server::response::disposal::drop_unanswered;
use crate::http::server::sockets::Place;

/// How long a client may go on sending what was refused: ended at once, it might never read why (RFC 9112, 9.6).
const LINGER: Duration = Duration::from_secs(2);
/// A connection that is refused and may still be sending. Its request is kept, which keeps tiny_http from reading.
pub struct Lingering {
    pub place: Option<Place>,
    pub until: Instant,
    client: Client,
    request: Request,
}

impl Connections {
    /// Refuses a request whose body is not read: says why, and ends the connection when the client has had the time
    /// to hear it.
    pub fn refuse(&self, client: Client, request: Request, words: &[u8]) {
        let place = self.find(client);
        let end = if place.is_some() { End::Refused } else { End::Gone };
        if let Some(connection) = self.lock().of_mut(client) {
            (connection.ended, connection.end) = (true, end);
        }
        if let Some(place) = place {
            self.sockets.dismiss(place, words);
        }
        let until = Instant::now() + LINGER;
        self.lock().lingering.push(Lingering { place, until, client, request });
        self.settle();
    }

    /// Gives so many of the refused connections no more time, the longest refused first. Returns how many there were.
    pub fn hurry(state: &mut State, count: usize, now: Instant) -> usize {
        let hurried = state.lingering.iter_mut().filter(|refused| refused.until > now).take(count);
        hurried.map(|refused| refused.until = now).count()
    }

    /// Ends the refused connections whose clients have heard it, or have had their time. Called by the reaper. Returns the
    /// clients whose turn is over.
    pub fn see_off(&self, now: Instant) -> Vec<Client> {
        let lingering = mem::take(&mut self.lock().lingering);
        let mut over = Vec::new();
        for refused in lingering {
            let may_send = refused.place.is_some_and(|place| self.sockets.drain(place));
            if may_send && now < refused.until {
                self.lock().lingering.push(refused);
                continue;
            }
            if refused.place.is_some_and(|place| self.sockets.shut(place, &[])) {
                drop_unanswered(refused.request);
            } else {
                // reset by its client, as it seems; should it be there nevertheless, letting go of it waits for the
                // rest of its body, and who calls this must not wait
                self.drop_elsewhere(refused.request);
            }
            over.push(refused.client);
        }
        over
    }

    pub(super) fn drop_elsewhere(&self, request: Request) {
        // no thread to be had: it stays, and is counted
        self.writers.run(request, drop_unanswered).into_iter().for_each(mem::forget);
    }
}
