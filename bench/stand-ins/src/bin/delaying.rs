//! A relay to a broker that is far away: bytes take half of a round trip in each direction, however many they are.
//!
//! usage: delaying PORT BROKER-PORT MILLISECONDS

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Pieces that may be on the way at a time: as many as a fast sender has in the longest round trip.
const PIECES: usize = 65_536;
const PIECE_BYTES: usize = 65_536;

fn main() {
    let numbers: Vec<u16> = std::env::args().skip(1).map_while(|number| number.parse().ok()).collect();
    let [port, broker, round_trip] = numbers[..] else { panic!("usage: delaying PORT BROKER-PORT MILLISECONDS") };
    let delay = Duration::from_millis(round_trip.into()) / 2;
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    for client in listener.incoming().flatten() {
        // a broker that is away is a connection that ends at once
        let Ok(broker) = TcpStream::connect(("127.0.0.1", broker)) else { continue };
        relay(&client, &broker, delay);
        relay(&broker, &client, delay);
    }
}

/// Starts what takes bytes from one to the other, until there are no more.
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
    // also ends the reading of the other direction
    let _ = to.shutdown(Shutdown::Both);
}
