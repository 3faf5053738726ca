//! What answers at the port of the broker where that does not speak MQTT: asked by connections of our own, as rumqttc
//! does not tell what it read.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::config::{Place, Server};

/// How long each of the two questions may take, beside the look-up of a name.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// A handshake record with a `ClientHello` of no length (RFC 8446, 4 and 5.1): it gets an alert.
const CLIENT_HELLO: [u8; 9] = [0x16, 3, 1, 0, 4, 1, 0, 0, 0];
const GET: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// In words, if it is one of those that are usual.
pub fn find(server: &Server) -> Option<&'static str> {
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

/// The first bytes of the answer.
fn ask(place: &Place, question: &[u8]) -> io::Result<[u8; 5]> {
    let addresses = (place.host.as_str(), place.port).to_socket_addrs()?;
    let deadline = Instant::now() + PATIENCE;
    let left = || deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let mut failure = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match TcpStream::connect_timeout(&address, left()) {
            Ok(mut stream) => {
                stream.set_write_timeout(Some(left()))?;
                stream.write_all(question)?;
                stream.set_read_timeout(Some(left()))?;
                let mut answer = [0; 5];
                // a broker of MQTT answers nothing to either
                stream.read_exact(&mut answer)?;
                return Ok(answer);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
