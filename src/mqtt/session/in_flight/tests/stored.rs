//! Messages of the outbox.

use super::*;

fn expiry(message: &Message) -> u32 {
    message.properties.message_expiry_interval.unwrap()
}

fn identifiers(retransmissions: &[Retransmission]) -> Vec<u16> {
    let identifier = |retransmission: &Retransmission| match retransmission {
        Retransmission::Publish(identifier, _) | Retransmission::PubRel(identifier) => *identifier,
    };
    retransmissions.iter().map(identifier).collect()
}

#[test]
fn the_outbox_does_not_count_against_the_bound_of_requests() {
    let (time, mut table) = (start(), table(1));
    (0..3).for_each(|caller| table.accept_stored(message(1), time.at(1000), caller));
    let waiting = table.caller(Qos::AtLeastOnce, 3);
    table.in_flight.accept(message(1), None, time.at(1000), waiting);
    assert_eq!((table.unsettled(), table.oldest_caller().is_some()), (0, false));
    table.accept_free(message(1), time.at(1000), 4);
    table.accept_free(message(1), time.at(1000), 5);
    let waiting = table.caller(Qos::AtLeastOnce, 6);
    table.in_flight.accept(message(1), None, time.at(1000), waiting);
    assert_eq!((table.take_settled(), table.unsettled()), (vec![(5, Err(Failure::TooManyWaiting))], 1));
    assert!(table.oldest_caller().is_some());
    table.expire(time.at(1000));
    assert_eq!((table.take_settled().len(), table.unsettled()), (6, 0));
}

#[test]
fn nothing_is_sent_for_the_first_time_after_its_deadline() {
    let (time, mut table) = (start(), table(10));
    table.accept_stored(message(1), time.at(1000), 0);
    table.expire(time.at(1000));
    assert_eq!(table.next(), None);
    assert_eq!(table.take_settled(), [(0, Err(Failure::Busy))]);
}

#[test]
fn at_qos_1_what_is_past_its_deadline_is_not_sent_again() {
    let (time, mut table) = (start(), table(10));
    table.accept_stored(message(1), time.at(10), 0);
    table.accept_stored(message(1), time.at(1000), 1);
    (1..=2).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    table.accept_free(message(1), time.at(10), 2);
    send(&mut table, &time, 3);
    table.lost(true, Blame::Elsewhere);
    table.connected(true);
    assert_eq!(identifiers(&table.retransmissions(10, time.at(10))), [2, 3]);
    assert_eq!((table.take_settled(), table.take_late()), (vec![(0, Err(Failure::Unknown))], vec![]));
    // what was sent again in time may still be acknowledged after that
    assert_eq!(table.retransmissions(10, time.at(1000)), []);
    table.acknowledged(PubAck, 2, Some(0), None).unwrap();
    assert_eq!(table.take_settled(), [(1, acknowledged(2, 0))]);
}

#[test]
fn at_qos_2_the_session_is_left_unless_the_broker_has_the_message() {
    let (time, mut table) = (start(), table(10));
    table.accept_stored(message(2), time.at(10), 0);
    table.accept_stored(message(2), time.at(10), 1);
    (1..=2).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    table.accept_free(message(1), time.at(1000), 2);
    send(&mut table, &time, 3);
    table.acknowledged(PubRec, 1, Some(0), None).unwrap();
    table.expire(time.at(10));
    table.lost(true, Blame::Elsewhere);
    table.connected(true);
    assert_eq!(table.in_flight.retransmissions(10, time.at(10)), None);
    assert_eq!(table.take_settled(), [(0, Err(Failure::Unknown)), (1, Err(Failure::Unknown))]);
    // one with a PUBREC is no obstacle
    assert_eq!(table.retransmissions(10, time.at(10))[0], Retransmission::PubRel(1));
    table.lost(false, Blame::Elsewhere);
    table.connected(false);
    table.ready(WINDOW);
    send(&mut table, &time, 1);
    assert_eq!(table.next(), None);
    assert_eq!(table.take_late(), []);
}

#[test]
fn whenever_it_is_sent_its_expiry_interval_is_what_is_left_for_it() {
    let (time, mut table) = (start(), table(10));
    table.accept_stored(message(1), time.at(2500), 0);
    for (now, left) in [(0, 3), (500, 2), (501, 2), (1499, 2), (1500, 1), (2499, 1), (2500, 1), (9999, 1)] {
        assert_eq!(table.in_flight.next(time.at(now)).map(expiry), Some(left), "{now}");
    }
    send(&mut table, &time, 1);
    table.lost(true, Blame::Elsewhere);
    table.connected(true);
    let owed = table.retransmissions(10, time.at(1400));
    assert!(matches!(&owed[..], [Retransmission::Publish(1, message)] if expiry(message) == 2), "{owed:?}");
}

#[test]
fn an_expiry_interval_that_a_request_gave_stays_and_none_is_added() {
    let (time, mut table) = (start(), table(10));
    let mut given = message(1);
    given.properties.message_expiry_interval = Some(7);
    table.accept_free(given, time.at(1000), 0);
    assert_eq!(table.in_flight.next(time.at(0)).map(expiry), Some(7));
    send(&mut table, &time, 1);
    let waiting = table.caller(Qos::AtLeastOnce, 1);
    table.in_flight.accept_stored(1, message(1), time.at(1000), waiting);
    assert_eq!(table.in_flight.next(time.at(0)), Some(&message(1)), "MQTT 3.1.1 has none");
}

#[test]
fn only_what_was_never_handed_over_is_taken_back() {
    let (time, mut table) = (start(), table(10));
    for caller in 0..5 {
        table.accept_stored(message(1), time.at(1000), caller);
    }
    table.hand_over(time.at(0), true);
    assert!(!table.withdraw(0), "handed over");
    table.lost(false, Blame::Elsewhere);
    assert!(!table.withdraw(0), "it may have been sent");
    assert!(table.withdraw(2));
    assert!(!table.withdraw(2), "twice");
    assert_eq!(table.withdraw_all(), [1, 3, 4]);
    assert_eq!((table.entries.len(), table.waiting.len(), table.deadlines.len()), (1, 1, 1));
    table.expire(time.at(1000));
    assert_eq!((table.take_settled(), table.take_late()), (vec![(0, Err(Failure::Unknown))], vec![]));
    table.accept_stored(message(1), time.at(1001), 7);
    table.expire(time.at(1001));
    assert!(!table.withdraw(7), "it was settled");
}

#[test]
fn a_stop_waits_only_for_what_is_with_the_connection() {
    let (time, mut table) = (start(), table(10));
    table.accept_stored(message(1), time.at(1000), 0);
    table.accept_stored(message(1), time.at(1000), 1);
    assert!(table.is_drained());
    send(&mut table, &time, 1);
    assert!(!table.is_drained(), "it is unacknowledged");
    table.lost(false, Blame::Elsewhere);
    assert!(table.is_drained(), "it waits again");
    table.accept_free(message(1), time.at(1000), 2);
    assert!(!table.is_drained(), "a request waits");
}

#[test]
fn one_that_is_sent_again_must_be_written_in_time() {
    let (time, mut table) = (start(), table(10));
    table.accept_stored(message(1), time.at(1000), 0);
    send(&mut table, &time, 1);
    table.accept_free(message(1), time.at(10), 1);
    send(&mut table, &time, 2);
    table.lost(true, Blame::Elsewhere);
    table.connected(true);
    assert_eq!((table.retransmissions(10, time.at(5)).len(), table.overdue_at()), (2, Some(time.at(1000) + OVERDUE)));
    table.written(1, true, time.at(6)).unwrap();
    assert_eq!(table.overdue_at(), None);
    table.lost(true, Blame::Elsewhere);
    table.connected(true);
    table.retransmissions(10, time.at(7));
    table.lost(true, Blame::Elsewhere);
    assert_eq!(table.overdue_at(), None, "the connection has ended");
}

#[test]
fn time_in_which_the_machine_is_suspended_counts_for_the_outbox() {
    let (time, mut table) = (start(), table(10));
    table.accept_stored(message(1), time.at(1000), 0);
    table.accept_stored(message(1), time.at(5000), 1);
    send(&mut table, &time, 1);
    table.accept_free(message(1), time.at(1000), 2);
    table.suspended(Duration::from_secs(2));
    table.expire(time.at(0));
    assert_eq!(table.take_settled(), [(0, Err(Failure::Unknown))]);
    assert_eq!(table.next_deadline(), Some(time.at(1000)), "that of a request, whose caller did not wait meanwhile");
    table.acknowledged(PubAck, 1, Some(0), None).unwrap();
    table.expire(time.at(3000));
    assert_eq!(table.take_late(), [(0, acknowledged(1, 0))]);
    assert_eq!(table.next(), None);
}

/// MQTT 5, 4.6. The outbox and requests take turns, so that this is not the order of acceptance.
#[test]
fn what_is_sent_again_goes_in_the_order_of_the_first_time() {
    let (time, mut table) = (start(), table(10));
    (0..2).for_each(|caller| table.accept_stored(message(1), time.at(1000), caller));
    table.accept_free(message(1), time.at(1000), 2);
    (1..=3).for_each(|packet_identifier| send(&mut table, &time, packet_identifier));
    for _ in 0..2 {
        table.lost(true, Blame::Elsewhere);
        table.connected(true);
        assert_eq!(identifiers(&table.retransmissions(10, time.at(10))), [1, 2, 3]);
    }
}
