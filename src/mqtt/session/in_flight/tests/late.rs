//! Outcomes that are known after the caller got "unknown" at its deadline.

use super::*;

/// A table in which callers 0, 1, 2 … of messages with these levels of QoS, which were sent, got "unknown".
fn overdue(time: &Time, levels: &[u8]) -> Table {
    let mut table = table(10);
    accept(&mut table, time, levels);
    for packet_identifier in 1..=levels.len() {
        send(&mut table, time, u16::try_from(packet_identifier).unwrap());
    }
    expire(&mut table, time);
    table
}

fn expire(table: &mut Table, time: &Time) {
    table.expire(time.at(1000));
    assert!(table.take_settled().iter().all(|(_, outcome)| *outcome == Err(Failure::Unknown)));
    assert_eq!(table.take_late(), []);
}

#[test]
fn a_late_acknowledgement_and_a_late_refusal_are_told_once() {
    let time = start();
    let mut table = overdue(&time, &[1, 1, 2]);
    table.acknowledged(PubAck, 2, Some(135), None).unwrap();
    table.acknowledged(PubAck, 1, Some(0), None).unwrap();
    table.acknowledged(PubRec, 3, Some(0), None).unwrap();
    assert_eq!(table.take_late(), [(1, Err(Failure::Refused(135))), (0, acknowledged(1, 0))]);
    table.acknowledged(PubComp, 3, Some(0), None).unwrap();
    assert_eq!((table.take_late(), table.take_settled()), (vec![(2, acknowledged(3, 0))], vec![]));
}

#[test]
fn who_got_another_outcome_is_told_no_late_one() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[0, 1, 1, 1]);
    table.hand_over(time.at(0), false);
    table.written(0, true, time.at(0)).unwrap();
    send(&mut table, &time, 1);
    table.acknowledged(PubAck, 1, Some(0), None).unwrap();
    send(&mut table, &time, 2);
    table.stop();
    assert_eq!((table.take_settled().len(), table.take_late()), (4, vec![]));
}

#[test]
fn a_message_that_certainly_did_not_leave_is_told_as_not_sent() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1]);
    table.hand_over(time.at(0), true);
    expire(&mut table, &time);
    table.lost(true, Blame::Unknown);
    assert_eq!(table.take_late(), [(0, Err(Failure::NotConnected))]);
}

#[test]
fn a_message_that_may_have_left_before_its_connection_ended_is_told_to_nobody() {
    // the MQTT client was interrupted while it had the message
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1]);
    table.hand_over(time.at(0), true);
    table.interrupt();
    expire(&mut table, &time);
    table.lost(false, Blame::Unknown);
    assert_eq!((table.take_late(), table.entries.len()), (vec![], 0));
    // it was sent on the connection before
    table.connected(false);
    table.ready(WINDOW);
    accept(&mut table, &time, &[1]);
    send(&mut table, &time, 1);
    table.lost(false, Blame::Elsewhere);
    table.connected(false);
    table.ready(WINDOW);
    table.hand_over(time.at(0), true);
    expire(&mut table, &time);
    table.lost(false, Blame::Unknown);
    assert_eq!((table.take_late(), table.entries.len()), (vec![], 0));
}

#[test]
fn what_is_forgotten_without_knowledge_is_told_to_nobody() {
    let forget: [fn(&mut Table); 5] = [
        |table| _ = table.lost(false, Blame::Unknown),
        |table| {
            table.lost(true, Blame::Elsewhere);
            table.connected(false);
        },
        |table| {
            table.lost(true, Blame::Elsewhere);
            table.connected(true);
            assert!(table.give_up_retransmissions(|_| false));
        },
        |table| table.stop(),
        |table| {
            for _ in 0..3 {
                table.connected(true);
                let size = table.retransmissions(1, Instant::now()).len();
                assert!(size <= 1);
                table.lost(true, Blame::Unknown);
            }
        },
    ];
    for (which, forget) in forget.into_iter().enumerate() {
        let time = start();
        let mut table = overdue(&time, &[2]);
        forget(&mut table);
        assert_eq!((table.take_late(), table.entries.len()), (vec![], 0), "{which}");
    }
}

#[test]
fn a_refusal_that_is_found_when_the_connection_ends_is_told() {
    let time = start();
    let mut table = overdue(&time, &[1]);
    table.lost(true, Blame::Message { code: 149, is_certain: true });
    assert_eq!(table.take_late(), [(0, Err(Failure::Refused(149)))]);
    let mut table = overdue(&time, &[1]);
    table.lost(true, Blame::Elsewhere);
    table.refuse_all(|_| Some(Failure::Refused(149)));
    assert_eq!(table.take_late(), [(0, Err(Failure::Refused(149)))]);
}
