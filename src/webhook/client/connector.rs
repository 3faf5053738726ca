//! Makes connections: looks the name up, tries its addresses, and begins TLS.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Instant;

use ureq::Error;
use ureq::unversioned::transport::{self, ConnectionDetails};

use super::link::{Channel, Link, deadline};
use super::timed::Timed;
#[cfg(feature = "tls")]
use super::tls::Encrypted;
use super::words::Words;
use crate::tls::Tls;

/// The most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 16;

/// Makes connections to one endpoint.
#[derive(Debug)]
pub struct Connector {
    tls: Option<Tls>,
}

impl Connector {
    pub fn new(tls: Option<Tls>) -> Self {
        Self { tls }
    }
}

impl transport::Connector for Connector {
    type Out = Link;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Link>, Error> {
        let deadline = deadline(&details.timeout);
        let authority = details.uri.authority().ok_or(Error::ConnectionFailed)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().unwrap_or(if details.needs_tls() { 443 } else { 80 });
        let stream = connect(&look_up(host, port)?, deadline)?;
        stream.set_nodelay(true)?;
        let timed = Timed::new(stream, deadline);
        let channel = match &self.tls {
            None => Channel::Plain(timed),
            #[cfg(feature = "tls")]
            Some(tls) => Channel::Encrypted(Box::new(Encrypted::begin(timed, host, tls)?)),
            #[cfg(not(feature = "tls"))]
            Some(tls) => match *tls {},
        };
        Ok(Some(Link::new(channel, details.config)))
    }
}

/// The addresses of a name, IPv6 and IPv4. The system's resolver looks it up in this thread, and bounds the time: by
/// default it waits 5 s, twice, for each of at most three name servers, and does so for each suffix in `search`
/// (resolv.conf(5)). What it takes beyond the deadline of the attempt delays the end of the attempt.
fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    match (host, port).to_socket_addrs() {
        Ok(addresses) => Ok(addresses.take(MAX_ADDRESSES).collect()),
        Err(error) => Err(Words(format!("the name {host} was not found: {}", cause(&error))).into()),
    }
}

/// The words of the system without those of std: `failed to lookup address information: `.
fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    text.rsplit(": ").next().unwrap_or_default().to_owned()
}

/// The first address that takes the connection. Each has an equal part of the time that is left.
fn connect(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Error> {
    let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
    for (position, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let part = left / u32::try_from(addresses.len() - position).unwrap_or(u32::MAX);
        if part.is_zero() {
            last = ErrorKind::TimedOut.into();
            break;
        }
        match TcpStream::connect_timeout(address, part) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(Error::Io(last))
}
