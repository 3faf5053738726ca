//! Two connections from one address and port, to two addresses of ours: a request does not tell which of them it is of.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use super::Reaper;
use crate::http::server::sockets::{Place, is_connected};

impl Reaper {
    /// Addresses from which there are two connections at once.
    pub(super) fn pairs(&self) -> HashSet<SocketAddr> {
        let (mut seen, mut pairs) = (HashMap::new(), HashSet::new());
        for watched in self.watched.values() {
            let Some(client) = watched.client else { continue };
            let is_here = |place: &Place| is_connected(*place, client);
            if !seen.get(&client).is_some_and(is_here) {
                seen.insert(client, watched.place);
            } else if is_here(&watched.place) {
                pairs.insert(client);
            }
        }
        pairs
    }

    /// Those that cannot be told from one of these.
    pub(super) fn others_of(
        &self,
        places: impl Iterator<Item = Place>,
        is_shared: impl Fn(&SocketAddr) -> bool,
    ) -> Vec<(SocketAddr, Place)> {
        let clients = places.filter_map(|place| self.watched.get(&place.cookie)?.client);
        let clients: HashSet<SocketAddr> = clients.filter(is_shared).collect();
        if clients.is_empty() {
            return Vec::new();
        }
        let all = self.watched.values().filter_map(|watched| Some((watched.client?, watched.place)));
        all.filter(|(client, _)| clients.contains(client)).collect()
    }
}
