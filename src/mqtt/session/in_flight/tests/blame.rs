//! A connection that ends over one message affects only that message.

use super::*;

const CERTAIN: Blame = Blame::Message { code: 149, is_certain: true };
const UNCERTAIN: Blame = Blame::Message { code: 149, is_certain: false };

fn reconnect(table: &mut Table) {
    table.connected(false);
    table.ready(WINDOW);
}

#[test]
fn the_only_unacknowledged_message_is_the_refused_one() {
    for (qos, kept) in [(1, false), (2, false), (1, true), (2, true)] {
        let (time, mut table) = (start(), table(10));
        accept(&mut table, &time, &[qos]);
        send(&mut table, &time, 1);
        let aftermath = table.lost(kept, CERTAIN);
        assert_eq!(aftermath, Aftermath { given_up: false, found: true, refused: Some(message(qos)) });
        assert_eq!(table.take_settled(), [(0, Err(Failure::Refused(149)))]);
        assert_eq!((table.unsettled(), table.unacknowledged()), (0, 0));
    }
}

#[test]
fn each_of_several_suspects_is_sent_alone() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 2, 1]);
    (1..=3).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    assert_eq!(table.lost(false, CERTAIN), Aftermath { found: true, ..Aftermath::default() });
    reconnect(&mut table);
    accept(&mut table, &time, &[1, 0]);
    send(&mut table, &time, 1);
    assert!(table.next().is_none(), "alone");
    table.acknowledged(PubAck, 1, Some(0), None).unwrap();
    send(&mut table, &time, 2);
    assert!(table.next().is_none(), "alone");
    assert_eq!(table.lost(false, CERTAIN).refused, Some(message(2)));
    reconnect(&mut table);
    send(&mut table, &time, 1);
    table.acknowledged(PubAck, 1, Some(16), None).unwrap();
    send(&mut table, &time, 2);
    assert!(table.next().is_some(), "a message that was never accused is not sent alone");
    let acknowledged_before = Ok(Published::Acknowledged { packet_identifier: 1, reason_code: None });
    assert_eq!(
        table.take_settled(),
        [(0, acknowledged(1, 0)), (1, Err(Failure::Refused(149))), (2, acknowledged_before)],
        "no matching subscribers is not reported for a message that was sent before"
    );
}

#[test]
fn a_received_message_is_not_blamed() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[2, 1]);
    (1..=2).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    table.acknowledged(PubRec, 1, Some(0), None).unwrap();
    // the code may be in the answer to a PUBREL
    assert_eq!(table.lost(true, CERTAIN), Aftermath { found: true, ..Aftermath::default() });
    table.connected(true);
    assert_eq!(table.retransmissions(10, time.at(0)), [Retransmission::PubRel(1)]);
    table.acknowledged(PubComp, 1, Some(0), None).unwrap();
    assert_eq!(table.retransmissions(10, time.at(0)), [Retransmission::Publish(2, message(1))]);
    assert_eq!(table.lost(true, CERTAIN).refused, Some(message(1)));
    assert_eq!(table.take_settled(), [(0, acknowledged(1, 0)), (1, Err(Failure::Refused(149)))]);
}

#[test]
fn an_uncertain_reason_is_attributed_only_to_a_message_that_was_alone() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1]);
    for is_alone in [false, true] {
        send(&mut table, &time, 1);
        assert_eq!(table.lost(false, UNCERTAIN).refused.is_some(), is_alone);
        reconnect(&mut table);
    }
    assert_eq!(table.take_settled(), [(0, Err(Failure::Refused(149)))]);
}

#[test]
fn without_an_unacknowledged_message_none_is_blamed() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1]);
    assert_eq!(table.lost(false, CERTAIN), Aftermath::default());
    reconnect(&mut table);
    send(&mut table, &time, 1);
    table.acknowledged(PubAck, 1, Some(0), None).unwrap();
    assert_eq!(table.take_settled(), [(0, acknowledged(1, 0))]);
}

#[test]
fn a_resumed_session_sends_a_suspect_alone() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 1]);
    (1..=2).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    table.lost(true, CERTAIN);
    table.connected(true);
    assert_eq!(table.retransmissions(10, time.at(0)).len(), 1);
    assert_eq!(table.lost(true, CERTAIN).refused, Some(message(1)));
    assert_eq!(table.take_settled(), [(0, Err(Failure::Refused(149)))]);
}

#[test]
fn a_known_refusal_settles_messages_whether_sent_or_not() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 1, 2]);
    send(&mut table, &time, 1);
    table.lost(true, Blame::Unknown);
    table.refuse_all(|message| (message.qos == Qos::AtLeastOnce).then_some(Failure::Busy));
    assert_eq!(table.take_settled(), [(0, Err(Failure::Busy)), (1, Err(Failure::Busy))]);
    assert_eq!((table.unsettled(), table.unacknowledged()), (1, 0));
}

#[test]
fn an_end_for_another_reason_counts_against_no_message() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 1]);
    for _ in 0..10 {
        (1..=2).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
        assert_eq!(table.lost(false, Blame::Elsewhere), Aftermath::default());
        reconnect(&mut table);
    }
    assert_eq!((table.take_settled(), table.unsettled()), (vec![], 2));
}
