//! A listening socket: its options, which accepted connections inherit, and how it stops accepting.

use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;
use std::{fmt, fs, io};

use socket2::{SockAddr, Socket, TcpKeepalive, Type};

use super::probe::is_unreachable;
use crate::http::server::sockets::SocketId;
use crate::http::server::sockets::descriptors::Descriptors;
use crate::socket::Cookie;

/// The most connections that wait to be accepted; the system's own limit may be lower (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;
/// How long one write to a client that does not read may block. tiny_http's writes have no other deadline; a longer one
/// is `response::write`'s, which tries again.
const SEND_TIMEOUT: Duration = Duration::from_millis(1);
/// Larger than most replies, so that only a client that leaves many unread can block a thread. In bytes.
const SEND_BUFFER: usize = 256 * 1024;
/// When a connection without traffic is probed, and how often, to find out whether its client is gone.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10)).with_retries(3);
/// How long sent bytes may stay unacknowledged by the client's system.
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// From where a listener can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// From programs that may open the socket's path.
    Unix,
    /// From programs on this machine, and from web pages in its browsers.
    Loopback,
    /// From other machines.
    Network,
}

impl Reach {
    /// From where a socket with this address can be reached.
    pub(super) fn of(address: SocketAddr) -> Self {
        if address.ip().to_canonical().is_loopback() { Self::Loopback } else { Self::Network }
    }
}

/// A listening socket.
pub struct Listener {
    socket: Socket,
    /// What identifies the socket.
    pub(in crate::http::server) cookie: Cookie,
    /// Its address, with the port that the system chose for 0.
    pub(in crate::http::server) address: SockAddr,
    /// systemd has passed it, and keeps it when this process ends.
    pub(in crate::http::server) is_passed: bool,
}

impl Listener {
    pub(super) fn new(socket: Socket, is_passed: bool) -> io::Result<Self> {
        let (cookie, address) = (socket.cookie()?, socket.local_addr()?);
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        if !address.is_unix() {
            socket.set_tcp_nodelay(true)?;
            socket.set_tcp_keepalive(&KEEPALIVE)?;
            socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
        }
        socket.listen(BACKLOG)?;
        Ok(Self { socket, cookie, address, is_passed })
    }

    /// From where it can be reached, by the address of the socket itself.
    pub fn reach(&self) -> Reach {
        self.address.as_socket().map_or(Reach::Unix, Reach::of)
    }

    /// A duplicate of it for tiny_http, and the descriptor that tiny_http will own.
    pub(in crate::http::server) fn for_tiny_http(&self) -> io::Result<(SocketId, tiny_http::Listener)> {
        let socket = self.socket.try_clone()?;
        let accepting = SocketId::of(&socket, self.cookie);
        let is_unix = self.address.is_unix();
        Ok((accepting, if is_unix { UnixListener::from(socket).into() } else { TcpListener::from(socket).into() }))
    }

    /// Makes a connection that ends at once, which wakes a thread of tiny_http's.
    pub(in crate::http::server) fn connect_once(&self) -> io::Result<()> {
        let socket = Socket::new(self.address.domain(), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        // it is in progress, or the backlog is full and the accepting thread is awake anyway
        let is_enough = |code| code == libc::EINPROGRESS || code == libc::EAGAIN;
        let connected = socket.connect(&self.address);
        connected.or_else(|error| if error.raw_os_error().is_some_and(is_enough) { Ok(()) } else { Err(error) })
    }

    /// Accepts no further connection. Those in the backlog of our own socket are refused. In a passed one they stay for
    /// the next process, except perhaps for one, which is served. `accepting`: the descriptor that tiny_http accepts
    /// from.
    pub(in crate::http::server) fn stop_accepting(&self, accepting: SocketId) -> io::Result<()> {
        if !self.is_passed {
            if let Some(path) = self.path() {
                fs::remove_file(path)?;
            }
            return self.socket.shutdown(Shutdown::Read);
        }
        // a shutdown would act on systemd's descriptor too. So tiny_http's descriptor is made to refer to a socket that
        // no client connects to. The accept call that is running still waits for the old one: one connection ends it
        if accepting.is_open() {
            Descriptors::replace(accepting.fd, self.unused_socket()?)?;
        }
        // where we may not connect ourselves, the next client's connection ends the call
        self.connect_once().or_else(|error| if is_unreachable(&error) { Ok(()) } else { Err(error) })
    }

    /// A listening socket of the same kind that no client connects to.
    fn unused_socket(&self) -> io::Result<Socket> {
        // the system chooses a port, or an abstract name (unix(7), autobind)
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let unused = if self.address.is_unix() { SockAddr::unix("")? } else { loopback.into() };
        let socket = Socket::new(unused.domain(), Type::STREAM, None)?;
        socket.bind(&unused)?;
        socket.listen(1)?;
        Ok(socket)
    }

    fn path(&self) -> Option<&Path> {
        self.address.as_pathname()
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address.as_socket(), self.path()) {
            (Some(address), _) => write!(f, "http://{address}"),
            (None, Some(path)) => write!(f, "unix:{}", path.display()),
            (None, None) => f.write_str("a Unix socket without a path"),
        }
    }
}
