//! How the broker is reached, by TCP, TLS, WebSocket or a Unix socket, and the words of failures to reach it.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use rumqttc::{NetworkOptions, Transport};
#[cfg(feature = "tls")]
use rumqttc::{TlsConfiguration, TlsError};

#[cfg(feature = "tls")]
use super::tls;
use crate::config::{Mqtt, Server};
#[cfg(feature = "websocket")]
use crate::printable::Printable;

/// How long connecting may take, the CONNACK included, where the address is known.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the look-up of a name may take besides that: by default the C library waits 5 s for each of at most three
/// name servers, and the last one may be the one that answers.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of the words of an error a record shows, in bytes.
#[cfg(feature = "websocket")]
const SHOWN: usize = 256;

/// The broker's host and port in the form that rumqttc expects.
pub fn host_and_port(mqtt: &Mqtt) -> (String, u16) {
    match &mqtt.server {
        Server::Tcp(place) => (place.host.clone(), place.port),
        // with these it ignores the port
        Server::Unix(path) => (path.to_string_lossy().into_owned(), 0),
        Server::WebSocket(..) => (mqtt.address(), 0),
    }
}

/// For the next try to connect. The certificates may have changed since the last one.
pub fn transport(mqtt: &Mqtt) -> Transport {
    match (&mqtt.server, &mqtt.tls) {
        #[cfg(feature = "tls")]
        (Server::Tcp(_), Some(tls)) => Transport::tls_with_config(TlsConfiguration::Rustls(tls.config())),
        #[cfg(all(feature = "tls", feature = "websocket"))]
        (Server::WebSocket(..), Some(tls)) => Transport::wss_with_config(TlsConfiguration::Rustls(tls.config())),
        #[cfg(feature = "websocket")]
        (Server::WebSocket(..), None) => Transport::ws(),
        (Server::Unix(_), _) => Transport::unix(),
        _ => Transport::tcp(),
    }
}

/// With the only timeout of rumqttc in MQTT 3.1.1: for connecting, and after that for each flush. In MQTT 5 it reads
/// another one.
pub fn network_options(timeout: Duration) -> NetworkOptions {
    // not `default()`, whose timeout is 0 s
    let mut network = NetworkOptions::new();
    // without it a burst waits 44 ms for the delayed TCP acknowledgement of the broker
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(timeout.as_secs());
    network
}

/// The words of an error of TLS, while connecting or on an established connection.
#[cfg(feature = "tls")]
pub fn tls_failure(error: &(dyn Error + 'static), mqtt: &Mqtt, established: bool) -> Option<String> {
    let tls = mqtt.tls.as_ref()?;
    let (Server::Tcp(place) | Server::WebSocket(place, _)) = &mqtt.server else { return None };
    if let Some(error) = find(error) {
        return Some(tls::words(error, place, tls.files(), established));
    }
    match error.source()?.downcast_ref()? {
        TlsError::Io(error) => Some(tls::not_begun(&io_words(error))),
        _ => None,
    }
}

/// A build without TLS has no such errors.
#[cfg(not(feature = "tls"))]
pub fn tls_failure(_: &(dyn Error + 'static), _: &Mqtt, _: bool) -> Option<String> {
    None
}

/// How long a try to connect may take, the CONNACK included.
pub fn connect_timeout(mqtt: &Mqtt) -> Duration {
    if is_looked_up(mqtt) { LOOKUP_TIMEOUT + CONNECT_TIMEOUT } else { CONNECT_TIMEOUT }
}

/// Whether name servers are asked: not for an address, and not for `localhost` (RFC 6761, 6.3).
fn is_looked_up(mqtt: &Mqtt) -> bool {
    match &mqtt.server {
        Server::Tcp(place) | Server::WebSocket(place, _) => {
            place.host.parse::<IpAddr>().is_err() && !place.host.eq_ignore_ascii_case("localhost")
        }
        Server::Unix(_) => false,
    }
}

/// The words for no answer within [`connect_timeout`].
pub fn silence(mqtt: &Mqtt) -> String {
    let whose = if is_looked_up(mqtt) { " of name servers or of the broker" } else { "" };
    let tls = if mqtt.tls.is_some() { ", which may be for want of TLS on this port" } else { "" };
    format!("no answer{whose} within {} s{tls}", connect_timeout(mqtt).as_secs())
}

/// The words for an answer that is not WebSocket with MQTT.
#[cfg(feature = "websocket")]
pub fn no_websocket(error: &dyn Error) -> String {
    let said = error.to_string();
    let said = Printable::new(said.trim_end_matches([' ', ':']), SHOWN);
    format!("there is no WebSocket with MQTT at this URL ({said})")
}

/// The words of an error of a socket.
pub fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "closed by the broker".to_owned(),
        _ => error.to_string(),
    }
}

/// The error of TLS among the causes of another error.
#[cfg(feature = "tls")]
fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    let cause: Option<&'a (dyn Error + 'static)> = match error.downcast_ref::<io::Error>() {
        // its `source` is that of the inner error, and skips the inner error itself
        Some(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    };
    cause.and_then(find)
}
