//! Which message is handed over when, and what that promises.

use super::*;

#[test]
fn at_qos_0_the_hand_over_is_the_outcome_unless_the_caller_waits_for_the_write() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[0, 0, 1]);
    table.hand_over(time.at(0), false);
    assert_eq!(table.take_settled(), [(0, Ok(Published::HandedOver))]);
    assert!(table.next().is_none(), "one at a time, so that at most one is lost with the connection");
    assert_eq!((table.unsettled(), table.overdue_at()), (2, Some(time.at(1000) + OVERDUE)));
    table.written(0, true, time.at(0)).unwrap();
    table.hand_over(time.at(0), true);
    assert_eq!(table.take_settled(), []);
    table.written(0, true, time.at(0)).unwrap();
    assert_eq!(table.take_settled(), [(1, Ok(Published::HandedOver))]);
    table.hand_over(time.at(0), false);
    assert_eq!(table.take_settled(), [], "it is QoS 1");
}

#[test]
fn a_message_promised_at_its_hand_over_is_sent_on_the_next_connection_until_its_deadline() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[0]);
    let lose = |table: &mut Table| {
        table.hand_over(time.at(0), false);
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
    assert_eq!((table.take_settled(), table.entries.len()), (vec![], 0));
}

#[test]
fn one_message_is_handed_over_at_a_time_and_in_order() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 0]);
    table.hand_over(time.at(0), true);
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
fn the_window_limits_also_with_a_longer_cycle_of_packet_identifiers() {
    let (time, mut table) = (start(), table(10));
    table.ready(Window { size: 2, exactly_once: 2, cycle: 10 });
    accept(&mut table, &time, &[1, 1, 1, 0]);
    send(&mut table, &time, 1);
    send(&mut table, &time, 2);
    assert!(table.next().is_none());
    table.acknowledged(PubAck, 2, Some(0), None).unwrap();
    send(&mut table, &time, 3);
    assert!(table.next().is_none(), "QoS 0 does not overtake");
}

#[test]
fn the_window_limits_messages_at_qos_2_until_their_pubcomp_and_what_is_behind_them() {
    let (time, mut table) = (start(), table(10));
    table.ready(Window { size: 10, exactly_once: 2, cycle: 10 });
    accept(&mut table, &time, &[2, 1, 2, 1, 2, 1, 2]);
    send(&mut table, &time, 1);
    send(&mut table, &time, 2);
    send(&mut table, &time, 3);
    send(&mut table, &time, 4);
    assert!(table.next().is_none(), "two are unacknowledged");
    table.acknowledged(PubAck, 2, None, None).unwrap();
    table.acknowledged(PubRec, 3, None, None).unwrap();
    assert!(table.next().is_none(), "the broker may not have the PUBREL");
    table.acknowledged(PubComp, 3, None, None).unwrap();
    send(&mut table, &time, 5);
    send(&mut table, &time, 6);
    assert!(table.next().is_none());
    // a resumed session owes both, and a new one neither
    table.lost(true, Blame::Elsewhere);
    table.connected(true);
    assert_eq!(table.retransmissions(10, time.at(0)).len(), 4);
    table.ready(Window { size: 10, exactly_once: 2, cycle: 10 });
    assert!(table.next().is_none());
    table.lost(false, Blame::Elsewhere);
    table.connected(false);
    table.ready(Window { size: 10, exactly_once: 2, cycle: 10 });
    for packet_identifier in 1..=4 {
        send(&mut table, &time, packet_identifier);
    }
    assert!(table.next().is_none());
    table.expire(time.at(1000));
    table.take_settled();
    table.accept_free(message(2), time.at(2000), 10);
    assert!(table.next().is_none(), "without a caller they are unacknowledged all the same");
    table.acknowledged(PubAck, 2, None, None).unwrap();
    table.acknowledged(PubAck, 1, None, None).expect("as RabbitMQ does it");
    send(&mut table, &time, 5);
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
fn a_message_at_an_interruption_of_the_client_is_not_known_to_have_left() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[0, 1]);
    assert!(!table.interrupt(), "nothing was handed over");
    table.hand_over(time.at(0), true);
    assert!(table.interrupt());
    table.written(0, true, time.at(0)).unwrap();
    assert_eq!(table.take_settled(), [(0, Err(Failure::Unknown))]);
    table.hand_over(time.at(0), true);
    assert!(table.interrupt());
    table.written(1, true, time.at(0)).unwrap();
    table.acknowledged(PubAck, 1, Some(0), None).unwrap();
    assert_eq!(table.take_settled(), [(1, acknowledged(1, 0))], "the acknowledgement is certain");
}
