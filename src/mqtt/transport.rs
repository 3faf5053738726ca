//! How the library reaches the broker, and what is said where that fails.

use std::error::Error;
use std::io;

use rumqttc::Transport;
#[cfg(feature = "tls")]
use rumqttc::{TlsConfiguration, TlsError};

use super::pipe::CONNECT_TIMEOUT;
#[cfg(feature = "tls")]
use super::tls;
use crate::config::{Mqtt, Place, Server};
#[cfg(feature = "websocket")]
use crate::printable::Printable;

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

/// Nothing was heard until a try to connect was given up.
pub fn silence(mqtt: &Mqtt) -> String {
    let tls = if mqtt.tls.is_some() { ", which may be for want of TLS on this port" } else { "" };
    format!("no answer within {} s{tls}", CONNECT_TIMEOUT.as_secs())
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
