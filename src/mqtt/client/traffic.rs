//! How many bytes pass on the connection: rumqttc tells of a packet only when it is complete.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use super::lost::Lost;
use crate::config::Server;
use crate::socket::{self, Cookie};

/// More unsent bytes than this are more than a PINGREQ.
const BACKLOG: u64 = 1024;

/// The TCP socket of one connection. The system does not count the bytes of a Unix socket: then nothing passes.
pub struct Traffic {
    socket: Option<(RawFd, Cookie)>,
    /// At the last call of [`Traffic::passed`].
    seen: Option<Seen>,
    /// Since when a PINGREQ is unanswered, and the counts of that moment.
    pinged: Option<(Instant, Option<Seen>)>,
    is_silent: bool,
}

/// What has passed since the last call.
#[derive(Debug, Clone, Copy)]
pub struct Passed {
    /// How many bytes.
    pub bytes: u64,
    /// There is a backlog of unsent bytes, and there was none: the next call tells whether the broker takes them.
    pub has_new_backlog: bool,
}

/// The system's counts of bytes.
#[derive(Clone, Copy)]
struct Seen {
    received: u64,
    taken: u64,
    unsent: u64,
}

impl Traffic {
    /// Finds the latest connection of this process to the broker.
    pub fn to(server: &Server) -> Self {
        let socket = match server {
            Server::Tcp(place) | Server::WebSocket(place, _) => find(place.port),
            Server::Unix(_) => None,
        };
        Self { socket, seen: look(socket), pinged: None, is_silent: false }
    }

    /// What has passed since the last call: bytes that came, and bytes of a backlog that the other side has
    /// acknowledged. Without a backlog an acknowledgement shows that the system there is alive, not that the broker is.
    pub fn passed(&mut self) -> Passed {
        let now = look(self.socket);
        let before = std::mem::replace(&mut self.seen, now);
        let has_backlog = |seen: Option<Seen>| seen.is_some_and(|seen| seen.unsent > BACKLOG);
        Passed { bytes: passed(before, now), has_new_backlog: has_backlog(now) && !has_backlog(before) }
    }

    /// A PINGREQ was written. rumqttc would end the connection over the second one without an answer, though the answer
    /// may be coming behind a long message, or the PINGREQ wait behind one. Its check is off, and bytes count.
    pub fn pinged(&mut self, keepalive: Duration) {
        let (now, seen) = (Instant::now(), look(self.socket));
        match self.pinged {
            Some((_, before)) if passed(before, seen) > 0 => self.pinged = Some((now, seen)),
            // a PINGREQ that follows earlier is a nudge
            Some((since, _)) => self.is_silent |= since.elapsed() >= keepalive * 9 / 10,
            None => self.pinged = Some((now, seen)),
        }
    }

    /// A PINGRESP came.
    pub fn answered(&mut self) {
        self.pinged = None;
    }

    /// An error if no PINGRESP and no bytes came.
    pub fn silence(&self) -> Option<Lost> {
        self.is_silent.then(|| Lost::new("no answer to a PINGREQ within the keep alive time"))
    }
}

/// The counts of a socket, if its descriptor is still that of this socket before and after.
fn look(socket: Option<(RawFd, Cookie)>) -> Option<Seen> {
    let (number, cookie) = socket.filter(|(number, cookie)| socket::cookie(*number) == Some(*cookie))?;
    let (received, taken) = (socket::received(number)?, socket::taken(number)?);
    (socket::cookie(number) == Some(cookie)).then(|| Seen { received, taken, unsent: socket::unsent(number) })
}

fn passed(before: Option<Seen>, now: Option<Seen>) -> u64 {
    let Some((before, now)) = before.zip(now) else { return 0 };
    let taken = if before.unsent > BACKLOG { now.taken.saturating_sub(before.taken) } else { 0 };
    now.received.saturating_sub(before.received) + taken
}

/// The youngest socket whose other end has this port. An HTTP client may have the same port; its connection is told by
/// our end, which is a port that this process listens on, and which the system gives to no outgoing connection.
fn find(port: u16) -> Option<(RawFd, Cookie)> {
    let numbers = fs::read_dir("/proc/self/fd").ok()?;
    let numbers = numbers.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let ends = numbers.filter_map(|number: RawFd| {
        let (local, peer) = socket::ends(number)?;
        Some((number, local.as_socket()?.port(), peer.and_then(|peer| peer.as_socket())))
    });
    let (connected, others): (Vec<_>, Vec<_>) = ends.partition(|(_, _, peer)| peer.is_some());
    let listeners = others.into_iter().filter(|(number, ..)| socket::is_listener(*number));
    let listened_on: Vec<u16> = listeners.map(|(_, local, _)| local).collect();
    let leads_to_broker = |(_, local, peer): &(RawFd, u16, Option<SocketAddr>)| {
        peer.is_some_and(|peer| peer.port() == port) && !listened_on.contains(local)
    };
    let found = connected.into_iter().filter(leads_to_broker);
    found.filter_map(|(number, ..)| Some((number, socket::cookie(number)?))).max_by_key(|found| found.1)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn an_http_client_with_the_port_of_the_broker_is_not_taken_for_it() {
        let broker = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = broker.local_addr().unwrap();
        let ours = TcpStream::connect(address).unwrap();
        let _accepted_by_broker = broker.accept().unwrap();
        let front = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.bind(&SocketAddr::from(([127, 0, 0, 9], address.port())).into()).unwrap();
        client.connect(&front.local_addr().unwrap().into()).unwrap();
        let (_accepted, from) = front.accept().unwrap();
        assert_eq!(from.port(), address.port());
        assert_eq!(find(address.port()).map(|found| found.0), Some(ours.as_raw_fd()));
    }
}
