//! The least that a bridge must do: one worker on `tiny_http` writes to the broker for each request without reading it,
//! and replies 200.

use std::io::{Read, Write};
use std::net::TcpStream;

use tiny_http::{Header, Response, Server};

/// MQTT 3.1.1, 3.1: a clean session without keep alive.
const CONNECT: &[u8] = b"\x10\x11\x00\x04MQTT\x04\x02\x00\x00\x00\x05least";
/// 3.3: the message of every request of bench/peers.py, at QoS 0.
const PUBLISH: &[u8] = b"\x30\x0e\x00\x07bench/thello";

fn main() {
    let port = |name| std::env::var(name).expect("MQTT_PORT and PORT are set");
    let mut broker = connect(&port("MQTT_PORT"));
    let server = Server::http(format!("127.0.0.1:{}", port("PORT"))).expect("the port is free");
    for mut request in server.incoming_requests() {
        let mut body = Vec::new();
        let _ = request.as_reader().read_to_end(&mut body);
        broker.write_all(PUBLISH).expect("the broker takes it");
        let json = Header::from_bytes("Content-Type", "application/json").expect("a header");
        let _ = request.respond(Response::from_string(r#"{"code":0}"#).with_header(json));
    }
}

fn connect(port: &str) -> TcpStream {
    let mut broker = TcpStream::connect(format!("127.0.0.1:{port}")).expect("the broker is there");
    broker.set_nodelay(true).expect("an option of a socket");
    broker.write_all(CONNECT).expect("the broker takes it");
    let mut connack = [0; 4];
    broker.read_exact(&mut connack).expect("a CONNACK");
    assert_eq!(connack, *b"\x20\x02\x00\x00", "the broker accepts us");
    broker
}
