//! A publisher of MQTT 3.1.1 at QoS 1 that goes on until the broker has acknowledged a message, whatever happens to it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::waiting::{PATIENCE, eventually};

/// How long the broker may take to answer.
const ANSWER: Duration = Duration::from_secs(20);

pub struct Publisher {
    port: u16,
    stream: Option<TcpStream>,
}

impl Publisher {
    /// For the broker on this port.
    pub fn new(port: u16) -> Self {
        Self { port, stream: None }
    }

    /// Publishes a message, again on each new connection until the broker acknowledges it.
    pub fn publish(&mut self, topic: &str, payload: &str) {
        let length = 2 + topic.len() + 2 + payload.len();
        let topic_length = u16::try_from(topic.len()).unwrap().to_be_bytes();
        let head = [0x32, u8::try_from(length).ok().filter(|length| *length < 128).expect("a short message")];
        let packet = [&head, &topic_length[..], topic.as_bytes(), &[0, 1], payload.as_bytes()].concat();
        self.exchange(&packet, &[0x40, 2, 0, 1]);
    }

    fn exchange(&mut self, packet: &[u8], answer: &[u8]) {
        eventually(
            &format!("an answer of the broker to {packet:?}"),
            || self.try_exchange(packet, answer),
            Result::is_ok,
        )
        .unwrap();
    }

    fn try_exchange(&mut self, packet: &[u8], answer: &[u8]) -> io::Result<()> {
        let result = self.connected().and_then(|stream| exchange(stream, packet, answer));
        if result.is_err() {
            self.stream = None;
        }
        result
    }

    fn connected(&mut self) -> io::Result<&TcpStream> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(("127.0.0.1", self.port))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER.min(PATIENCE)))?;
            // a CONNECT with a clean session and without a keep-alive, and its CONNACK
            let connect = [&[0x10, 15, 0, 4], b"MQTT".as_slice(), &[4, 2, 0, 0, 0, 3], b"pub"].concat();
            exchange(&stream, &connect, &[0x20, 2, 0, 0])?;
            self.stream = Some(stream);
        }
        self.stream.as_ref().ok_or_else(|| ErrorKind::NotConnected.into())
    }
}

fn exchange(mut stream: &TcpStream, packet: &[u8], answer: &[u8]) -> io::Result<()> {
    stream.write_all(packet)?;
    let mut found = vec![0; answer.len()];
    stream.read_exact(&mut found)?;
    if found == answer { Ok(()) } else { Err(io::Error::other(format!("{found:?}"))) }
}
