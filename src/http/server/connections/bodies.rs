//! Bodies that are being read, which share a bounded memory.

use std::mem;
use std::time::Instant;

use super::{Client, Connections};
use crate::http::server::sockets::descriptors;

/// A body that is being read.
pub struct Body {
    pub since: Instant,
    pub deadline: Instant,
    /// Bytes.
    pub(super) held: usize,
    pub cut: Option<Cut>,
}

/// Why a body was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Its deadline came.
    Late,
    /// Others needed the memory.
    Evicted,
}

impl Connections {
    /// Makes place for the next bytes of this client's body; if there is too little, those who have had their time
    /// longest go.
    pub fn hold(&self, client: Client, bytes: usize) {
        let mut locked = self.lock();
        let state = &mut *locked;
        let Some(connection) = state.table.get_mut(&client.address).filter(|connection| connection.id == client.id)
        else {
            return;
        };
        let (since, deadline) = (Instant::now(), connection.due);
        connection.body.get_or_insert(Body { since, deadline, held: 0, cut: None }).held += bytes;
        state.held += bytes;
        let mut evicted = Vec::new();
        while state.held > self.max_held {
            let bodies = state.table.iter_mut().filter_map(|(address, connection)| {
                let (client, place) = (connection.client(*address), connection.place);
                connection.body.as_mut().filter(|body| body.held > 0).map(|body| (client, place, body))
            });
            let Some((client, place, body)) = bodies.min_by_key(|(_, _, body)| body.deadline) else { break };
            body.cut = body.cut.or(Some(Cut::Evicted));
            let freed = mem::take(&mut body.held);
            evicted.push((client, place));
            state.held -= freed;
        }
        drop(locked);
        for (client, place) in evicted {
            let places = self.places(client);
            place.into_iter().chain(places).for_each(|place| self.sockets.cut(place));
        }
    }

    /// So many bytes of this client's body were read, and no more will be. Tells whether it was cut.
    pub fn release(&self, client: Client, read: usize) -> Option<Cut> {
        let mut locked = self.lock();
        let state = &mut *locked;
        let connection = state.table.get_mut(&client.address).filter(|connection| connection.id == client.id)?;
        connection.booked += read as u64;
        let body = connection.body.take()?;
        state.held -= body.held;
        body.cut
    }

    /// Lets nothing more come from this client. Returns whether all that came was read.
    pub fn end_reading(&self, client: Client) -> bool {
        let place = self.find(client).filter(|_| !self.lock().is_shared(client));
        let Some(place) = place else { return false };
        let is_all_read = descriptors::unread(place.number) == 0;
        self.sockets.cut(place);
        is_all_read
    }
}
