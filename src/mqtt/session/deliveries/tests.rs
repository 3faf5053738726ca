use std::cell::RefCell;
use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

const MAX_BYTES: usize = 1024 * 1024;

fn message(payload: &str, dup: bool) -> Arc<Received> {
    Received { topic: b"a".to_vec(), payload: payload.into(), qos: 1, dup, ..Received::default() }.into()
}

fn owed(connection: u64, packet_identifier: u16) -> Owed {
    Owed { connection, packet_identifier, qos: 1 }
}

/// A table on a connection, whose acknowledgements it collects.
struct Session {
    table: Deliveries,
    connection: u64,
    sent: Vec<Owed>,
}

impl Session {
    fn new() -> Self {
        Self { table: Deliveries::new(MAX_BYTES), connection: 1, sent: Vec::new() }
    }

    fn push(&mut self, payload: &str, packet_identifier: u16, dup: bool) {
        let owed = owed(self.connection, packet_identifier);
        self.sent.extend(self.table.push(&message(payload, dup), Some(owed), Instant::now()).unwrap());
    }

    fn next(&mut self) -> Option<u64> {
        self.table.next().map(|due| due.number)
    }

    fn settle(&mut self, number: u64) {
        self.table.settle(number);
        self.acknowledge();
    }

    fn acknowledge(&mut self) {
        let (connection, sent) = (self.connection, RefCell::new(Vec::new()));
        self.table.acknowledge(|owed| {
            let is_there = owed.connection == connection;
            sent.borrow_mut().extend(is_there.then_some(owed));
            is_there
        });
        self.sent.extend(sent.into_inner());
    }

    fn reconnect(&mut self, session_present: bool) {
        self.connection += 1;
        self.table.connected(session_present);
    }

    /// Packet identifiers of the acknowledgements on the present connection.
    fn acknowledged(&self) -> Vec<u16> {
        let here = self.sent.iter().filter(|owed| owed.connection == self.connection);
        here.map(|owed| owed.packet_identifier).collect()
    }
}

#[test]
fn messages_are_acknowledged_in_the_order_in_which_they_came() {
    let mut session = Session::new();
    for (payload, packet_identifier) in [("x", 7), ("y", 8), ("z", 9)] {
        session.push(payload, packet_identifier, false);
    }
    assert_eq!([session.next(), session.next(), session.next(), session.next()], [Some(0), Some(1), Some(2), None]);
    session.settle(2);
    session.settle(1);
    assert_eq!((session.acknowledged(), session.table.len()), (vec![], 3));
    session.settle(0);
    assert_eq!((session.acknowledged(), session.table.len()), (vec![7, 8, 9], 0));
}

#[test]
fn a_message_is_recognized_on_the_next_connection_only() {
    for is_settled in [false, true] {
        let mut session = Session::new();
        session.push("x", 1, false);
        assert_eq!(session.next(), Some(0));
        session.connection += 2;
        if is_settled {
            session.settle(0);
        }
        session.table.connected(true);
        session.push("x", 1, true);
        assert_eq!((session.acknowledged(), session.next()), (vec![], Some(1)), "the broker had given it up");
    }
}

#[test]
fn a_message_that_is_sent_again_while_it_is_delivered_is_the_same() {
    let mut session = Session::new();
    session.push("x", 1, false);
    session.push("y", 2, false);
    assert_eq!(session.next(), Some(0));
    session.reconnect(true);
    session.push("x", 1, true);
    session.push("y", 2, true);
    session.push("z", 3, false);
    session.settle(0);
    assert_eq!(session.acknowledged(), [1], "on the new connection");
    assert_eq!([session.next(), session.next(), session.next()], [Some(1), Some(2), None]);
}

#[test]
fn a_message_that_was_delivered_between_two_connections_is_acknowledged_when_it_comes_again() {
    let mut session = Session::new();
    session.push("x", 1, false);
    assert_eq!(session.next(), Some(0));
    session.connection += 1;
    session.settle(0);
    assert_eq!((session.acknowledged(), session.table.len()), (vec![], 0));
    session.table.connected(true);
    session.push("x", 1, true);
    assert_eq!((session.acknowledged(), session.next()), (vec![1], None));
    session.push("x", 1, true);
    assert_eq!(session.next(), Some(1), "it was acknowledged: this is another message");
}

#[test]
fn another_message_with_the_same_packet_identifier_is_delivered() {
    for (payload, dup) in [("y", true), ("x", false)] {
        let mut session = Session::new();
        session.push("x", 1, false);
        session.push("w", 2, false);
        assert_eq!([session.next(), session.next()], [Some(0), Some(1)]);
        session.connection += 1;
        session.settle(0);
        session.table.connected(true);
        session.push(payload, 1, dup);
        session.push(payload, 2, dup);
        assert_eq!([session.next(), session.next()], [Some(2), Some(3)], "{payload} {dup}");
    }
}

#[test]
fn without_the_session_all_that_came_is_delivered_and_nothing_is_taken_for_it() {
    let mut session = Session::new();
    session.push("x", 1, false);
    session.push("y", 2, false);
    assert_eq!(session.next(), Some(0));
    session.connection += 1;
    session.settle(0);
    session.table.connected(false);
    session.push("x", 1, true);
    session.push("y", 2, true);
    assert_eq!([session.next(), session.next(), session.next()], [Some(1), Some(2), Some(3)]);
    (1..=3).for_each(|number| session.settle(number));
    assert_eq!(session.acknowledged(), [1, 2], "those of this connection");
}

#[test]
fn the_table_is_bounded_but_takes_one_message_of_any_size() {
    let mut table = Deliveries::new(MAX_BYTES);
    let huge = message(&"x".repeat(MAX_BYTES), false);
    assert_eq!(table.push(&huge, None, Instant::now()), Ok(None));
    assert_eq!(table.push(&message("x", false), None, Instant::now()), Err(Full));
    let mut table = Deliveries::new(usize::MAX);
    for _ in 0..MAX_MESSAGES {
        assert_eq!(table.push(&message("x", false), None, Instant::now()), Ok(None));
    }
    assert_eq!(table.push(&message("x", false), None, Instant::now()), Err(Full));
    assert_eq!(table.len(), MAX_MESSAGES);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The broker sends its next message.
    Receive,
    /// A thread takes the next one.
    Take,
    /// A delivery that is under way ends: the one at this place among them.
    Settle(usize),
    /// The connection is cut, and the broker sends again what it has not seen acknowledged.
    Cut,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Receive),
        4 => Just(Step::Take),
        3 => (0..4_usize).prop_map(Step::Settle),
        1 => Just(Step::Cut),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #![proptest_config(crate::proptests::config())]

    /// A broker that keeps to the specification: each message is delivered once, and acknowledged after its delivery,
    /// in order.
    #[test]
    fn each_message_is_delivered_once_and_acknowledged_after_that_in_order(steps in steps()) {
        let mut session = Session::new();
        let (mut next, mut unacknowledged) = (0_u16, VecDeque::new());
        let (mut under_way, mut delivered, mut settled) = (Vec::new(), Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Receive => {
                    // packet identifiers are used again, for equal messages too
                    let packet_identifier = next % 8 + 1;
                    if !unacknowledged.iter().any(|(_, other)| *other == packet_identifier) {
                        unacknowledged.push_back((next, packet_identifier));
                        session.push(&(next % 16).to_string(), packet_identifier, false);
                        next += 1;
                    }
                }
                Step::Take => {
                    if let Some(due) = session.table.next() {
                        under_way.push(due.number);
                        delivered.push(String::from_utf8_lossy(&due.message.payload).into_owned());
                    }
                }
                Step::Settle(place) => {
                    if let Some(number) = (place < under_way.len()).then(|| under_way.remove(place)) {
                        settled.push(number);
                        session.settle(number);
                    }
                }
                Step::Cut => {
                    session.sent.clear();
                    session.reconnect(true);
                    for (number, packet_identifier) in unacknowledged.clone() {
                        session.push(&(number % 16).to_string(), packet_identifier, true);
                    }
                    session.acknowledge();
                }
            }
            for owed in std::mem::take(&mut session.sent) {
                let (number, packet_identifier) = unacknowledged.pop_front().unwrap();
                prop_assert_eq!(owed, self::owed(session.connection, packet_identifier), "in order");
                prop_assert!(settled.contains(&u64::from(number)), "after its delivery");
            }
        }
        let expected: Vec<_> = (0..next).map(|number| (number % 16).to_string()).take(delivered.len()).collect();
        prop_assert_eq!(delivered, expected);
    }
}
