//! Socket statistics: what the system tells about a socket that tiny_http owns and does not show.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionread;
use socket2::SockRef;

use crate::socket::{self, Cookie, look};

/// A socket by one of its descriptors, which only its owner keeps open. The owner may close the descriptor at any time,
/// and its number may then refer to another file, which has another cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketId {
    pub fd: RawFd,
    pub cookie: Cookie,
}

impl SocketId {
    /// The socket that this descriptor refers to.
    pub fn at(fd: RawFd) -> Option<Self> {
        Some(Self { fd, cookie: socket::cookie(fd)? })
    }

    /// The socket of an owned descriptor.
    pub fn of(socket: &impl AsFd, cookie: Cookie) -> Self {
        Self { fd: socket.as_fd().as_raw_fd(), cookie }
    }

    /// Whether the descriptor still refers to the socket.
    pub fn is_open(self) -> bool {
        socket::cookie(self.fd) == Some(self.cookie)
    }

    /// Whether the descriptor still refers to the socket, and the socket is connected to this client.
    pub fn is_connected(self, client: SocketAddr) -> bool {
        let peer = SockRef::from(&look(self.fd)).peer_addr();
        peer.is_ok_and(|peer| peer.as_socket() == Some(client)) && self.is_open()
    }

    /// Bytes received on a TCP connection since it began; the client's end of stream may count as one.
    pub fn received(self) -> Option<u64> {
        socket::received(self.fd)
    }

    /// Bytes received and not yet read by tiny_http.
    pub fn unread(self) -> u64 {
        ioctl_fionread(look(self.fd)).unwrap_or_default()
    }

    /// Bytes received on a TCP connection and read by tiny_http.
    pub fn read(self) -> Option<u64> {
        Some(self.received()?.saturating_sub(self.unread()))
    }

    /// Bytes written and not yet taken by the client.
    pub fn unsent(self) -> u64 {
        socket::unsent(self.fd)
    }

    /// Whether the client has closed a connection on a Unix socket.
    pub fn is_hung_up(self) -> bool {
        let descriptor = look(self.fd);
        let mut polled = [PollFd::new(&descriptor, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().contains(PollFlags::HUP)
    }
}
