//! The listening sockets: those that systemd passes, or else the one that the configuration names.

use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::{AsFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;
use std::{fmt, fs, io};

use listenfd::ListenFd;
use rustix::fs::{Access, access};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};
use thiserror::Error;

use super::probe::is_out_of_reach;
use crate::config::{Http, Listen};
use crate::http::server::sockets::descriptors::{self, Cookie, Descriptors};
use crate::passing::may_pass;

/// Connections that wait to be accepted; the system's own limit may be lower (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;
/// How long a client that does not read may hold up a thread that writes to it: what does not find room at once finds
/// none soon.
const SEND_TIMEOUT: Duration = Duration::from_millis(1);
/// More than an answer takes, so that only a client that leaves many unread can hold up anything. In bytes.
const SEND_BUFFER: usize = 256 * 1024;
/// When a connection without traffic is probed for a client that is gone, and how often.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(10)).with_retries(3);
/// How long what was sent may stay unacknowledged by the client's machine.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Who may connect to a Unix socket: its owner and its group.
const UNIX_MODE: u32 = 0o660;
/// Descriptors of a connection: tiny_http duplicates it.
const DESCRIPTORS_EACH: u64 = 2;
/// Descriptors that everything else takes.
const OTHER_DESCRIPTORS: u64 = 64;

/// From where a listener can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Whoever may open the socket's path.
    Unix,
    /// This machine: its programs, and the pages in its browsers.
    Loopback,
    /// Other machines.
    Network,
}

/// A socket that is listened on.
pub struct Listener {
    socket: Kind,
    cookie: Cookie,
    address: SockAddr,
    /// systemd's, who keeps it when we end.
    is_passed: bool,
}

enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Why nothing is served.
#[derive(Debug, Error)]
pub enum BindError {
    /// The address is taken, or not ours, or cannot be had.
    #[error("cannot listen on {address}: {error}")]
    Address {
        /// The address or the path.
        address: String,
        /// The system's words.
        error: io::Error,
    },
    /// What systemd passed is no socket that we can serve.
    #[error("cannot serve the socket that systemd passed: {0}")]
    Passed(io::Error),
    /// Anybody could publish.
    #[error(
        "{0} can be reached from other machines: configure a [[token]], or set `allow-anonymous = true` in [http] to serve everybody"
    )]
    Anonymous(String),
}

impl BindError {
    fn of(listen: &Listen, error: io::Error) -> Self {
        Self::Address { address: listen.to_string(), error }
    }

    /// Whether the same configuration may do later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Address { error, .. } if may_pass(error))
    }

    /// Whether somebody has the address, who may be ourselves in another process.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Address { error, .. } if error.kind() == io::ErrorKind::AddrInUse)
    }
}

/// All sockets to serve.
///
/// # Errors
/// If a socket cannot be served, or must not be.
pub fn listen(http: &Http, has_tokens: bool) -> Result<Vec<Listener>, BindError> {
    let listener = match prospect(http, has_tokens)? {
        Prospect::Passed(listeners) => return Ok(listeners),
        Prospect::Tcp(socket) => socket.listen(BACKLOG).and_then(|()| Listener::new(Kind::Tcp(socket.into()), false)),
        Prospect::Unix(path) => bind_unix(path).and_then(|socket| Listener::new(Kind::Unix(socket), false)),
    };
    Ok(vec![listener.map_err(|error| BindError::of(&http.listen, error))?])
}

/// Whether [`listen`] would succeed, as far as that can be told without listening.
///
/// # Errors
/// The same as those of [`listen`].
pub fn check(http: &Http, has_tokens: bool) -> Result<(), BindError> {
    prospect(http, has_tokens).map(drop)
}

/// What is about to be listened on.
enum Prospect<'a> {
    Passed(Vec<Listener>),
    /// It has its address.
    Tcp(Socket),
    Unix(&'a Path),
}

/// Without tokens only this machine is served, unless the configuration allows everybody.
fn prospect(http: &Http, has_tokens: bool) -> Result<Prospect<'_>, BindError> {
    let is_open = !has_tokens && !http.allow_anonymous;
    let passed = passed()?;
    if let Some(listener) = passed.iter().find(|listener| is_open && listener.reach() == Reach::Network) {
        return Err(BindError::Anonymous(listener.to_string()));
    }
    if !passed.is_empty() {
        return Ok(Prospect::Passed(passed));
    }
    let prospect = match &http.listen {
        Listen::Tcp(address) if is_open && reach(*address) == Reach::Network => {
            return Err(BindError::Anonymous(format!("http://{address}")));
        }
        Listen::Tcp(address) => bind_tcp(*address).map(Prospect::Tcp),
        Listen::Unix(path) => require_room(path).map(|()| Prospect::Unix(path)),
    };
    prospect.map_err(|error| BindError::of(&http.listen, error))
}

/// The sockets that systemd passed (`sd_listen_fds(3)`).
fn passed() -> Result<Vec<Listener>, BindError> {
    let mut passed = ListenFd::from_env();
    let listeners = (0..passed.len()).map(|position| {
        let kind = match passed.take_tcp_listener(position) {
            Ok(socket) => socket.map(Kind::Tcp),
            Err(_) => passed.take_unix_listener(position)?.map(Kind::Unix),
        };
        let kind = kind.ok_or_else(|| io::Error::other("it was taken twice"))?;
        // tiny_http waits in accept
        SockRef::from(&kind).set_nonblocking(false)?;
        if !SockRef::from(&kind).is_listener()? {
            return Err(io::Error::other("it does not listen"));
        }
        Listener::new(kind, true)
    });
    listeners.collect::<io::Result<_>>().map_err(BindError::Passed)
}

impl Listener {
    fn new(socket: Kind, is_passed: bool) -> io::Result<Self> {
        let options = SockRef::from(&socket);
        // accepted sockets inherit all of them
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

    /// From where it can be reached; asked of the socket itself.
    pub fn reach(&self) -> Reach {
        self.address.as_socket().map_or(Reach::Unix, reach)
    }

    /// Our end of its connections, with the port that the system chose for 0.
    pub(in crate::http::server) fn address(&self) -> &SockAddr {
        &self.address
    }

    /// What tells it from all other sockets.
    pub(in crate::http::server) fn cookie(&self) -> Cookie {
        self.cookie
    }

    /// Another descriptor of it for tiny_http, and its number.
    pub(in crate::http::server) fn for_tiny_http(&self) -> io::Result<(RawFd, tiny_http::Listener)> {
        Ok(match &self.socket {
            Kind::Tcp(socket) => {
                let socket = socket.try_clone()?;
                (descriptors::number(&socket), socket.into())
            }
            Kind::Unix(socket) => {
                let socket = socket.try_clone()?;
                (descriptors::number(&socket), socket.into())
            }
        })
    }

    /// Makes a connection that ends at once, for a thread of tiny_http's to notice.
    pub(in crate::http::server) fn knock(&self) -> io::Result<()> {
        let socket = Socket::new(self.address.domain(), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&self.address) {
            // the backlog is full: it will come
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::EINPROGRESS) =>
            {
                Ok(())
            }
            connected => connected,
        }
    }

    /// Takes no further connections from the backlog. Of our own socket, those in it are refused; in a passed one
    /// they stay for our successor, except perhaps for one, which is served.
    pub(in crate::http::server) fn stop_accepting(&self, acceptor: RawFd) -> io::Result<()> {
        if !self.is_passed {
            if let (Kind::Unix(_), Some(path)) = (&self.socket, self.path()) {
                fs::remove_file(path)?;
            }
            return SockRef::from(&self.socket).shutdown(Shutdown::Read);
        }
        // a shutdown would act on systemd's descriptor too. What the accepting thread waits for is the old socket,
        // once more; after that it waits for one that nobody connects to
        let nobody = match &self.socket {
            Kind::Tcp(_) => {
                let nobody = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
                nobody.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
                nobody
            }
            Kind::Unix(_) => {
                let nobody = Socket::new(Domain::UNIX, Type::STREAM, None)?;
                // the system makes up a name (unix(7), autobind)
                nobody.bind(&SockAddr::unix("")?)?;
                nobody
            }
        };
        nobody.listen(1)?;
        if descriptors::cookie(acceptor) == Some(self.cookie) {
            Descriptors::replace(acceptor, &nobody)?;
        }
        // where we may not connect ourselves, the next client's connection is the last that is taken
        self.knock().or_else(|error| if is_out_of_reach(&error) { Ok(()) } else { Err(error) })
    }

    /// Whether it is systemd's.
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
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

fn reach(address: SocketAddr) -> Reach {
    if address.ip().to_canonical().is_loopback() { Reach::Loopback } else { Reach::Network }
}

/// Takes an address; nobody can connect yet.
fn bind_tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // a restart must not wait until the system has forgotten the last connections
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Whether a socket can be made at a path, in the place of another one if there is one.
fn require_room(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|there| !there.file_type().is_socket()) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "what is there is no socket"));
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    if !fs::metadata(folder)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Binds a path, from which a socket that nobody answers on any more is removed.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let is_stale = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
        && matches!(UnixStream::connect(path), Err(error) if error.kind() == io::ErrorKind::ConnectionRefused);
    if is_stale {
        fs::remove_file(path)?;
    }
    let socket = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(UNIX_MODE))?;
    Ok(socket)
}

/// Raises the limit of descriptors to what so many connections need. Returns how many there can be, and says so if that
/// is fewer.
pub fn allow_connections(max_connections: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = max_connections as u64 * DESCRIPTORS_EACH * 2 + OTHER_DESCRIPTORS;
    let (current, maximum) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    let allowed = wanted.min(maximum).max(current);
    let raised = allowed == current
        || setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum: limit.maximum }).is_ok();
    let allowed = if raised { allowed } else { current };
    let possible = allowed.saturating_sub(OTHER_DESCRIPTORS) / DESCRIPTORS_EACH;
    let possible = usize::try_from(possible).unwrap_or(usize::MAX).max(1);
    if possible < max_connections {
        log::warn!("the limit of {allowed} descriptors allows no more than {possible} connections");
    }
    max_connections.min(possible)
}
