//! Two connections from one address and port to two addresses of ours. It is not known which of them a request came on.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use super::Reaper;
use crate::http::server::sockets::SocketId;

impl Reaper {
    /// Addresses from which two connections are open at once.
    pub(super) fn shared_addresses(&self) -> HashSet<SocketAddr> {
        let (mut seen, mut shared) = (HashMap::new(), HashSet::new());
        for tracked in self.tracked.values() {
            let Some(client) = tracked.client else { continue };
            let is_connected = |socket: &SocketId| socket.is_connected(client);
            if !seen.get(&client).is_some_and(is_connected) {
                seen.insert(client, tracked.socket);
            } else if is_connected(&tracked.socket) {
                shared.insert(client);
            }
        }
        shared
    }

    /// All sockets that cannot be told from one of these.
    pub(super) fn sharing_with(
        &self,
        sockets: impl Iterator<Item = SocketId>,
        is_shared: impl Fn(&SocketAddr) -> bool,
    ) -> Vec<(SocketAddr, SocketId)> {
        let clients = sockets.filter_map(|socket| self.tracked.get(&socket.cookie)?.client);
        let clients: HashSet<SocketAddr> = clients.filter(is_shared).collect();
        if clients.is_empty() {
            return Vec::new();
        }
        let all = self.tracked.values().filter_map(|tracked| Some((tracked.client?, tracked.socket)));
        all.filter(|(client, _)| clients.contains(client)).collect()
    }
}
