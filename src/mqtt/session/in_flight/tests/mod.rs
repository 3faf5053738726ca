//! The table event by event: orders that only failures produce, and random ones.

mod acknowledgements;
mod blame;
mod deadlines;
mod hand_over;
mod late;
mod losses;
mod random;
mod stored;

use std::ops::{Deref, DerefMut};
use std::sync::mpsc;
use std::time::Duration;

use super::deadlines::OVERDUE;
use super::*;
use crate::memory::Memory;
use crate::message::{Properties, TopicName};
use crate::mqtt::protocol::Retransmission;

use Acknowledgement::{PubAck, PubComp, PubRec};

/// The table, with numbers for callers.
struct Table {
    in_flight: InFlight,
    told: mpsc::Receiver<(u32, Outcome)>,
    tell: mpsc::Sender<(u32, Outcome)>,
    told_late: mpsc::Receiver<(u32, Outcome)>,
    tell_late: mpsc::Sender<(u32, Outcome)>,
}

const WINDOW: Window = Window { size: 3, exactly_once: 3, cycle: 3 };

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
    let mut table = Table::new(max_waiting);
    table.connected(false);
    table.ready(WINDOW);
    table
}

impl Table {
    fn new(max_waiting: usize) -> Self {
        let ((tell, told), (tell_late, told_late)) = (mpsc::channel(), mpsc::channel());
        Self { in_flight: InFlight::new(max_waiting), told, tell, told_late, tell_late }
    }

    fn accept(&mut self, message: Message, share: Share, deadline: Instant, caller: u32) {
        let waiting = self.caller(message.qos, caller);
        self.in_flight.accept(message, Some(share), deadline, waiting);
    }

    /// Accepts a message of the outbox, whose place is the number of the caller, with an expiry interval to be set.
    fn accept_stored(&mut self, mut message: Message, deadline: Instant, caller: u32) {
        message.properties.message_expiry_interval = Some(u32::MAX);
        let waiting = self.caller(message.qos, caller);
        self.in_flight.accept_stored(u64::from(caller), message, deadline, waiting);
    }

    fn caller(&self, qos: Qos, caller: u32) -> Waiting {
        let (tell, tell_late) = (self.tell.clone(), self.tell_late.clone());
        let callers = Callers {
            caller: Box::new(move |outcome| tell.send((caller, outcome)).unwrap()),
            late: Some(Box::new(move |outcome| tell_late.send((caller, outcome)).unwrap())),
        };
        Waiting { callers, on_written: None, qos, since: Instant::now() }
    }

    /// Accepts a message that takes no memory.
    fn accept_free(&mut self, message: Message, deadline: Instant, caller: u32) {
        self.accept(message, Memory::new(0).nothing(), deadline, caller);
    }

    /// Hands over the next message. `waits`: its caller waits until it is written.
    fn hand_over(&mut self, now: Instant, waits: bool) {
        let next = self.waiting.first().unwrap();
        if let Some(caller) = self.entries.get_mut(&next).and_then(|entry| entry.caller.as_mut()) {
            caller.on_written = waits.then(|| Box::new(|| ()) as OnWritten);
        }
        self.in_flight.hand_over(now);
    }

    /// The message that is to be handed over, at a time that matters only to the outbox.
    fn next(&mut self) -> Option<&Message> {
        self.in_flight.next(Instant::now())
    }

    /// What a session that can be resumed sends again.
    fn retransmissions(&mut self, size: u16, now: Instant) -> Vec<Retransmission> {
        self.in_flight.retransmissions(size, now).unwrap()
    }

    fn written(&mut self, packet_identifier: u16, flushed: bool, now: Instant) -> Result<(), Violation> {
        self.in_flight.written(packet_identifier, flushed, now).map(drop)
    }

    /// The outcomes since the last call, with their callers.
    fn take_settled(&mut self) -> Vec<(u32, Outcome)> {
        self.in_flight.take_settled().call();
        self.told.try_iter().collect()
    }

    /// The outcomes that were told late since the last call of this and of [`Self::take_settled`], with their callers.
    fn take_late(&mut self) -> Vec<(u32, Outcome)> {
        self.in_flight.take_settled().call();
        self.told_late.try_iter().collect()
    }
}

impl Deref for Table {
    type Target = InFlight;

    fn deref(&self) -> &InFlight {
        &self.in_flight
    }
}

impl DerefMut for Table {
    fn deref_mut(&mut self) -> &mut InFlight {
        &mut self.in_flight
    }
}

/// Accepts messages with these levels of QoS, with callers 0, 1, 2 …, and a deadline after 1000 ms.
fn accept(table: &mut Table, time: &Time, levels: &[u8]) {
    for (caller, qos) in levels.iter().enumerate() {
        table.accept_free(message(*qos), time.at(1000), u32::try_from(caller).unwrap());
    }
}

/// Hands over the next message, which is written.
fn send(table: &mut Table, time: &Time, packet_identifier: u16) {
    assert!(table.next().is_some());
    table.hand_over(time.at(0), true);
    table.written(packet_identifier, true, time.at(0)).unwrap();
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with an outcome")]
fn acknowledged(packet_identifier: u16, reason_code: u8) -> Outcome {
    Ok(Published::Acknowledged { packet_identifier, reason_code: Some(reason_code) })
}
