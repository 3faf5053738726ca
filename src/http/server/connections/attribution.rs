//! Attributes requests to connections where a client has reset one and connected again from the same address:
//! tiny_http does not say which connection a request came on, only the client's address.
//!
//! What an earlier connection has left must not be counted against the next one. Between two scans of the reaper it is
//! not known which connection a request came on; it is then kept as `unattributed`.

use std::mem;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tiny_http::Request;

use super::Connections;
use super::connection::{Connection, End, MAX_PIPELINED, ReadyRequest, SIZE_ERROR, size};
use super::state::State;
use crate::http::server::sockets::SocketId;

impl Connections {
    /// Attributes the requests that came before `now`, when a scan began. Returns those that are to be served now.
    pub fn attribute(&self, now: Instant) -> Vec<ReadyRequest> {
        let (ready, unanswerable) = self.change(|state| state.attribute(now, self.request_timeout));
        for request in unanswerable {
            self.drop_in_pool(request);
        }
        ready
    }
}

impl State {
    /// The connection of a socket that the reaper has found. `None` if another one has its address.
    pub fn connection_of(&mut self, socket: SocketId, address: SocketAddr, now: Instant) -> Option<&mut Connection> {
        let connection = self.table.entry(address).or_insert_with(|| Connection::new(address, now));
        let is_it = match connection.socket {
            Some(known) => known.cookie == socket.cookie,
            None if connection.ended && (!connection.running || connection.end == End::Reset) => false,
            None => !connection.running || connection.may_have(socket),
        };
        if !is_it {
            // after a reset one of tiny_http's descriptors may still be open
            if !socket.is_connected(address) {
                return None;
            }
            let is_alone = !connection.socket.is_some_and(|known| known.is_connected(address));
            connection.is_shared |= !is_alone || self.shared_addresses.contains(&address);
            if !is_alone {
                return self.table.get_mut(&address);
            }
            // the state of a shared one may be that of the connection that is still open
            if !connection.is_shared || connection.ended {
                // nothing is known of a descriptor that was closed meanwhile
                let old = connection.replace(socket.read()?, now);
                connection.ended = old.flooding.is_some_and(|flooding| flooding.cookie == socket.cookie);
                self.reserved -= old.body.map_or(0, |body| body.reserved);
                self.unanswerable.extend(old.pipelined);
            }
        }
        let connection = self.table.get_mut(&address)?;
        connection.set_socket(socket);
        Some(connection)
    }

    /// Attributes the requests that came before the scan that began at `now`: where the scan found no later connection
    /// with the address, they were sent before the reset. Returns those to be served now, and those that cannot be
    /// answered.
    fn attribute(&mut self, now: Instant, request_timeout: Duration) -> (Vec<ReadyRequest>, Vec<Request>) {
        let mut unanswerable = mem::take(&mut self.unanswerable);
        let adopt = |connection: &mut Connection| connection.adopt(now, request_timeout, &mut unanswerable);
        let ready = self.table.values_mut().filter_map(adopt).collect();
        self.unanswered -= unanswerable.len();
        (ready, unanswerable)
    }
}

impl Connection {
    /// Whether its socket no longer has its address, so that a request from there came on another connection. Checked
    /// once between two scans, so that it costs nothing where requests come fast.
    pub(super) fn has_lost_address(&mut self, scans: u64) -> bool {
        let is_known = self.running
            || self.ended
            || !self.unattributed.is_empty()
            || mem::replace(&mut self.checked_at_scan, scans + 1) > scans;
        !is_known && self.socket.is_some_and(|socket| !socket.is_connected(self.id.address))
    }

    /// Whether a request from its address may have come on a later connection.
    pub(super) fn may_be_replaced(&self) -> bool {
        match self.socket {
            _ if !self.unattributed.is_empty() || self.is_flooding() => true,
            _ if !self.running && !self.ended => false,
            Some(socket) => !socket.is_connected(self.id.address),
            None => self.ended,
        }
    }

    /// Whether the connection that has its address has sent too many unattributed requests.
    pub(super) fn is_flooding(&self) -> bool {
        self.flooding.is_some_and(|socket| socket.is_connected(self.id.address))
    }

    /// Keeps a request until its connection is known. Returns all that were kept if there are too many: none of them is
    /// answered then.
    pub(super) fn keep_unattributed(&mut self, request: Request, now: Instant) -> Vec<Request> {
        self.unattributed.push_back((request, now));
        if self.unattributed.len() <= MAX_PIPELINED + 1 {
            return Vec::new();
        }
        mem::take(&mut self.unattributed).into_iter().map(|(request, _)| request).collect()
    }

    /// Becomes the next connection with its address, of which this many bytes were read. Returns what remains of
    /// the old one.
    fn replace(&mut self, read: u64, now: Instant) -> Self {
        // requests that came after the last scan may be of either connection
        let is_unknown = self.socket.is_some()
            && self.started > self.started_at_scan
            && self.unattributed.is_empty()
            && read > 1
            && !self.ended;
        let mut next = Self::new(self.id.address, now);
        if is_unknown && self.running && read + SIZE_ERROR >= self.request_size {
            // the request that is being served is taken to be the next connection's; its reply ends the doubt
            self.accounted = read;
            return next;
        }
        if is_unknown && !self.running {
            (next.started, next.accounted) = (self.started - self.started_at_scan, read);
        }
        // the reaper never saw the old one, so that these may be of either too
        if self.socket.is_none() {
            let pipelined = mem::take(&mut self.pipelined).into_iter();
            next.unattributed.extend(pipelined.map(|request| (request, now)));
        }
        next.unattributed.append(&mut self.unattributed);
        // requests beyond what was read from the next one are the old one's
        while next.unattributed.iter().map(|(request, _)| size(request)).sum::<u64>() > read + SIZE_ERROR {
            self.pipelined.extend(next.unattributed.pop_front().map(|(request, _)| request));
        }
        mem::replace(self, next)
    }

    /// Takes the unattributed requests as its own. Returns the one that is to be served now.
    fn adopt(
        &mut self,
        now: Instant,
        request_timeout: Duration,
        unanswerable: &mut Vec<Request>,
    ) -> Option<ReadyRequest> {
        let (_, arrived) = self.unattributed.back()?;
        if *arrived >= now {
            return None;
        }
        let requests = mem::take(&mut self.unattributed).into_iter().map(|(request, _)| request);
        if self.ended {
            unanswerable.extend(requests);
            return None;
        }
        for request in requests {
            self.accounted += size(&request);
            self.pipelined.push_back(request);
        }
        if self.running {
            return None;
        }
        let request = self.pipelined.pop_front()?;
        Some(self.start(request, now, request_timeout))
    }

    /// Becomes a new connection with the pipelined requests of this one, of which nothing else is known.
    pub(super) fn restart_with_pipelined(&mut self, now: Instant) {
        let (pipelined, unattributed) = (mem::take(&mut self.pipelined), mem::take(&mut self.unattributed));
        let accounted = pipelined.iter().map(size).sum();
        *self = Self { accounted, pipelined, unattributed, ..Self::new(self.id.address, now) };
    }
}
