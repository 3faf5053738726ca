//! The table event by event, the orders that only failures produce, and random ones.

mod blame;

use super::*;
use crate::memory::Memory;
use crate::message::{Properties, TopicName};
use crate::mqtt::protocol::Owed;

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

/// A moment in a test's own time, in milliseconds.
struct Time(Instant);

impl Time {
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

/// Accepts messages with these levels of QoS, whose callers are 0, 1, 2 …, and whose deadline is after 1000 ms.
impl<R> InFlight<R> {
    /// Takes a message that takes no memory.
    fn take(&mut self, message: Message, deadline: Instant, caller: R) {
        self.accept(message, Memory::new(0).nothing(), deadline, caller);
    }
}

fn accept(table: &mut Table, time: &Time, levels: &[u8]) {
    for (caller, qos) in levels.iter().enumerate() {
        table.take(message(*qos), time.at(1000), u32::try_from(caller).unwrap());
    }
}

const WAITS: fn(&u32) -> bool = |_| true;

/// Hands over and writes the next message.
fn send(table: &mut Table, time: &Time, packet_identifier: u16) {
    assert!(table.next().is_some());
    table.hand_over(time.at(0), WAITS);
    table.written(packet_identifier, true, time.at(0)).unwrap();
}

#[expect(clippy::unnecessary_wraps, reason = "what is compared with it is an outcome")]
fn acknowledged(packet_identifier: u16, reason_code: u8) -> Outcome {
    Ok(Published::Acknowledged { packet_identifier, reason_code: Some(reason_code) })
}

#[test]
fn each_quality_of_service_is_settled_by_its_own_last_packet() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[0, 1, 2]);
    send(&mut table, &time, 0);
    assert_eq!(table.take_settled(), [(0, Ok(Published::HandedOver))]);
    send(&mut table, &time, 1);
    send(&mut table, &time, 2);
    table.acknowledged(PubRec, 2, Some(16), None).unwrap();
    assert_eq!(table.take_settled(), []);
    table.acknowledged(PubComp, 2, Some(0), None).unwrap();
    table.acknowledged(PubAck, 1, Some(0), None).unwrap();
    assert_eq!(table.take_settled(), [(2, acknowledged(2, 16)), (1, acknowledged(1, 0))]);
    assert_eq!((table.unsettled(), table.unacknowledged()), (0, 0));
}

#[test]
fn at_qos_0_the_hand_over_is_the_outcome_for_who_does_not_wait_until_the_message_is_written() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[0, 0, 1]);
    table.hand_over(time.at(0), |_| false);
    assert_eq!(table.take_settled(), [(0, Ok(Published::HandedOver))]);
    assert!(table.next().is_none(), "one at a time, so that no more than one is lost with the connection");
    assert_eq!((table.unsettled(), table.overdue_at()), (2, Some(time.at(1000) + OVERDUE)));
    table.written(0, true, time.at(0)).unwrap();
    table.hand_over(time.at(0), |_| true);
    assert_eq!(table.take_settled(), []);
    table.written(0, true, time.at(0)).unwrap();
    assert_eq!(table.take_settled(), [(1, Ok(Published::HandedOver))]);
    table.hand_over(time.at(0), |_| false);
    assert_eq!(table.take_settled(), [], "it is QoS 1");
}

#[test]
fn what_was_told_at_its_hand_over_leaves_on_the_next_connection_up_to_its_deadline() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[0]);
    let lose = |table: &mut Table| {
        table.hand_over(time.at(0), |_| false);
        table.lost(false, Blame::Unknown);
        table.connected(false);
        table.ready(WINDOW);
    };
    lose(&mut table);
    assert_eq!(table.take_settled(), [(0, Ok(Published::HandedOver))]);
    assert!(table.next().is_some());
    assert_eq!(table.unsettled(), 1, "a stop waits for it");
    send(&mut table, &time, 0);
    assert_eq!((table.take_settled(), table.unsettled(), table.entries.len()), (vec![], 0, 0));
    accept(&mut table, &time, &[0]);
    lose(&mut table);
    table.take_settled();
    table.expire(time.at(1000));
    assert_eq!((table.take_settled(), table.next(), table.entries.len()), (vec![], None, 0));
}

#[test]
fn mqtt_3_1_1_has_no_reason_code() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1]);
    send(&mut table, &time, 1);
    table.acknowledged(PubAck, 1, None, None).unwrap();
    let outcome = Ok(Published::Acknowledged { packet_identifier: 1, reason_code: None });
    assert_eq!(table.take_settled(), [(0, outcome)]);
}

#[test]
fn a_refusal_settles_its_message_alone() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 2, 1]);
    (1..=3).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    table.acknowledged(PubRec, 2, Some(135), None).unwrap();
    table.acknowledged(PubAck, 3, Some(151), None).unwrap();
    assert_eq!(table.take_settled(), [(1, Err(Failure::Refused(135))), (2, Err(Failure::Refused(151)))]);
    assert_eq!(table.unacknowledged(), 1);
}

#[test]
fn acknowledgements_may_come_out_of_order() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 1, 1]);
    (1..=3).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    for packet_identifier in [3, 1, 2] {
        table.acknowledged(PubAck, packet_identifier, Some(0), None).unwrap();
    }
    let callers: Vec<u32> = table.take_settled().into_iter().map(|(caller, _)| caller).collect();
    assert_eq!(callers, [2, 0, 1]);
}

#[test]
fn what_does_not_fit_settles_nothing() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 2]);
    send(&mut table, &time, 1);
    send(&mut table, &time, 2);
    for (kind, packet_identifier) in [(PubAck, 2), (PubComp, 2), (PubRec, 1), (PubComp, 1), (PubAck, 7)] {
        let violation = Violation::Acknowledgement { kind, packet_identifier };
        assert_eq!(table.acknowledged(kind, packet_identifier, Some(0), None), Err(violation));
    }
    table.acknowledged(PubRec, 2, Some(0), None).unwrap();
    assert!(table.acknowledged(PubRec, 2, Some(0), None).is_err(), "twice");
    table.acknowledged(PubAck, 1, Some(0), None).unwrap();
    assert!(table.acknowledged(PubAck, 1, Some(0), None).is_err(), "twice");
    assert_eq!(table.take_settled(), [(0, acknowledged(1, 0))]);
    assert_eq!(table.written(9, true, time.at(0)), Err(Violation::Written(9)));
}

#[test]
fn a_puback_settles_qos_2_in_mqtt_3_1_1_once_and_not_behind_a_pubrec() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[2, 2]);
    send(&mut table, &time, 1);
    send(&mut table, &time, 2);
    table.acknowledged(PubAck, 1, None, None).unwrap();
    assert!(table.acknowledged(PubAck, 1, None, None).is_err(), "twice");
    table.acknowledged(PubRec, 2, None, None).unwrap();
    assert!(table.acknowledged(PubAck, 2, None, None).is_err(), "it has said that it takes QoS 2 for what it is");
    let outcome = Ok(Published::Acknowledged { packet_identifier: 1, reason_code: None });
    assert_eq!(table.take_settled(), [(0, outcome)]);
}

#[test]
fn one_message_is_handed_over_at_a_time_and_in_order() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 0]);
    table.hand_over(time.at(0), WAITS);
    assert!(table.next().is_none(), "the first is not written yet");
    assert_eq!(table.written(0, true, time.at(0)), Err(Violation::Written(0)), "it is no QoS 0");
    table.written(1, true, time.at(0)).unwrap();
    assert_eq!(table.next().map(|message| message.qos), Some(Qos::AtMostOnce));
}

#[test]
fn no_more_is_unacknowledged_than_the_window_allows() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 1, 2, 1, 0]);
    (1..=3).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    assert!(table.next().is_none());
    table.acknowledged(PubAck, 1, Some(0), None).unwrap();
    send(&mut table, &time, 1);
}

#[test]
fn the_window_holds_where_there_are_more_packet_identifiers_than_it_has_places() {
    let (time, mut table) = (start(), table(10));
    table.ready(Window { size: 2, cycle: 10 });
    accept(&mut table, &time, &[1, 1, 1, 0]);
    send(&mut table, &time, 1);
    send(&mut table, &time, 2);
    assert!(table.next().is_none());
    table.acknowledged(PubAck, 2, Some(0), None).unwrap();
    send(&mut table, &time, 3);
    assert!(table.next().is_none(), "nor does QoS 0 overtake");
}

#[test]
fn a_packet_identifier_is_not_used_again_before_it_is_free() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[2, 1, 1, 1]);
    (1..=3).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    table.acknowledged(PubAck, 2, Some(0), None).unwrap();
    table.acknowledged(PubAck, 3, Some(0), None).unwrap();
    table.acknowledged(PubRec, 1, Some(0), None).unwrap();
    assert!(table.next().is_none(), "the next identifier is 1, whose PUBCOMP is yet to come");
    table.acknowledged(PubComp, 1, Some(0), None).unwrap();
    send(&mut table, &time, 1);
}

#[test]
fn one_too_many_is_refused_at_once() {
    let (time, mut table) = (start(), table(2));
    accept(&mut table, &time, &[1, 1, 1]);
    assert_eq!(table.take_settled(), [(2, Err(Failure::TooManyWaiting))]);
}

#[test]
fn a_message_keeps_its_memory_until_it_is_settled() {
    let (time, memory) = (start(), Memory::new(100));
    let mut table: Table = InFlight::new(2);
    for caller in 0..3 {
        let mut share = memory.nothing();
        share.resize(10).unwrap();
        table.accept(message(1), share, time.at(1000), caller);
    }
    assert_eq!((table.take_settled(), memory.taken()), (vec![(2, Err(Failure::TooManyWaiting))], 20));
    table.expire(time.at(1000));
    assert_eq!((table.take_settled().len(), memory.taken()), (2, 0));
}

#[test]
fn a_deadline_says_what_is_known() {
    let time = start();
    let mut table: Table = InFlight::new(10);
    table.take(message(1), time.at(5), 0);
    table.expire(time.at(4));
    assert_eq!(table.take_settled(), []);
    table.expire(time.at(5));
    assert_eq!(table.take_settled(), [(0, Err(Failure::NotConnected))]);

    table.ready(Window { size: 1, cycle: 1 });
    table.take(message(1), time.at(10), 1);
    table.take(message(1), time.at(9), 2);
    send(&mut table, &time, 1);
    table.expire(time.at(10));
    assert_eq!(table.take_settled(), [(2, Err(Failure::Busy)), (1, Err(Failure::Unknown))]);
    assert_eq!(table.unacknowledged(), 1, "its acknowledgement may still come");
    table.acknowledged(PubAck, 1, Some(0), None).unwrap();
    assert_eq!(table.take_settled(), [], "and tells nobody");
    assert_eq!(table.next_deadline(), None);
}

#[test]
fn a_lost_session_is_sent_anew_in_order_and_only_for_those_who_wait() {
    let (time, mut table) = (start(), table(10));
    table.take(message(1), time.at(10), 0);
    table.take(message(2), time.at(1000), 1);
    table.take(message(1), time.at(1000), 2);
    table.take(message(1), time.at(1000), 3);
    (1..=3).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    table.acknowledged(PubRec, 2, Some(0), None).unwrap();
    table.expire(time.at(10));
    table.lost(false, Blame::Unknown);
    assert!(table.next().is_none(), "there is no connection");
    table.connected(false);
    table.ready(WINDOW);
    assert_eq!(table.take_settled(), [(0, Err(Failure::Unknown))]);
    assert_eq!(table.next().unwrap().qos, Qos::ExactlyOnce);
    (1..=3).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    table.acknowledged(PubAck, 3, Some(0), None).unwrap();
    table.acknowledged(PubAck, 2, Some(0), None).unwrap();
    table.acknowledged(PubRec, 1, Some(0), None).unwrap();
    table.acknowledged(PubComp, 1, Some(0), None).unwrap();
    let callers: Vec<u32> = table.take_settled().into_iter().map(|(caller, _)| caller).collect();
    assert_eq!(callers, [3, 2, 1]);
    assert_eq!((table.unsettled(), table.unacknowledged()), (0, 0));
}

#[test]
fn that_nobody_subscribes_is_not_known_of_a_message_that_was_sent_before() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 2]);
    send(&mut table, &time, 1);
    send(&mut table, &time, 2);
    table.lost(false, Blame::Unknown);
    table.connected(false);
    table.ready(WINDOW);
    send(&mut table, &time, 1);
    send(&mut table, &time, 2);
    table.acknowledged(PubAck, 1, Some(16), None).unwrap();
    table.acknowledged(PubRec, 2, Some(16), None).unwrap();
    table.acknowledged(PubComp, 2, Some(0), None).unwrap();
    let outcome = |packet_identifier| Ok(Published::Acknowledged { packet_identifier, reason_code: None });
    assert_eq!(table.take_settled(), [(0, outcome(1)), (1, outcome(2))]);
}

#[test]
fn what_was_handed_over_and_lost_its_connection_is_unknown_at_its_deadline() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 1]);
    table.hand_over(time.at(0), WAITS);
    table.lost(false, Blame::Unknown);
    table.expire(time.at(1000));
    assert_eq!(table.take_settled(), [(0, Err(Failure::Unknown)), (1, Err(Failure::NotConnected))]);
}

#[test]
fn a_resumed_session_sends_what_it_owes_in_order_and_in_portions() {
    let (time, mut table) = (start(), table(10));
    table.take(message(1), time.at(10), 0);
    table.take(message(2), time.at(1000), 1);
    table.take(message(2), time.at(1000), 2);
    (1..=3).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    table.acknowledged(PubRec, 3, Some(0), None).unwrap();
    table.expire(time.at(10));
    table.take_settled();
    table.lost(true, Blame::Unknown);
    table.connected(true);
    assert_eq!(table.owed(2, time.at(20)), [Owed::Publish(1, message(1)), Owed::Publish(2, message(2))]);
    assert_eq!(table.owed(2, time.at(20)), [], "two are on the way");
    table.written(1, true, time.at(20)).unwrap();
    table.acknowledged(PubAck, 1, Some(0), None).unwrap();
    assert_eq!(table.owed(2, time.at(20)), [Owed::PubRel(3)]);
    table.acknowledged(PubComp, 3, Some(146), None).unwrap();
    table.acknowledged(PubRec, 2, Some(0), None).unwrap();
    table.acknowledged(PubComp, 2, Some(0), None).unwrap();
    assert_eq!(table.take_settled(), [(2, acknowledged(3, 0)), (1, acknowledged(2, 0))]);
    assert_eq!(table.unacknowledged(), 0);
}

#[test]
fn a_session_that_could_have_been_kept_and_was_not_is_sent_anew() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1]);
    send(&mut table, &time, 1);
    table.lost(true, Blame::Unknown);
    table.connected(false);
    table.ready(WINDOW);
    send(&mut table, &time, 1);
    table.acknowledged(PubAck, 1, Some(0), None).unwrap();
    assert_eq!(table.take_settled(), [(0, acknowledged(1, 0))]);
}

#[test]
fn a_message_that_ends_the_connection_each_time_is_given_up_and_the_others_go_through() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 1, 1]);
    for _ in 0..2 {
        (1..=3).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
        table.lost(false, Blame::Unknown);
        table.connected(false);
        table.ready(WINDOW);
    }
    // the first one is the poison: sent alone, it is found out
    send(&mut table, &time, 1);
    assert!(table.next().is_none(), "a suspect is alone");
    assert!(table.lost(false, Blame::Unknown).given_up, "the session is not to be resumed");
    assert_eq!(table.take_settled(), [(0, Err(Failure::GivenUp))]);
    table.connected(false);
    table.ready(WINDOW);
    for packet_identifier in [1, 2] {
        send(&mut table, &time, packet_identifier);
        table.acknowledged(PubAck, packet_identifier, Some(0), None).unwrap();
    }
    assert_eq!(table.take_settled(), [(1, acknowledged(1, 0)), (2, acknowledged(2, 0))]);
}

#[test]
fn a_loss_at_qos_0_is_unknown_and_never_repeated() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[0]);
    table.hand_over(time.at(0), WAITS);
    table.written(0, false, time.at(0)).unwrap();
    assert_eq!(table.take_settled(), [(0, Err(Failure::Unknown))]);
    table.lost(false, Blame::Unknown);
    assert_eq!(table.unsettled(), 0);
}

#[test]
fn a_message_that_would_leave_late_is_noticed() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[0]);
    table.hand_over(time.at(0), WAITS);
    assert_eq!(table.oldest_unacknowledged(), Some(time.at(0)));
    assert_eq!(table.overdue_at(), Some(time.at(1100)));
    table.expire(time.at(1200));
    table.lost(false, Blame::Unknown);
    assert_eq!(table.unacknowledged(), 0, "nobody waits for it any more: it is not sent again");
    table.connected(false);
    table.ready(WINDOW);
    assert!(table.next().is_none());
}

#[test]
fn what_the_library_was_interrupted_with_is_not_known_to_have_left() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[0, 1]);
    assert!(!table.interrupt(), "nothing was handed over");
    table.hand_over(time.at(0), WAITS);
    assert!(table.interrupt());
    table.written(0, true, time.at(0)).unwrap();
    assert_eq!(table.take_settled(), [(0, Err(Failure::Unknown))]);
    table.hand_over(time.at(0), WAITS);
    assert!(table.interrupt());
    table.written(1, true, time.at(0)).unwrap();
    table.acknowledged(PubAck, 1, Some(0), None).unwrap();
    assert_eq!(table.take_settled(), [(1, acknowledged(1, 0))], "an acknowledgement is one");
}

#[test]
fn a_message_that_was_sent_before_is_unknown_where_it_cannot_be_sent_again() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 1]);
    send(&mut table, &time, 1);
    table.lost(false, Blame::Unknown);
    table.connected(false);
    table.ready(WINDOW);
    table.refuse(Failure::RetainNotSupported);
    table.refuse(Failure::RetainNotSupported);
    let expected = [(0, Err(Failure::Unknown)), (1, Err(Failure::RetainNotSupported))];
    assert_eq!(table.take_settled(), expected);
}

#[test]
fn what_is_owed_and_cannot_be_sent_again_is_given_up_unless_the_broker_has_it() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 2, 2]);
    (1..=3).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    table.acknowledged(PubRec, 2, Some(0), None).unwrap();
    table.lost(true, Blame::Unknown);
    table.connected(true);
    assert!(table.give_up_owed(|message| message.qos != Qos::ExactlyOnce));
    assert_eq!(table.take_settled(), [(2, Err(Failure::Unknown))]);
    assert_eq!(table.unacknowledged(), 2);
    assert!(!table.give_up_owed(|message| message.qos != Qos::ExactlyOnce));
}

#[test]
fn a_stop_tells_everybody_what_is_known() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 1]);
    send(&mut table, &time, 1);
    table.stop();
    assert_eq!(table.take_settled(), [(0, Err(Failure::Unknown)), (1, Err(Failure::Stopping))]);
    assert_eq!(table.unsettled(), 0);
}

mod random {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    /// What may happen next; numbers choose among what is possible.
    #[derive(Debug, Clone)]
    enum Step {
        Accept { qos: u8, timeout: u64 },
        HandOver,
        Write,
        Acknowledge { which: usize, refuse: bool },
        Lose { session_kept: bool, flushed: bool, blame: Blame },
        Reconnect { session_present: bool, size: u16, spare: u16 },
        Wait(u64),
    }

    fn blame() -> impl Strategy<Value = Blame> {
        let message = any::<bool>().prop_map(|is_certain| Blame::Message { code: 149, is_certain });
        prop_oneof![Just(Blame::Unknown), Just(Blame::Elsewhere), message]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0u8..3, 1u64..200).prop_map(|(qos, timeout)| Step::Accept { qos, timeout }),
            4 => Just(Step::HandOver),
            4 => Just(Step::Write),
            4 => (any::<usize>(), prop::bool::weighted(0.1)).prop_map(|(which, refuse)| Step::Acknowledge { which, refuse }),
            1 => (any::<bool>(), any::<bool>(), blame())
                .prop_map(|(session_kept, flushed, blame)| Step::Lose { session_kept, flushed, blame }),
            2 => (any::<bool>(), 1u16..5, 0u16..3)
                .prop_map(|(session_present, size, spare)| Step::Reconnect { session_present, size, spare }),
            1 => (1u64..50).prop_map(Step::Wait),
        ]
    }

    /// A library and a broker as far as the table sees them.
    struct World {
        table: Table,
        start: Time,
        now: u64,
        connected: bool,
        window: Window,
        last_identifier: u16,
        /// Handed over and not written: its caller.
        handed_over: Option<u32>,
        /// With the broker: whose message, and whether its PUBREC is out.
        with_broker: HashMap<u16, (u32, bool)>,
        session_kept: bool,
        next_caller: u32,
        levels: HashMap<u32, u8>,
        ever_handed_over: HashSet<u32>,
        deadlines: HashMap<u32, u64>,
        outcomes: HashMap<u32, Outcome>,
        acknowledged: HashSet<u32>,
    }

    impl World {
        fn new() -> Self {
            Self {
                table: InFlight::new(8),
                start: super::start(),
                now: 0,
                connected: false,
                window: Window { size: 1, cycle: 1 },
                last_identifier: 0,
                handed_over: None,
                with_broker: HashMap::new(),
                session_kept: false,
                next_caller: 0,
                levels: HashMap::new(),
                ever_handed_over: HashSet::new(),
                deadlines: HashMap::new(),
                outcomes: HashMap::new(),
                acknowledged: HashSet::new(),
            }
        }

        fn take(&mut self, step: &Step) {
            match *step {
                Step::Accept { qos, timeout } => self.accept(qos, timeout),
                Step::HandOver => self.hand_over(),
                Step::Write => self.write(),
                Step::Acknowledge { which, refuse } => self.acknowledge(which, refuse),
                Step::Lose { session_kept, flushed, blame } => self.lose(session_kept, flushed, blame),
                Step::Reconnect { session_present, size, spare } => {
                    self.reconnect(session_present, Window { size, cycle: size + spare });
                }
                Step::Wait(time) => self.now += time,
            }
            self.table.expire(self.start.at(self.now));
            self.collect();
        }

        fn accept(&mut self, qos: u8, timeout: u64) {
            let caller = self.next_caller;
            self.next_caller += 1;
            // the payload says whose message it is
            let message = Message { payload: caller.to_string().into(), ..message(qos) };
            self.levels.insert(caller, qos);
            self.deadlines.insert(caller, self.now + timeout);
            self.table.take(message, self.start.at(self.now + timeout), caller);
        }

        fn hand_over(&mut self) {
            let Some(message) = self.table.next() else { return };
            assert!(self.connected && self.handed_over.is_none());
            let caller: u32 = std::str::from_utf8(&message.payload).unwrap().parse().unwrap();
            let is_told = self.outcomes.get(&caller) == Some(&Ok(Published::HandedOver));
            assert!(is_told || !self.outcomes.contains_key(&caller), "nobody waits for {caller}");
            assert!(self.deadlines[&caller] > self.now, "{caller} goes out after its deadline");
            self.table.hand_over(self.start.at(self.now), |caller| caller % 2 == 0);
            self.ever_handed_over.insert(caller);
            self.handed_over = Some(caller);
            self.collect();
            assert_eq!(self.outcomes.contains_key(&caller), self.levels[&caller] == 0 && caller % 2 == 1, "{caller}");
        }

        fn write(&mut self) {
            let Some(caller) = self.handed_over.take() else { return };
            let identifier = self.identifier_for(caller);
            self.table.written(identifier, true, self.start.at(self.now)).unwrap();
        }

        /// As the library gives them: in turn, without looking whether one is free.
        fn identifier_for(&mut self, caller: u32) -> u16 {
            if self.levels[&caller] == 0 {
                return 0;
            }
            self.last_identifier = self.last_identifier % self.window.cycle + 1;
            let before = self.with_broker.insert(self.last_identifier, (caller, false));
            assert_eq!(before, None, "packet identifier {} is in use", self.last_identifier);
            assert!(self.with_broker.len() <= usize::from(self.window.size), "over Receive Maximum");
            self.last_identifier
        }

        fn acknowledge(&mut self, which: usize, refuse: bool) {
            let mut identifiers: Vec<u16> = self.with_broker.keys().copied().collect();
            identifiers.sort_unstable();
            if identifiers.is_empty() || !self.connected {
                return;
            }
            let identifier = identifiers[which % identifiers.len()];
            let (caller, received) = self.with_broker[&identifier];
            let (kind, last) = match (self.levels[&caller], received) {
                (1, _) => (PubAck, true),
                (_, false) => (PubRec, refuse),
                (_, true) => (PubComp, true),
            };
            let refused = refuse && kind != PubComp;
            if last {
                self.with_broker.remove(&identifier);
                self.acknowledged.extend((!refused).then_some(caller));
            } else {
                self.with_broker.insert(identifier, (caller, true));
            }
            let code = if refused { 135 } else { 0 };
            let was_told = self.outcomes.contains_key(&caller);
            // an identifier that is owed, but not sent again yet, is not acknowledged by a sane broker
            self.table.acknowledged(kind, identifier, Some(code), None).unwrap();
            self.collect();
            if last && !was_told {
                let expected = if refused { Err(Failure::Refused(135)) } else { acknowledged(identifier, 0) };
                assert_eq!(self.outcomes.get(&caller), Some(&expected), "{caller}");
            }
        }

        fn lose(&mut self, session_kept: bool, flushed: bool, blame: Blame) {
            if !self.connected {
                return;
            }
            self.connected = false;
            self.session_kept = session_kept;
            if let Some(caller) = self.handed_over.take().filter(|_| flushed) {
                // the library wrote it, and the connection ended before it could tell
                let identifier = self.identifier_for(caller);
                self.table.written(identifier, false, self.start.at(self.now)).unwrap();
            }
            let aftermath = self.table.lost(session_kept, blame);
            if let Some(refused) = aftermath.refused {
                let caller: u32 = std::str::from_utf8(&refused.payload).unwrap().parse().unwrap();
                self.with_broker.retain(|_, (other, _)| *other != caller);
            }
        }

        fn reconnect(&mut self, session_present: bool, window: Window) {
            if self.connected {
                return;
            }
            self.connected = true;
            let session_present = session_present && self.session_kept;
            self.window = window;
            let size = window.size;
            self.last_identifier = 0;
            self.table.connected(session_present);
            if !session_present {
                self.with_broker.clear();
            }
            // what is owed goes out in portions, and is acknowledged, before anything new
            let mut sent_again = 0;
            while self.table.unacknowledged() > 0 {
                let owed = self.table.owed(size, self.start.at(self.now));
                assert!(!owed.is_empty() && owed.len() <= usize::from(size));
                for owed in owed {
                    sent_again += 1;
                    self.settle_owed(owed);
                }
            }
            assert!(sent_again <= 8 + 5, "no more than was unacknowledged");
            self.with_broker.clear();
            self.table.ready(self.window);
        }

        fn settle_owed(&mut self, owed: Owed) {
            let identifier = match owed {
                Owed::Publish(identifier, message) => {
                    let (caller, received) = self.with_broker[&identifier];
                    assert_eq!(message.payload, caller.to_string(), "the identifier's own message");
                    assert!(!received);
                    self.table.written(identifier, true, self.start.at(self.now)).unwrap();
                    if self.levels[&caller] == 1 {
                        self.acknowledged.insert(caller);
                        return self.table.acknowledged(PubAck, identifier, Some(0), None).unwrap();
                    }
                    self.table.acknowledged(PubRec, identifier, Some(0), None).unwrap();
                    identifier
                }
                Owed::PubRel(identifier) => identifier,
            };
            self.acknowledged.insert(self.with_broker[&identifier].0);
            self.table.acknowledged(PubComp, identifier, Some(0), None).unwrap();
        }

        /// Every caller is told once, and nothing that is not so.
        fn collect(&mut self) {
            for (caller, outcome) in self.table.take_settled() {
                let handed_over = self.ever_handed_over.contains(&caller);
                match outcome {
                    Ok(Published::HandedOver) => assert!(self.levels[&caller] == 0 && handed_over),
                    Ok(Published::Acknowledged { .. }) => {
                        assert!(self.acknowledged.contains(&caller), "{caller} was not acknowledged");
                    }
                    Err(Failure::NotConnected | Failure::Busy | Failure::TooManyWaiting) => assert!(!handed_over),
                    Err(Failure::Unknown | Failure::Refused(_) | Failure::GivenUp) => assert!(handed_over),
                    Err(other) => panic!("{caller}: {other:?}"),
                }
                let before = self.outcomes.insert(caller, outcome);
                assert_eq!(before, None, "{caller} was told twice");
            }
            assert!(self.table.unsettled() <= 8 + 1, "those who wait, and one that was told and has not left");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn everybody_is_told_once_and_the_truth(steps in prop::collection::vec(step(), 0..120)) {
            let mut world = World::new();
            for step in &steps {
                world.take(step);
            }
            world.now += 1000;
            world.table.expire(world.start.at(world.now));
            world.collect();
            prop_assert_eq!(world.outcomes.len(), usize::try_from(world.next_caller).unwrap());
            prop_assert_eq!(world.table.next_deadline(), None);
        }
    }
}
