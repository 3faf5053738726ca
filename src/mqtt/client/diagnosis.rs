//! What may be wrong where a broker does not answer our CONNECT. rumqttc does not tell what it read, so that
//! connections of our own ask.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::transport;
use crate::config::{Mqtt, Place, Server};

/// How long each of the two questions of [`other_protocol`] may take, in addition to the look-up of a name.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);
/// A handshake record with an empty `ClientHello` (RFC 8446, 4 and 5.1): a TLS server answers with an alert.
const CLIENT_HELLO: [u8; 9] = [0x16, 3, 1, 0, 4, 1, 0, 0, 0];
const GET: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// How long [`other_protocol`] may take.
pub fn timeout(mqtt: &Mqtt) -> Duration {
    2 * QUESTION_TIMEOUT + transport::connect_timeout(mqtt)
}

/// The protocol that is spoken at the port of the broker, and what to do about it, if it is TLS or HTTP.
pub fn other_protocol(server: &Server) -> Option<&'static str> {
    let Server::Tcp(place) = server else { return None };
    let answer = |question: &[u8]| ask(place, question).unwrap_or_default();
    if matches!(answer(&CLIENT_HELLO), [0x15 | 0x16, 3, ..]) {
        return Some("what answers there speaks TLS: set `enabled = true` in [mqtt.tls]");
    }
    answer(GET).starts_with(b"HTTP/").then_some(
        "what answers there speaks HTTP: this is the port of something else, or of MQTT over WebSocket, for which \
         `server` is a URL that begins with ws://",
    )
}

/// A hint that TLS may be missing; empty where that is unlikely.
pub fn tls_hint(mqtt: &Mqtt) -> &'static str {
    match (&mqtt.server, &mqtt.tls) {
        // the port that is registered for MQTT without TLS
        (Server::Tcp(Place { port: 1883, .. }), None) => "",
        (Server::Tcp(_), None) => "; if this port is one for TLS, set `enabled = true` in [mqtt.tls]",
        _ => "",
    }
}

/// The first bytes of the answer.
fn ask(place: &Place, question: &[u8]) -> io::Result<[u8; 5]> {
    let mut addresses = (place.host.as_str(), place.port).to_socket_addrs()?;
    let deadline = Instant::now() + QUESTION_TIMEOUT;
    let left = || deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let stream = addresses.find_map(|address| TcpStream::connect_timeout(&address, left()).ok());
    let mut stream = stream.ok_or(io::ErrorKind::AddrNotAvailable)?;
    stream.set_write_timeout(Some(left()))?;
    stream.write_all(question)?;
    stream.set_read_timeout(Some(left()))?;
    let mut answer = [0; 5];
    // an MQTT broker sends no answer to either question
    stream.read_exact(&mut answer)?;
    Ok(answer)
}
