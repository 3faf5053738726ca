//! Clients of MQTT 3.1.1 for bench/outbox.py: each publishes at QoS 1, one message after the PUBACK for the other.
//!
//! usage: publisher PORT TOPIC CLIENTS SECONDS. Prints how many messages were acknowledged, and the seconds it took.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

const SIZE: usize = 100;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, topic, clients, seconds] = arguments.as_slice() else {
        panic!("usage: publisher PORT TOPIC CLIENTS SECONDS")
    };
    let number = |word: &str| word.parse::<u16>().expect("a number");
    let (port, clients, seconds) = (number(port), number(clients), number(seconds));
    let packet = publish(topic);
    let ready = Barrier::new(usize::from(clients) + 1);
    let (count, took) = thread::scope(|scope| {
        let threads: Vec<_> = (0..clients)
            .map(|client| {
                let (packet, ready) = (&packet, &ready);
                scope.spawn(move || {
                    let stream = connect(port, client).expect("a connection");
                    ready.wait();
                    load(stream, packet, Instant::now() + Duration::from_secs(seconds.into()))
                        .expect("acknowledgements")
                })
            })
            .collect();
        ready.wait();
        let start = Instant::now();
        let count: u64 = threads.into_iter().map(|each| each.join().expect("no thread fails")).sum();
        (count, start.elapsed())
    });
    println!("{count} {:.3}", took.as_secs_f64());
}

/// PUBLISH at QoS 1 with packet identifier 1, which is free again with the PUBACK.
fn publish(topic: &str) -> Vec<u8> {
    let length = u8::try_from(2 + topic.len() + 2 + SIZE).ok().filter(|length| *length < 128).expect("a short message");
    let topic_length = u16::try_from(topic.len()).expect("a short topic").to_be_bytes();
    [&[0x32, length], &topic_length[..], topic.as_bytes(), &[0, 1], &[b'x'; SIZE]].concat()
}

fn connect(port: u16, client: u16) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    // a clean session without a keep-alive
    let name = format!("pub{client:05}");
    let head = [0x10, 12 + u8::try_from(name.len()).expect("a short name"), 0, 4];
    stream.write_all(&[&head, b"MQTT".as_slice(), &[4, 2, 0, 0, 0, 8], name.as_bytes()].concat())?;
    stream.read_exact(&mut [0; 4])?;
    Ok(stream)
}

/// How many messages were acknowledged before the end.
fn load(mut stream: TcpStream, packet: &[u8], end: Instant) -> io::Result<u64> {
    let mut count = 0;
    while Instant::now() < end {
        stream.write_all(packet)?;
        let mut acknowledgement = [0; 4];
        stream.read_exact(&mut acknowledgement)?;
        assert_eq!(acknowledgement, [0x40, 2, 0, 1], "PUBACK");
        count += 1;
    }
    Ok(count)
}
