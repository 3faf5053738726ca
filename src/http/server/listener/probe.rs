//! A request to our own listener, to find out whether requests are answered.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{SockAddr, Socket, Type};

/// It needs no token, and no configuration refuses its host.
const REQUEST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// The beginning of the expected reply.
const SUCCESS: &[u8] = b"HTTP/1.1 200 ";
/// More bytes than the reply has.
const LONGEST: usize = 4096;

/// Sends the request over a new connection to this address. Fails if the reply is not 200, or has not come by the
/// deadline.
pub fn probe(listener: &SockAddr, deadline: Instant) -> io::Result<()> {
    try_probe(listener, deadline).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => io::Error::new(ErrorKind::TimedOut, "no answer in time"),
        _ => error,
    })
}

/// Whether an error means that we cannot reach the listener, while clients may: a Unix socket that was passed may be in
/// a folder that we may not read, and an address may be removed from the machine for a while.
pub fn is_unreachable(error: &io::Error) -> bool {
    use ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkUnreachable, NotADirectory, NotFound, PermissionDenied};
    let kinds = [AddrNotAvailable, HostUnreachable, NetworkUnreachable, NotADirectory, NotFound, PermissionDenied];
    kinds.contains(&error.kind())
}

fn try_probe(listener: &SockAddr, deadline: Instant) -> io::Result<()> {
    let address = reachable(listener);
    let mut socket = Socket::new(address.domain(), Type::STREAM, None)?;
    socket.connect_timeout(&address, left(deadline)?)?;
    socket.set_write_timeout(Some(left(deadline)?))?;
    socket.write_all(REQUEST)?;
    let (mut reply, mut piece) = (Vec::new(), [0; 512]);
    // to the end, so that the connection is closed in order
    while reply.len() < LONGEST {
        socket.set_read_timeout(Some(left(deadline)?))?;
        match socket.read(&mut piece)? {
            0 => break,
            read => reply.extend_from_slice(&piece[..read]),
        }
    }
    if reply.starts_with(SUCCESS) {
        return Ok(());
    }
    let line = reply.split(|&byte| byte == b'\r').next().unwrap_or_default();
    Err(io::Error::other(format!("the answer is `{}`", String::from_utf8_lossy(line))))
}

/// The address by which to connect: over loopback, if the socket is bound to all addresses.
fn reachable(listener: &SockAddr) -> SockAddr {
    let unspecified = listener.as_socket().filter(|address| address.ip().is_unspecified());
    unspecified.map_or_else(
        || listener.clone(),
        |all| {
            let loopback = if all.is_ipv4() { IpAddr::from(Ipv4Addr::LOCALHOST) } else { Ipv6Addr::LOCALHOST.into() };
            SocketAddr::from((loopback, all.port())).into()
        },
    )
}

/// The time that is left. Never zero, which a socket takes for no limit.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;
    use std::thread;

    use socket2::SockRef;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    /// The address of a listener that answers one connection with this reply.
    fn answering(address: &str, reply: &'static str) -> SockAddr {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap().into();
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut request = [0; REQUEST.len()];
            socket.read_exact(&mut request).unwrap();
            socket.write_all(reply.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn only_200_is_success() {
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            probe(&answering(address, ok), soon()).expect(address);
        }
        let error = probe(&answering("127.0.0.1:0", "HTTP/1.1 503 Busy\r\n\r\n"), soon()).unwrap_err();
        assert_eq!(error.to_string(), "the answer is `HTTP/1.1 503 Busy`");
        assert!(probe(&answering("127.0.0.1:0", ""), soon()).is_err());
    }

    #[test]
    fn a_listener_that_accepts_and_is_silent_does_not_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().into();
        let error = probe(&address, Instant::now() + Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.to_string(), "no answer in time");
    }

    #[test]
    fn a_unix_socket_with_a_full_backlog_is_not_waited_for() {
        let path = std::env::temp_dir().join(format!("mqtt-bridge-probe-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        SockRef::from(&listener).listen(0).unwrap();
        let address = SockRef::from(&listener).local_addr().unwrap();
        let connect = || {
            let socket = Socket::new(address.domain(), Type::STREAM, None).unwrap();
            socket.connect_timeout(&address, Duration::from_secs(1)).map(|()| socket)
        };
        let filling: Vec<_> = (0..4).map_while(|_| connect().ok()).collect();
        assert!(filling.len() < 4);
        assert!(probe(&address, Instant::now() + Duration::from_millis(50)).is_err());
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn an_unreachable_socket_is_told_from_one_that_does_not_answer() {
        let gone = SockAddr::unix("/nonexistent/folder/socket").unwrap();
        assert!(is_unreachable(&probe(&gone, soon()).unwrap_err()));
        // bound, so that no other process has it, and not listening
        let closed = Socket::new(socket2::Domain::IPV4, Type::STREAM, None).unwrap();
        closed.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        assert!(!is_unreachable(&probe(&closed.local_addr().unwrap(), soon()).unwrap_err()));
        for code in [libc::EACCES, libc::EPERM, libc::ENETUNREACH, libc::EADDRNOTAVAIL] {
            assert!(is_unreachable(&io::Error::from_raw_os_error(code)), "{code}");
        }
        for code in [libc::EMFILE, libc::ECONNREFUSED, libc::ETIMEDOUT] {
            assert!(!is_unreachable(&io::Error::from_raw_os_error(code)), "{code}");
        }
    }
}
