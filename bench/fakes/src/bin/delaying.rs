//! A relay with the latency of a distant broker: bytes take half a round trip in each direction, at any rate.
//!
//! usage: delaying PORT BROKER-PORT MILLISECONDS

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// The most pieces in transit: what a fast sender sends during the longest round trip.
const PIECES: usize = 65_536;
const PIECE_BYTES: usize = 65_536;

fn main() {
    let numbers: Vec<u16> = std::env::args().skip(1).map_while(|number| number.parse().ok()).collect();
    let [port, broker, round_trip] = numbers[..] else { panic!("usage: delaying PORT BROKER-PORT MILLISECONDS") };
    let delay = Duration::from_millis(round_trip.into()) / 2;
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    for client in listener.incoming().flatten() {
        // while the broker is down the connection ends at once
        let Ok(broker) = TcpStream::connect(("127.0.0.1", broker)) else { continue };
        relay(&client, &broker, delay);
        relay(&broker, &client, delay);
    }
}

/// Copies bytes from one connection to the other, until there are no more.
fn relay(from: &TcpStream, to: &TcpStream, delay: Duration) {
    let _ = to.set_nodelay(true);
    let (mut from, to) =
        (from.try_clone().expect("descriptors are left"), to.try_clone().expect("descriptors are left"));
    let (sender, pieces) = sync_channel(PIECES);
    thread::spawn(move || deliver(&pieces, &to));
    thread::spawn(move || {
        let mut buffer = vec![0; PIECE_BYTES];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if sender.send((Instant::now() + delay, buffer[..count].to_vec())).is_err() {
                break;
            }
        }
    });
}

fn deliver(pieces: &Receiver<(Instant, Vec<u8>)>, mut to: &TcpStream) {
    for (due, bytes) in pieces {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    // also ends the copying in the other direction
    let _ = to.shutdown(Shutdown::Both);
}
