//! The table event by event: orders that only failures produce, and random ones.

mod acknowledgements;
mod blame;
mod deadlines;
mod hand_over;
mod losses;
mod random;

use super::*;
use crate::memory::Memory;
use crate::message::{Properties, TopicName};
use crate::mqtt::protocol::Retransmission;

use Acknowledgement::{PubAck, PubComp, PubRec};

type Table = InFlight<u32>;

const WINDOW: Window = Window { size: 3, cycle: 3 };

fn message(qos: u8) -> Message {
    Message {
        topic: TopicName::try_from("t".to_owned()).unwrap(),
        payload: "x".into(),
        qos: Qos::try_from(i64::from(qos)).unwrap(),
        retain: false,
        properties: Properties::default(),
    }
}

/// The start of a test's clock.
struct Time(Instant);

impl Time {
    /// So many milliseconds later.
    fn at(&self, milliseconds: u64) -> Instant {
        self.0 + Duration::from_millis(milliseconds)
    }
}

fn start() -> Time {
    Time(Instant::now())
}

fn table(max_waiting: usize) -> Table {
    let mut table = InFlight::new(max_waiting);
    table.connected(false);
    table.ready(WINDOW);
    table
}

impl<R> InFlight<R> {
    /// Accepts a message that takes no memory.
    fn accept_free(&mut self, message: Message, deadline: Instant, caller: R) {
        self.accept(message, Memory::new(0).nothing(), deadline, caller);
    }
}

/// Accepts messages with these levels of QoS, with callers 0, 1, 2 …, and a deadline after 1000 ms.
fn accept(table: &mut Table, time: &Time, levels: &[u8]) {
    for (caller, qos) in levels.iter().enumerate() {
        table.accept_free(message(*qos), time.at(1000), u32::try_from(caller).unwrap());
    }
}

const WAITS: fn(&u32) -> bool = |_| true;

/// Hands over the next message, which is written.
fn send(table: &mut Table, time: &Time, packet_identifier: u16) {
    assert!(table.next().is_some());
    table.hand_over(time.at(0), WAITS);
    table.written(packet_identifier, true, time.at(0)).unwrap();
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with an outcome")]
fn acknowledged(packet_identifier: u16, reason_code: u8) -> Outcome {
    Ok(Published::Acknowledged { packet_identifier, reason_code: Some(reason_code) })
}
