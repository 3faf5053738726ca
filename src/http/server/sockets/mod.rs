//! The sockets of one listener's connections, which tiny_http owns: found, spoken to and ended from outside.

pub mod descriptors;

use std::net::{Shutdown, SocketAddr};
use std::os::fd::RawFd;
use std::{io, mem};

use rustix::net::{RecvFlags, recv};
use socket2::{SockAddr, SockRef};

use self::descriptors::{Cookie, Descriptors};

/// How much is thrown away at a time, in bytes.
const DISCARDED: usize = 16 * 1024;
/// How often in a row: together more than a socket holds.
const MAX_DISCARDS: usize = 1024;

/// All of them.
pub struct Sockets {
    /// The listener.
    listener: Cookie,
    address: SockAddr,
    descriptors: Descriptors,
}

/// A socket among the descriptors of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub number: RawFd,
    pub cookie: Cookie,
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// A client by its address.
    Client(SocketAddr),
    /// Somebody on a Unix socket.
    Unix,
    /// Nobody any more: the client has reset the connection.
    Gone,
}

impl Sockets {
    /// # Errors
    /// If there is no descriptor left.
    pub fn new(listener: Cookie, address: SockAddr) -> io::Result<Self> {
        Ok(Self { listener, address, descriptors: Descriptors::new()? })
    }

    /// All numbers of descriptors that may be in use.
    pub fn numbers(&self) -> impl Iterator<Item = RawFd> {
        self.descriptors.numbers()
    }

    /// Whether so many descriptors are to be had.
    pub fn has_room(&self, count: usize) -> bool {
        self.descriptors.has_room(count)
    }

    /// Says the last words and ends both directions; what came in unread is thrown away. Returns whether the socket was
    /// there.
    pub fn shut(&self, place: Place, words: &[u8]) -> bool {
        let done = self.act(place, |socket| {
            say(&socket, words);
            let _ = socket.shutdown(Shutdown::Both);
            discard(&socket);
        });
        done.is_some()
    }

    /// Says the last words and ends our direction only: who is still sending might otherwise not read them.
    pub fn dismiss(&self, place: Place, words: &[u8]) {
        self.act(place, |socket| {
            say(&socket, words);
            let _ = socket.shutdown(Shutdown::Write);
        });
    }

    /// Ends what comes in, so that whoever reads finds out.
    pub fn cut(&self, place: Place) {
        self.act(place, |socket| {
            let _ = socket.shutdown(Shutdown::Read);
            discard(&socket);
        });
    }

    /// Throws away what came in unread. Returns whether more may come.
    pub fn drain(&self, place: Place) -> bool {
        self.act(place, |socket| discard(&socket)) == Some(false)
    }

    /// Takes a line end off what comes in, if there is nothing else. Nobody else may be reading.
    pub fn skip_line_end(&self, place: Place) -> bool {
        let skip = |socket: SockRef<'_>| {
            let mut found = [0; 3];
            let is_it = recv(&*socket, &mut found, RecvFlags::PEEK | RecvFlags::DONTWAIT) == Ok((2, 2));
            is_it && found.starts_with(b"\r\n") && recv(&*socket, &mut found[..2], RecvFlags::DONTWAIT).is_ok()
        };
        self.act(place, skip) == Some(true)
    }

    /// Whether all that will ever come in was read.
    pub fn is_at_end(&self, place: Place) -> bool {
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        let look = |socket: SockRef<'_>| match socket.recv_with_flags(&mut [mem::MaybeUninit::uninit()], flags) {
            // tiny_http ends what comes in when it has read the last request, and that reads like the client's end
            Ok(bytes) => bytes == 0 && !descriptors::is_established(descriptors::number(&*socket)),
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        };
        self.act(place, look).unwrap_or(true)
    }

    /// Does something to a socket, if it is still there.
    fn act<R>(&self, place: Place, act: impl Fn(SockRef<'_>) -> R) -> Option<R> {
        self.descriptors.act(place.number, place.cookie, &act).or_else(|| {
            // of tiny_http's two descriptors one may be closed
            let is_it = |number: &RawFd| descriptors::cookie(*number) == Some(place.cookie);
            let other = self.descriptors.numbers().find(is_it)?;
            self.descriptors.act(other, place.cookie, &act)
        })
    }

    /// Where the socket is that is connected to a client.
    pub fn search(&self, client: SocketAddr) -> Option<Place> {
        self.search_all(client).next()
    }

    /// Where all those are that are connected to it; a socket may be there by two numbers.
    pub fn search_all(&self, client: SocketAddr) -> impl Iterator<Item = Place> {
        self.descriptors.numbers().filter_map(move |number| {
            let cookie = descriptors::cookie(number)?;
            let (local, peer) = descriptors::ends(number)?;
            let is_it = peer?.as_socket() == Some(client) && self.is_ours(&local);
            is_it.then_some(Place { number, cookie })
        })
    }

    /// Whether the connections have no addresses.
    pub fn is_unix(&self) -> bool {
        self.address.as_socket().is_none()
    }

    /// Whose connection is at a place, if it came through our listener.
    pub fn whose(&self, place: Place) -> Option<Whose> {
        let (local, client) = descriptors::ends(place.number)?;
        if place.cookie == self.listener || !self.is_ours(&local) {
            return None;
        }
        match client {
            Some(client) => Some(client.as_socket().map_or(Whose::Unix, Whose::Client)),
            // on a Unix socket nothing else tells a listener from a connection
            None => (!self.is_unix()).then_some(Whose::Gone),
        }
    }

    /// Whether a connection whose end on our side has this address came through our listener.
    fn is_ours(&self, local: &SockAddr) -> bool {
        match (self.address.as_socket(), local.as_socket()) {
            (Some(SocketAddr::V4(ours)), Some(SocketAddr::V4(local))) => {
                ours.port() == local.port() && (ours.ip().is_unspecified() || ours.ip() == local.ip())
            }
            (Some(SocketAddr::V6(ours)), Some(SocketAddr::V6(local))) => {
                ours.port() == local.port() && (ours.ip().is_unspecified() || ours.ip() == local.ip())
            }
            (None, None) => self.address == *local,
            _ => false,
        }
    }
}

/// Whether the socket is still where it was.
pub fn is_there(place: Place) -> bool {
    descriptors::cookie(place.number) == Some(place.cookie)
}

/// Whether the socket is still where it was, and connected to this client.
pub fn is_connected(place: Place, client: SocketAddr) -> bool {
    descriptors::client(place.number) == Some(client) && is_there(place)
}

/// Writes as much as the socket takes at once: a client that does not read has no use for the rest.
fn say(socket: &SockRef<'_>, words: &[u8]) {
    if !words.is_empty() {
        let _ = socket.send_with_flags(words, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
    }
}

/// Throws away what came in unread. Returns whether nothing more can come.
fn discard(socket: &SockRef<'_>) -> bool {
    let mut nowhere = [const { mem::MaybeUninit::uninit() }; DISCARDED];
    // TCP copies nothing when the truncated rest is all (tcp(7), MSG_TRUNC)
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // bounded, for a client that sends as fast as we throw away
    for _ in 0..MAX_DISCARDS {
        match socket.recv_with_flags(&mut nowhere, flags) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
    false
}
