//! The sockets of one listener's connections, which tiny_http owns and does not show: finds them, writes to them and
//! closes them.
//!
//! Nothing here waits for a client: a reply is written as far as the socket takes it at once. `response::write`, which
//! waits, needs tiny_http's own writer; here there may be no request, and so no writer.

pub mod descriptors;
mod socket_id;

pub use self::socket_id::SocketId;

use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsRawFd;
use std::{io, mem};

use rustix::net::{RecvFlags, recv};
use socket2::{SockAddr, SockRef};

use self::descriptors::Descriptors;
use crate::socket::{Cookie, ends, is_established};

/// Bytes discarded per call.
const DISCARDED: usize = 16 * 1024;
/// The most calls in a row: together they discard more than a socket's buffer holds.
const MAX_DISCARDS: usize = 1024;

/// The sockets of one listener's connections.
pub struct Sockets {
    /// The listening socket.
    listener: Cookie,
    /// Its address.
    address: SockAddr,
    pub descriptors: Descriptors,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A client with this address.
    Client(SocketAddr),
    /// A client of a Unix socket.
    Unix,
    /// Nobody: the client has reset the connection.
    Reset,
}

impl Sockets {
    /// Fails if there is no descriptor left.
    pub fn new(listener: Cookie, address: SockAddr) -> io::Result<Self> {
        Ok(Self { listener, address, descriptors: Descriptors::new()? })
    }

    /// Writes a last reply, and shuts down the client's direction, ours, or both. Returns whether the socket was there.
    ///
    /// tiny_http reads the end of the stream where the client's direction is shut down. Where only ours is, the client
    /// may go on sending: it might otherwise get a reset instead of the reply.
    pub fn close(&self, socket: SocketId, direction: Shutdown, reply: &[u8]) -> bool {
        let done = self.act(socket, |socket| {
            if !reply.is_empty() {
                // as much as the socket takes at once: a client that does not read would not read the rest either
                let _ = socket.send_with_flags(reply, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
            }
            let _ = socket.shutdown(direction);
            if direction != Shutdown::Write {
                discard(&socket);
            }
        });
        done.is_some()
    }

    /// Discards unread input. Returns whether more may come.
    pub fn discard_input(&self, socket: SocketId) -> bool {
        self.act(socket, |socket| discard(&socket)) == Some(false)
    }

    /// Discards a line end, if it is all there is to read. Nobody else may be reading.
    pub fn skip_line_end(&self, socket: SocketId) -> bool {
        let skip = |socket: SockRef<'_>| {
            let mut found = [0; 3];
            let is_it = recv(&*socket, &mut found, RecvFlags::PEEK | RecvFlags::DONTWAIT) == Ok((2, 2));
            is_it && found.starts_with(b"\r\n") && recv(&*socket, &mut found[..2], RecvFlags::DONTWAIT).is_ok()
        };
        self.act(socket, skip) == Some(true)
    }

    /// Whether the client has ended its direction and all of it was read.
    pub fn is_at_end(&self, socket: SocketId) -> bool {
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        let peek = |socket: SockRef<'_>| match socket.recv_with_flags(&mut [mem::MaybeUninit::uninit()], flags) {
            // tiny_http shuts the client's direction down after the last request, which reads as an end too
            Ok(bytes) => bytes == 0 && !is_established(socket.as_raw_fd()),
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        };
        self.act(socket, peek).unwrap_or(true)
    }

    /// Calls `act` with a socket, if it is still open.
    fn act<R>(&self, socket: SocketId, act: impl Fn(SockRef<'_>) -> R) -> Option<R> {
        self.descriptors.act(socket, &act).or_else(|| {
            // tiny_http has two descriptors of it, and may have closed one
            let mut others = self.descriptors.fds().filter_map(SocketId::at);
            let other = others.find(|other| other.cookie == socket.cookie)?;
            self.descriptors.act(other, &act)
        })
    }

    /// All sockets that are connected to a client; one may appear twice, by both of its descriptors.
    pub fn find_all(&self, client: SocketAddr) -> impl Iterator<Item = SocketId> {
        let all = self.descriptors.fds().filter_map(SocketId::at);
        all.filter(move |socket| self.peer(*socket) == Some(Peer::Client(client)))
    }

    /// Whether the listener is a Unix socket, whose clients have no addresses.
    pub fn is_unix(&self) -> bool {
        self.address.as_socket().is_none()
    }

    /// The peer of a socket; `None` if it is no connection of our listener.
    pub fn peer(&self, socket: SocketId) -> Option<Peer> {
        let (local, peer) = ends(socket.fd)?;
        if socket.cookie == self.listener || !self.is_ours(&local) {
            return None;
        }
        match peer {
            Some(peer) => Some(peer.as_socket().map_or(Peer::Unix, Peer::Client)),
            // a Unix socket without a peer may as well be a listening one
            None => (!self.is_unix()).then_some(Peer::Reset),
        }
    }

    /// Whether a connection with this local address was accepted from our listener.
    fn is_ours(&self, local: &SockAddr) -> bool {
        match (self.address.as_socket(), local.as_socket()) {
            (Some(listening), Some(local)) => {
                listening.is_ipv4() == local.is_ipv4()
                    && listening.port() == local.port()
                    && (listening.ip().is_unspecified() || listening.ip() == local.ip())
            }
            (None, None) => self.address == *local,
            _ => false,
        }
    }
}

/// Discards unread input. Returns whether nothing more can come.
fn discard(socket: &SockRef<'_>) -> bool {
    let mut buffer = [const { mem::MaybeUninit::uninit() }; DISCARDED];
    // TCP copies nothing (tcp(7), MSG_TRUNC)
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // bounded, since a client may send as fast as we discard
    for _ in 0..MAX_DISCARDS {
        match socket.recv_with_flags(&mut buffer, flags) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
    false
}
