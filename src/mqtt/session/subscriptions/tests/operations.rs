//! Which operations are sent, how answers are assigned, and what a kept session gets.

use super::*;

#[test]
fn with_identifiers_each_filter_has_its_own_subscribe_and_all_are_sent_at_once() {
    let mut bench = Bench::new(&[of_file("a/#", Qos::AtLeastOnce), of_file("a/b", Qos::AtMostOnce)], false);
    assert_eq!(bench.send(), [""; 0]);
    bench.connect(false, true);
    assert_eq!(bench.send(), ["id a/# 1", "id a/b 0"]);
    assert!(!bench.table.is_settled());
    bench.answer();
    assert!(bench.table.is_settled());
    let granted: Vec<_> = bench.table.statuses().iter().map(|status| status.answer).collect();
    assert_eq!(granted, [Some(Ok(1)), Some(Ok(0))]);
}

#[test]
fn later_interests_do_not_delay_the_connection() {
    let mut bench = Bench::new(&[of_file("file", Qos::AtMostOnce)], false);
    bench.connect(false, true);
    bench.send();
    bench.register("a", RECORD, 1);
    assert!(!bench.table.is_settled());
    bench.answer();
    bench.send();
    bench.register("b", RECORD, 2);
    assert!(bench.table.is_settled());
}

#[test]
fn an_answer_of_the_wrong_kind_is_ignored() {
    let mut bench = Bench::new(&[of_file("a", Qos::AtLeastOnce)], false);
    bench.connect(false, true);
    assert_eq!(bench.send(), ["id a 1"]);
    assert!(bench.table.unsubscribed(1, None).is_none());
    assert!(bench.send().is_empty() && bench.table.oldest_unanswered().is_some());
    bench.answer();
    bench.register("b", RECORD, 1);
    bench.settle();
    bench.register("b", Interest::Unsubscribe, 2);
    assert_eq!(bench.send(), ["not b"]);
    assert!(bench.table.subscribed(3, &[Ok(1)], bench.now).is_none());
    assert!(bench.send().is_empty() && bench.table.oldest_unanswered().is_some());
    bench.answer();
    assert_eq!(bench.answers(), [(1, Ok(1)), (2, Ok(0))]);
}

#[test]
fn what_is_no_longer_wanted_is_unsubscribed_from_in_a_kept_session() {
    let mut bench = Bench::new(&[], true);
    bench.connect(false, true);
    bench.register("a", RECORD, 1);
    bench.register("b", READ, 2);
    bench.settle();
    bench.disconnect();
    bench.table.leave(&filter("b"), READ, bench.now);
    bench.pass(LINGER);
    bench.connect(true, true);
    let mut asked = bench.settle();
    asked.sort();
    assert_eq!(asked, ["id a 1", "not b"]);
    assert_eq!(bench.table.entries.len(), 1);
}

#[test]
fn a_kept_session_keeps_a_filter_whose_unsubscribe_is_too_large() {
    let mut bench = Bench::new(&[of_file("a", Qos::AtLeastOnce)], true);
    bench.connect(false, true);
    let long = "b".repeat(100);
    bench.register(&long, READ, 1);
    bench.settle();
    bench.disconnect();
    bench.table.leave(&filter(&long), READ, bench.now);
    bench.pass(LINGER);
    bench.table.connected(true, Limits { max_packet_size: 100, ..limits(true) }, None, bench.now);
    assert_eq!(bench.settle(), ["id a 1"]);
    assert!(bench.table.is_settled() && bench.table.entries.len() == 1);
}

#[test]
fn a_kept_session_is_left_with_the_filters_of_the_configuration() {
    let mut bench = Bench::new(&[of_file("a/b", Qos::AtLeastOnce)], true);
    bench.connect(false, false);
    bench.register("c", RECORD, 1);
    bench.settle();
    assert_eq!(bench.table.to_leave(), (vec![], vec![filter("c")]));
    bench.register("#", READ, 2);
    bench.settle();
    assert_eq!(bench.table.to_leave(), (vec![(filter("a/b"), Qos::AtLeastOnce)], vec![filter("#")]));
}
