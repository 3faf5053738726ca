//! Lost connections, lost sessions and resumed ones.

use super::*;

#[test]
fn after_a_lost_session_messages_with_a_waiting_caller_are_sent_anew_in_order() {
    let (time, mut table) = (start(), table(10));
    table.accept_free(message(1), time.at(10), 0);
    table.accept_free(message(2), time.at(1000), 1);
    table.accept_free(message(1), time.at(1000), 2);
    table.accept_free(message(1), time.at(1000), 3);
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
fn no_matching_subscribers_is_not_reported_for_a_message_that_was_sent_before() {
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
fn a_resumed_session_retransmits_in_order_and_within_the_window() {
    let (time, mut table) = (start(), table(10));
    table.accept_free(message(1), time.at(10), 0);
    table.accept_free(message(2), time.at(1000), 1);
    table.accept_free(message(2), time.at(1000), 2);
    (1..=3).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    table.acknowledged(PubRec, 3, Some(0), None).unwrap();
    table.expire(time.at(10));
    table.take_settled();
    table.lost(true, Blame::Unknown);
    table.connected(true);
    assert_eq!(
        table.retransmissions(2, time.at(20)),
        [Retransmission::Publish(1, message(1)), Retransmission::Publish(2, message(2))]
    );
    assert_eq!(table.retransmissions(2, time.at(20)), [], "two are on the way");
    table.written(1, true, time.at(20)).unwrap();
    table.acknowledged(PubAck, 1, Some(0), None).unwrap();
    assert_eq!(table.retransmissions(2, time.at(20)), [Retransmission::PubRel(3)]);
    table.acknowledged(PubComp, 3, Some(146), None).unwrap();
    table.acknowledged(PubRec, 2, Some(0), None).unwrap();
    table.acknowledged(PubComp, 2, Some(0), None).unwrap();
    assert_eq!(table.take_settled(), [(2, acknowledged(3, 0)), (1, acknowledged(2, 0))]);
    assert_eq!(table.unacknowledged(), 0);
}

#[test]
fn messages_of_a_session_that_was_not_resumed_are_sent_anew() {
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
fn a_message_that_ends_the_connection_each_time_is_given_up_and_the_others_are_sent() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 1, 1]);
    for _ in 0..2 {
        (1..=3).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
        table.lost(false, Blame::Unknown);
        table.connected(false);
        table.ready(WINDOW);
    }
    // the first one ends connections: sent alone, it is identified
    send(&mut table, &time, 1);
    assert!(table.next().is_none(), "a suspect is sent alone");
    assert!(table.lost(false, Blame::Unknown).given_up, "the session must not be resumed");
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
fn a_lost_message_at_qos_0_is_unknown_and_not_sent_again() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[0]);
    table.hand_over(time.at(0), true);
    table.written(0, false, time.at(0)).unwrap();
    assert_eq!(table.take_settled(), [(0, Err(Failure::Unknown))]);
    table.lost(false, Blame::Unknown);
    assert_eq!(table.unsettled(), 0);
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
fn a_retransmission_that_cannot_be_sent_is_given_up_unless_the_broker_has_the_message() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 2, 2]);
    (1..=3).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    table.acknowledged(PubRec, 2, Some(0), None).unwrap();
    table.lost(true, Blame::Unknown);
    table.connected(true);
    assert!(table.give_up_retransmissions(|message| message.qos != Qos::ExactlyOnce));
    assert_eq!(table.take_settled(), [(2, Err(Failure::Unknown))]);
    assert_eq!(table.unacknowledged(), 2);
    assert!(!table.give_up_retransmissions(|message| message.qos != Qos::ExactlyOnce));
}
