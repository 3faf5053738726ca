//! Limits, deadlines and stop.

use super::*;

#[test]
fn a_message_over_the_maximum_is_refused_at_once() {
    let (time, mut table) = (start(), table(2));
    accept(&mut table, &time, &[1, 1, 1]);
    assert_eq!(table.take_settled(), [(2, Err(Failure::TooManyWaiting))]);
}

#[test]
fn a_message_keeps_its_memory_until_it_is_settled() {
    let (time, memory) = (start(), Memory::new(100));
    let mut table = Table::new(2);
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
fn the_outcome_at_the_deadline_says_what_is_known() {
    let time = start();
    let mut table = Table::new(10);
    table.accept_free(message(1), time.at(5), 0);
    table.expire(time.at(4));
    assert_eq!(table.take_settled(), []);
    table.expire(time.at(5));
    assert_eq!(table.take_settled(), [(0, Err(Failure::NotConnected))]);

    table.ready(Window { size: 1, exactly_once: 1, cycle: 1 });
    table.accept_free(message(1), time.at(10), 1);
    table.accept_free(message(1), time.at(9), 2);
    send(&mut table, &time, 1);
    table.expire(time.at(10));
    assert_eq!(table.take_settled(), [(2, Err(Failure::Busy)), (1, Err(Failure::Unknown))]);
    assert_eq!(table.unacknowledged(), 1, "its acknowledgement may still come");
    table.acknowledged(PubAck, 1, Some(0), None).unwrap();
    assert_eq!(table.take_settled(), [], "no caller is left");
    assert_eq!(table.next_deadline(), None);
}

#[test]
fn a_message_handed_over_to_a_lost_connection_is_unknown_at_its_deadline() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 1]);
    table.hand_over(time.at(0), true);
    table.lost(false, Blame::Unknown);
    table.expire(time.at(1000));
    assert_eq!(table.take_settled(), [(0, Err(Failure::Unknown)), (1, Err(Failure::NotConnected))]);
}

#[test]
fn a_message_that_would_leave_late_is_detected() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[0]);
    table.hand_over(time.at(0), true);
    assert_eq!(table.oldest_unacknowledged(), Some(time.at(0)));
    assert_eq!(table.overdue_at(), Some(time.at(1100)));
    table.expire(time.at(1200));
    table.lost(false, Blame::Unknown);
    assert_eq!(table.unacknowledged(), 0, "no caller waits for it: it is not sent again");
    table.connected(false);
    table.ready(WINDOW);
    assert!(table.next().is_none());
}

#[test]
fn a_stop_settles_every_message() {
    let (time, mut table) = (start(), table(10));
    accept(&mut table, &time, &[1, 1]);
    send(&mut table, &time, 1);
    table.stop();
    assert_eq!(table.take_settled(), [(0, Err(Failure::Unknown)), (1, Err(Failure::Stopping))]);
    assert_eq!(table.unsettled(), 0);
}
