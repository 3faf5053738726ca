//! Binds the listening sockets: those that systemd passes, or else the one that the configuration names.

use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::{fs, io};

use listenfd::ListenFd;
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use super::socket::{Listener, Reach};
use crate::config::{Http, Listen};
use crate::files::require_folder;
use crate::passing::may_pass;

/// Permissions of a Unix socket: its owner and its group may connect.
const UNIX_MODE: u32 = 0o660;

/// Why a socket cannot be served.
#[derive(Debug, Error)]
pub enum BindError {
    /// The address is in use, is not of this machine, or cannot be bound.
    #[error("cannot listen on {address}: {error}")]
    Address {
        /// The address or the path.
        address: String,
        /// The system's error.
        error: io::Error,
    },
    /// What systemd passed is no socket that can be served.
    #[error("cannot serve the socket that systemd passed: {0}")]
    Passed(io::Error),
    /// Anybody on the network could publish.
    #[error(
        "{0} can be reached from other machines: configure a [[token]], or set `allow-anonymous = true` in [http] to serve everybody"
    )]
    Anonymous(String),
}

impl BindError {
    fn of(listen: &Listen, error: io::Error) -> Self {
        Self::Address { address: listen.to_string(), error }
    }

    /// Whether the same configuration may succeed later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Address { error, .. } if may_pass(error))
    }

    /// Whether the address is in use, perhaps by another process of this daemon.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Address { error, .. } if error.kind() == io::ErrorKind::AddrInUse)
    }
}

/// Listens on all sockets that are to be served.
///
/// # Errors
/// If a socket cannot be served, or must not be.
pub fn listen(http: &Http, has_tokens: bool) -> Result<Vec<Listener>, BindError> {
    let socket = match prepare(http, has_tokens)? {
        Prepared::Passed(listeners) => return Ok(listeners),
        Prepared::Tcp(socket) => Ok(socket),
        Prepared::Unix(path) => bind_unix(path),
    };
    let listener = socket.and_then(|socket| Listener::new(socket, false));
    Ok(vec![listener.map_err(|error| BindError::of(&http.listen, error))?])
}

/// Checks whether [`listen`] would succeed, as far as possible without listening.
///
/// # Errors
/// Those of [`listen`].
pub fn check(http: &Http, has_tokens: bool) -> Result<(), BindError> {
    prepare(http, has_tokens).map(drop)
}

/// What is to be listened on.
enum Prepared<'a> {
    Passed(Vec<Listener>),
    /// It is bound.
    Tcp(Socket),
    Unix(&'a Path),
}

/// Without tokens, a socket that other machines can reach is refused, unless the configuration allows it.
fn prepare(http: &Http, has_tokens: bool) -> Result<Prepared<'_>, BindError> {
    let is_open = !has_tokens && !http.allow_anonymous;
    let passed = passed()?;
    if let Some(listener) = passed.iter().find(|listener| is_open && listener.reach() == Reach::Network) {
        return Err(BindError::Anonymous(listener.to_string()));
    }
    if !passed.is_empty() {
        return Ok(Prepared::Passed(passed));
    }
    let prepared = match &http.listen {
        Listen::Tcp(address) if is_open && Reach::of(*address) == Reach::Network => {
            return Err(BindError::Anonymous(format!("http://{address}")));
        }
        Listen::Tcp(address) => bind_tcp(*address).map(Prepared::Tcp),
        Listen::Unix(path) => require_bindable(path).map(|()| Prepared::Unix(path)),
    };
    prepared.map_err(|error| BindError::of(&http.listen, error))
}

/// The sockets that systemd has passed (`sd_listen_fds(3)`).
fn passed() -> Result<Vec<Listener>, BindError> {
    let mut passed = ListenFd::from_env();
    let listeners = (0..passed.len()).map(|position| {
        let socket = match passed.take_tcp_listener(position) {
            Ok(socket) => socket.map(Socket::from),
            Err(_) => passed.take_unix_listener(position)?.map(Socket::from),
        };
        let socket = socket.ok_or_else(|| io::Error::other("it was taken twice"))?;
        // tiny_http blocks in accept, and takes an error for the end of the socket
        socket.set_nonblocking(false)?;
        if !socket.is_listener()? {
            return Err(io::Error::other("it does not listen"));
        }
        Listener::new(socket, true)
    });
    listeners.collect::<io::Result<_>>().map_err(BindError::Passed)
}

/// Binds an address. Nobody can connect yet.
fn bind_tcp(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // otherwise a restart fails while the system remembers the last connections (TIME_WAIT)
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Checks whether a socket can be made at a path, which may replace another socket.
fn require_bindable(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|there| !there.file_type().is_socket()) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "what is there is no socket"));
    }
    require_folder(path)
}

/// Binds a path, and removes a socket there that no process listens on any more.
fn bind_unix(path: &Path) -> io::Result<Socket> {
    let is_stale = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
        && matches!(UnixStream::connect(path), Err(error) if error.kind() == io::ErrorKind::ConnectionRefused);
    if is_stale {
        fs::remove_file(path)?;
    }
    let socket = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(UNIX_MODE))?;
    Ok(socket.into())
}
