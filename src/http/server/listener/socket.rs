//! A listening socket: its options, which accepted connections inherit, and how it stops accepting.

use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;
use std::{fmt, fs, io};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use super::probe::is_unreachable;
use crate::http::server::sockets::SocketId;
use crate::http::server::sockets::descriptors::Descriptors;
use crate::socket::Cookie;

/// The most connections that wait to be accepted; the system's own limit may be lower (`net.core.somaxconn`).
pub(super) const BACKLOG: i32 = 4096;
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
    socket: Kind,
    cookie: Cookie,
    address: SockAddr,
    /// systemd has passed it, and keeps it when this process ends.
    is_passed: bool,
}

pub(super) enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(super) fn new(socket: Kind, is_passed: bool) -> io::Result<Self> {
        let options = SockRef::from(&socket);
        options.set_write_timeout(Some(SEND_TIMEOUT))?;
        options.set_send_buffer_size(SEND_BUFFER)?;
        if let Kind::Tcp(_) = socket {
            options.set_tcp_nodelay(true)?;
            options.set_tcp_keepalive(&KEEPALIVE)?;
            options.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
        }
        options.listen(BACKLOG)?;
        let (cookie, address) = (options.cookie()?, options.local_addr()?);
        Ok(Self { socket, cookie, address, is_passed })
    }

    /// From where it can be reached, by the address of the socket itself.
    pub fn reach(&self) -> Reach {
        self.address.as_socket().map_or(Reach::Unix, Reach::of)
    }

    /// Its address, with the port that the system chose for 0.
    pub(in crate::http::server) fn address(&self) -> &SockAddr {
        &self.address
    }

    /// What identifies the socket.
    pub(in crate::http::server) fn cookie(&self) -> Cookie {
        self.cookie
    }

    /// A duplicate of it for tiny_http, and the descriptor that tiny_http will own.
    pub(in crate::http::server) fn for_tiny_http(&self) -> io::Result<(SocketId, tiny_http::Listener)> {
        Ok(match &self.socket {
            Kind::Tcp(socket) => {
                let socket = socket.try_clone()?;
                (SocketId::of(&socket, self.cookie), socket.into())
            }
            Kind::Unix(socket) => {
                let socket = socket.try_clone()?;
                (SocketId::of(&socket, self.cookie), socket.into())
            }
        })
    }

    /// Makes a connection that ends at once, which wakes a thread of tiny_http's.
    pub(in crate::http::server) fn connect_once(&self) -> io::Result<()> {
        let socket = Socket::new(self.address.domain(), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&self.address) {
            // it is in progress, or the backlog is full and the accepting thread is awake anyway
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::EINPROGRESS) =>
            {
                Ok(())
            }
            connected => connected,
        }
    }

    /// Accepts no further connection. Those in the backlog of our own socket are refused. In a passed one they stay for
    /// the next process, except perhaps for one, which is served. `accepting`: the descriptor that tiny_http accepts
    /// from.
    pub(in crate::http::server) fn stop_accepting(&self, accepting: SocketId) -> io::Result<()> {
        if !self.is_passed {
            if let (Kind::Unix(_), Some(path)) = (&self.socket, self.path()) {
                fs::remove_file(path)?;
            }
            return SockRef::from(&self.socket).shutdown(Shutdown::Read);
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
        let socket = match &self.socket {
            Kind::Tcp(_) => {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
                socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
                socket
            }
            Kind::Unix(_) => {
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                // the system chooses an abstract name (unix(7), autobind)
                socket.bind(&SockAddr::unix("")?)?;
                socket
            }
        };
        socket.listen(1)?;
        Ok(socket)
    }

    /// Whether systemd has passed it.
    pub(in crate::http::server) fn is_passed(&self) -> bool {
        self.is_passed
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

impl AsFd for Kind {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}
