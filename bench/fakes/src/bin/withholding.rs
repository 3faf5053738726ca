//! An MQTT 5 broker that acknowledges everything at once, except messages on the topic `hold`.
//!
//! usage: withholding PORT. It delivers nothing, and supports one conforming client.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const SUBSCRIBE: u8 = 8;
const UNSUBSCRIBE: u8 = 10;
const PINGREQ: u8 = 12;
const DISCONNECT: u8 = 14;
/// Accepted, in a new session, with a Receive Maximum of 65,535.
const CONNACK: &[u8] = &[0x20, 6, 0, 0, 3, 0x21, 0xFF, 0xFF];
const PINGRESP: &[u8] = &[0xD0, 0];
const LARGEST: usize = 16 * 1024 * 1024;

fn main() {
    let port = std::env::args().nth(1).expect("usage: withholding PORT");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("the port is free");
    for stream in listener.incoming().flatten() {
        // a client may disconnect at any time
        thread::spawn(move || drop(serve(&stream)));
    }
}

fn serve(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(65_536, stream);
    let mut writer = BufWriter::with_capacity(65_536, stream);
    loop {
        // packets that arrived together are answered together
        if reader.buffer().is_empty() {
            writer.flush()?;
        }
        let (first, body) = packet(&mut reader)?;
        match first >> 4 {
            CONNECT => writer.write_all(CONNACK)?,
            PUBLISH => publish(first, &body, &mut writer)?,
            // the packet identifier, no properties, and one reason code
            SUBSCRIBE => writer.write_all(&[0x90, 4, body[0], body[1], 0, 1])?,
            UNSUBSCRIBE => writer.write_all(&[0xB0, 4, body[0], body[1], 0, 0])?,
            PINGREQ => writer.write_all(PINGRESP)?,
            DISCONNECT => return Ok(()),
            other => return Err(io::Error::other(format!("a packet of type {other}"))),
        }
    }
}

/// The first byte of the next packet, and everything after its length.
fn packet(reader: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let first = byte(reader)?;
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let part = byte(reader)?;
        length |= usize::from(part & 0x7F) << shift;
        if part < 0x80 {
            break;
        }
    }
    if length > LARGEST {
        return Err(io::Error::other("a packet that is too large"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((first, body))
}

fn byte(reader: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    reader.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn publish(first: u8, body: &[u8], writer: &mut impl Write) -> io::Result<()> {
    let (topic, rest) = body[2..].split_at(usize::from(u16::from_be_bytes([body[0], body[1]])));
    // QoS 0 has no packet identifier, and is not acknowledged
    if first & 0b110 == 0 || topic == b"hold" {
        return Ok(());
    }
    writer.write_all(&[0x40, 2, rest[0], rest[1]])
}
