//! A broker that does what a test tells it to, and what mosquitto never does; it speaks just enough MQTT 5.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::PATIENCE;

/// The listening side. It ends with the test's process.
pub struct ScriptedBroker {
    port: u16,
    packets: Receiver<Packet>,
}

/// A packet from a client.
#[derive(Debug)]
pub struct Packet {
    /// The first four bits.
    pub kind: u8,
    /// What follows the fixed header.
    pub body: Vec<u8>,
}

pub const CONNECT: u8 = 1;
pub const PUBLISH: u8 = 3;
pub const SUBSCRIBE: u8 = 8;
pub const PINGREQ: u8 = 12;

/// What the broker does at its `n`th connection, from 0: it is given the CONNECT and each later packet, and answers
/// with bytes; `None` ends the connection.
pub type Script = fn(n: usize, packet: &Packet) -> Option<Vec<u8>>;

impl ScriptedBroker {
    pub fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, packets) = channel();
        thread::spawn(move || {
            for (n, stream) in listener.incoming().enumerate() {
                let (Ok(stream), sender) = (stream, sender.clone()) else { break };
                thread::spawn(move || serve(n, stream, script, &sender));
            }
        });
        Self { port, packets }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits for the next packet of this kind from any connection; returns it and how many others came before it.
    pub fn wait_for(&self, kind: u8) -> (Packet, Vec<Packet>) {
        let mut others = Vec::new();
        loop {
            match self.packets.recv_timeout(PATIENCE) {
                Ok(packet) if packet.kind == kind => return (packet, others),
                Ok(packet) => others.push(packet),
                Err(error) => panic!("no packet of kind {kind}: {error}; there were {others:?}"),
            }
        }
    }
}

/// A CONNACK with this reason code and these properties.
pub fn connack(code: u8, properties: &[u8]) -> Vec<u8> {
    let length = u8::try_from(properties.len()).unwrap();
    [&[0x20, 3 + length, 0, code, length], properties].concat()
}

/// The SUBACK to a SUBSCRIBE with these codes.
pub fn suback(subscribe: &Packet, codes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(codes.len()).unwrap();
    [&[0x90, 3 + length, subscribe.body[0], subscribe.body[1], 0], codes].concat()
}

fn serve(n: usize, mut stream: TcpStream, script: Script, packets: &Sender<Packet>) {
    // an error ends the connection, as does the script; the test sees what came before
    while let Ok(packet) = read_packet(&mut stream) {
        let Some(answer) = script(n, &packet) else { break };
        drop(packets.send(packet));
        if stream.write_all(&answer).is_err() {
            break;
        }
    }
}

fn read_packet(stream: &mut TcpStream) -> io::Result<Packet> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    let kind = byte[0] >> 4;
    let (mut length, mut shift) = (0, 0);
    loop {
        stream.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 127) << shift;
        shift += 7;
        if byte[0] < 128 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Packet { kind, body })
}
