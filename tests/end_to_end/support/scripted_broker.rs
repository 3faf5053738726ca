//! A broker that is scripted by the test, for what mosquitto never does; it speaks the necessary part of MQTT.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use socket2::{Domain, Socket, Type};

use super::PATIENCE;
use super::proxy::{PIECES, time_of};
use super::waiting::pause;

/// The listening side. It ends with the process of the test.
pub struct ScriptedBroker {
    port: u16,
    packets: Receiver<Packet>,
    /// All connections, in their order.
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

/// A packet from a client.
#[derive(Debug, Clone)]
pub struct Packet {
    /// The number of its connection, from 0.
    pub connection: usize,
    /// The packet type.
    pub kind: u8,
    /// The flags of the fixed header.
    pub flags: u8,
    /// The bytes after the fixed header.
    pub body: Vec<u8>,
}

pub const CONNECT: u8 = 1;
pub const PUBLISH: u8 = 3;
pub const PUBREL: u8 = 6;
pub const FROM_CLIENT_PUBREC: u8 = 5;
pub const FROM_CLIENT_PUBCOMP: u8 = 7;
pub const SUBSCRIBE: u8 = 8;
pub const UNSUBSCRIBE: u8 = 10;
pub const PINGREQ: u8 = 12;
pub const DISCONNECT: u8 = 14;

impl ScriptedBroker {
    /// The script gets each packet of the `n`th connection, from 0, and returns the answer; `None` ends the connection.
    pub fn start(script: impl FnMut(usize, &Packet) -> Option<Vec<u8>> + Send + 'static) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap(), None, script)
    }

    /// A broker that behaves well with these properties, but acknowledges no PUBLISH.
    pub fn withholding(properties: &[u8]) -> Self {
        let properties = properties.to_vec();
        Self::start(move |_, packet| {
            Some(if packet.kind == PUBLISH { Vec::new() } else { behave(packet, &properties) })
        })
    }

    /// The same as [`Self::start`], with at most this many bytes per second and a small receive buffer.
    pub fn slow(rate: usize, script: impl FnMut(usize, &Packet) -> Option<Vec<u8>> + Send + 'static) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(16).unwrap();
        Self::listen(socket.into(), Some(rate), script)
    }

    fn listen(
        listener: TcpListener,
        rate: Option<usize>,
        script: impl FnMut(usize, &Packet) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let (sender, packets) = channel();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let (script, all) = (Arc::new(Mutex::new(script)), connections.clone());
        thread::spawn(move || {
            for (n, stream) in listener.incoming().enumerate() {
                let (Ok(stream), script, sender) = (stream, script.clone(), sender.clone()) else { break };
                all.lock().unwrap().push(stream.try_clone().unwrap());
                thread::spawn(move || serve(n, stream, rate, &script, &sender));
            }
        });
        Self { port, packets, connections }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends bytes on the latest connection.
    pub fn send(&self, bytes: &[u8]) {
        self.connections.lock().unwrap().last().expect("a connection").write_all(bytes).unwrap();
    }

    /// Sends bytes on the `n`th connection, from 0.
    pub fn send_on(&self, n: usize, bytes: &[u8]) {
        self.connections.lock().unwrap()[n].write_all(bytes).unwrap();
    }

    /// Ends the `n`th connection, from 0.
    pub fn close_nth(&self, n: usize) {
        drop(self.connections.lock().unwrap()[n].shutdown(std::net::Shutdown::Both));
    }

    /// Ends the latest connection.
    pub fn close(&self) {
        drop(self.connections.lock().unwrap().last().expect("a connection").shutdown(std::net::Shutdown::Both));
    }

    /// Waits for the next packet of this type from any connection; returns it and the packets before it.
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

    /// The other packets so far.
    pub fn others(&self) -> Vec<Packet> {
        self.packets.try_iter().collect()
    }
}

impl Packet {
    /// The QoS of a PUBLISH.
    pub fn qos(&self) -> u8 {
        self.flags >> 1 & 3
    }

    /// The DUP flag of a PUBLISH.
    pub fn is_duplicate(&self) -> bool {
        self.flags & 8 != 0
    }

    /// The packet identifier, of a PUBLISH at QoS 1 or 2 or of a packet that begins with it.
    pub fn identifier(&self) -> [u8; 2] {
        let at = if self.kind == PUBLISH { 2 + self.topic().len() } else { 0 };
        [self.body[at], self.body[at + 1]]
    }

    /// The topic name of a PUBLISH.
    pub fn topic(&self) -> &str {
        let length = usize::from(u16::from_be_bytes([self.body[0], self.body[1]]));
        std::str::from_utf8(&self.body[2..2 + length]).unwrap()
    }

    /// The properties of a SUBSCRIBE or UNSUBSCRIBE of MQTT 5, which a PUBLISH for its filters carries too.
    pub fn subscription_properties(&self) -> &[u8] {
        let length = usize::from(self.body[2]);
        assert!(length < 128, "no test uses longer properties");
        &self.body[3..3 + length]
    }

    /// The topic filters of a SUBSCRIBE or UNSUBSCRIBE of MQTT 5.
    pub fn filters(&self) -> Vec<String> {
        self.filters_with_qos().into_iter().map(|(filter, _)| filter).collect()
    }

    /// The same with the requested QoS, which is 0 in an UNSUBSCRIBE.
    fn filters_with_qos(&self) -> Vec<(String, u8)> {
        let mut rest = &self.body[3 + self.subscription_properties().len()..];
        let mut filters = Vec::new();
        while let [high, low, after @ ..] = rest {
            let (filter, after) = after.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            let options = &after[..usize::from(self.kind == SUBSCRIBE)];
            filters
                .push((String::from_utf8(filter.to_vec()).unwrap(), options.first().map_or(0, |options| options & 3)));
            rest = &after[options.len()..];
        }
        filters
    }
}

/// A CONNACK of MQTT 5 with this reason code and these properties.
pub fn connack(code: u8, properties: &[u8]) -> Vec<u8> {
    let length = u8::try_from(properties.len()).unwrap();
    [&[0x20, 3 + length, 0, code, length], properties].concat()
}

/// A CONNACK of MQTT 5 with this Session Present flag.
pub fn connack_resuming(session_present: bool, properties: &[u8]) -> Vec<u8> {
    let mut packet = connack(0, properties);
    packet[2] = session_present.into();
    packet
}

/// The property Receive Maximum (MQTT 5, 3.2.2.3.3).
pub fn receive_maximum(maximum: u16) -> [u8; 3] {
    let [high, low] = maximum.to_be_bytes();
    [0x21, high, low]
}

/// The property Subscription Identifiers Available, with the value 0 (MQTT 5, 3.2.2.3.12).
pub const NO_SUBSCRIPTION_IDENTIFIERS: [u8; 2] = [0x29, 0];

/// The SUBACK to a SUBSCRIBE with these reason codes.
pub fn suback(subscribe: &Packet, codes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(codes.len()).unwrap();
    [&[0x90, 3 + length, subscribe.body[0], subscribe.body[1], 0], codes].concat()
}

/// The SUBACK or UNSUBACK to a packet; `code` may replace the reason code of a filter.
pub fn answer_filters(packet: &Packet, code: impl Fn(&str) -> Option<u8>) -> Vec<u8> {
    let filters = packet.filters_with_qos();
    let codes: Vec<u8> = filters.iter().map(|(filter, qos)| code(filter).unwrap_or(*qos)).collect();
    let mut answer = suback(packet, &codes);
    if packet.kind == UNSUBSCRIBE {
        answer[0] = 0xb0;
    }
    answer
}

/// A PUBLISH of MQTT 5 at QoS 0 with these properties.
pub fn publish(topic: &str, payload: &str, properties: &[u8]) -> Vec<u8> {
    let byte = |length: usize| u8::try_from(length).ok().filter(|length| *length < 128).expect("a short message");
    let rest = [&[0, byte(topic.len())], topic.as_bytes(), &[byte(properties.len())], properties, payload.as_bytes()];
    let rest = rest.concat();
    [&[0x30, byte(rest.len())], rest.as_slice()].concat()
}

pub const PUBACK: u8 = 0x40;
pub const PUBREC: u8 = 0x50;
pub const PUBCOMP: u8 = 0x70;

/// An acknowledgement of this kind with reason code 0, in either version.
pub fn acknowledgement(kind: u8, [high, low]: [u8; 2]) -> Vec<u8> {
    vec![kind, 2, high, low]
}

/// The same of MQTT 5 with another reason code.
pub fn acknowledgement_with(kind: u8, [high, low]: [u8; 2], code: u8) -> Vec<u8> {
    vec![kind, 4, high, low, code, 0]
}

/// The answer of a conforming broker of MQTT 5 with these properties.
pub fn behave(packet: &Packet, properties: &[u8]) -> Vec<u8> {
    match packet.kind {
        CONNECT => connack(0, properties),
        SUBSCRIBE => suback(packet, &[0]),
        PUBLISH if packet.qos() == 1 => acknowledgement(PUBACK, packet.identifier()),
        PUBLISH if packet.qos() == 2 => acknowledgement(PUBREC, packet.identifier()),
        PUBREL => acknowledgement(PUBCOMP, packet.identifier()),
        PINGREQ => vec![0xd0, 0],
        _ => Vec::new(),
    }
}

fn serve(
    n: usize,
    mut stream: TcpStream,
    rate: Option<usize>,
    script: &Mutex<impl FnMut(usize, &Packet) -> Option<Vec<u8>>>,
    packets: &Sender<Packet>,
) {
    // an error or the script ends the connection; the test sees the packets before it
    let mut paced = Paced { stream: stream.try_clone().unwrap(), rate };
    while let Ok(packet) = read_packet(n, &mut paced) {
        let answer = script.lock().unwrap()(n, &packet);
        drop(packets.send(packet));
        match answer {
            Some(answer) if stream.write_all(&answer).is_ok() => {}
            _ => break,
        }
    }
    // `connections` holds another handle, which would keep it open
    drop(stream.shutdown(std::net::Shutdown::Both));
}

/// A stream that is read at no more than this rate, in bytes per second.
struct Paced {
    stream: TcpStream,
    rate: Option<usize>,
}

impl Read for Paced {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(rate) = self.rate else { return self.stream.read(buffer) };
        let most = buffer.len().min((rate / PIECES).max(1));
        let read = self.stream.read(&mut buffer[..most])?;
        pause(time_of(read, rate));
        Ok(read)
    }
}

fn read_packet(connection: usize, stream: &mut impl Read) -> io::Result<Packet> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    let (kind, flags) = (byte[0] >> 4, byte[0] & 15);
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
    Ok(Packet { connection, kind, flags, body })
}
