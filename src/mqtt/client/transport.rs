//! How the library reaches the broker, and what is said where that fails.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use rumqttc::Transport;
#[cfg(feature = "tls")]
use rumqttc::{TlsConfiguration, TlsError};

use super::connection::CONNECT_TIMEOUT;
#[cfg(feature = "tls")]
use super::tls;
use crate::config::{Mqtt, Place, Server};
#[cfg(feature = "websocket")]
use crate::printable::Printable;

/// What a name may take beside [`CONNECT_TIMEOUT`]: by default the C library waits 5 s for each of its name servers, of
/// which there are three at most, and the last one may be the one that answers.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of the library's words a record shows, in bytes.
#[cfg(feature = "websocket")]
const SHOWN: usize = 256;

/// What the library takes for the broker's host and port.
pub fn place(mqtt: &Mqtt) -> (String, u16) {
    match &mqtt.server {
        Server::Tcp(place) => (place.host.clone(), place.port),
        // there it does not look at the port
        Server::Unix(path) => (path.to_string_lossy().into_owned(), 0),
        Server::WebSocket(..) => (mqtt.address(), 0),
    }
}

/// What the next try to connect is to be made with: certificates may have changed since the last.
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

/// In words, if it is about TLS, be it of a try to connect or of an established connection.
#[cfg(feature = "tls")]
pub fn failure(error: &(dyn Error + 'static), mqtt: &Mqtt, established: bool) -> Option<String> {
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

/// A build without TLS has nothing to say.
#[cfg(not(feature = "tls"))]
pub fn failure(_: &(dyn Error + 'static), _: &Mqtt, _: bool) -> Option<String> {
    None
}

/// What may be the cause where a broker does not answer our CONNECT; empty where there is nothing to say.
pub fn hint(mqtt: &Mqtt) -> &'static str {
    match (&mqtt.server, &mqtt.tls) {
        // the port that is registered for MQTT without TLS
        (Server::Tcp(Place { port: 1883, .. }), None) => "",
        (Server::Tcp(_), None) => "; if this port is one for TLS, set `enabled = true` in [mqtt.tls]",
        _ => "",
    }
}

/// How long a try to connect may take, the CONNACK included.
pub fn patience(mqtt: &Mqtt) -> Duration {
    if is_looked_up(mqtt) { LOOKUP_TIMEOUT + CONNECT_TIMEOUT } else { CONNECT_TIMEOUT }
}

/// Whether name servers are asked: not for an address, and not for this machine (RFC 6761, 6.3).
fn is_looked_up(mqtt: &Mqtt) -> bool {
    match &mqtt.server {
        Server::Tcp(place) | Server::WebSocket(place, _) => {
            place.host.parse::<IpAddr>().is_err() && !place.host.eq_ignore_ascii_case("localhost")
        }
        Server::Unix(_) => false,
    }
}

/// Nothing was heard until a try to connect was given up.
pub fn silence(mqtt: &Mqtt) -> String {
    let whose = if is_looked_up(mqtt) { " of name servers or of the broker" } else { "" };
    let tls = if mqtt.tls.is_some() { ", which may be for want of TLS on this port" } else { "" };
    format!("no answer{whose} within {} s{tls}", patience(mqtt).as_secs())
}

/// The other side speaks, but not what we expect.
#[cfg(feature = "websocket")]
pub fn no_websocket(error: &dyn Error) -> String {
    let said = error.to_string();
    let said = Printable::new(said.trim_end_matches([' ', ':']), SHOWN);
    format!("there is no WebSocket with MQTT at this URL ({said})")
}

/// An end without words is one like any other.
pub fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "closed by the broker".to_owned(),
        _ => error.to_string(),
    }
}

/// The error of TLS among the causes of another.
#[cfg(feature = "tls")]
fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    let cause: Option<&'a (dyn Error + 'static)> = match error.downcast_ref::<io::Error>() {
        // as its source it names that of its content
        Some(error) => error.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    };
    cause.and_then(find)
}
