//! What callers that wait for an answer get.

use super::*;

#[test]
fn unsubscribing_while_a_reader_waits_succeeds() {
    let mut bench = Bench::new(&[], false);
    bench.connect(false, true);
    bench.register("a", Interest::Record(Qos::AtMostOnce), 1);
    bench.settle();
    bench.register("a", Interest::Read { qos: Qos::AtLeastOnce, retained: true }, 2);
    bench.register("a", Interest::Unsubscribe, 3);
    bench.settle();
    assert_eq!(bench.answers(), [(1, Ok(0)), (2, Ok(1)), (3, Ok(0))]);
    assert_eq!(bench.table.statuses()[0].source, Source::Listener);
}

#[test]
fn a_caller_gets_the_answer_of_the_broker() {
    let mut bench = Bench::new(&[], false);
    bench.connect(false, true);
    bench.refused.push("no");
    bench.register("yes", RECORD, 1);
    bench.register("no", RECORD, 2);
    assert_eq!(bench.settle(), ["id yes 1", "id no 1"]);
    assert_eq!(bench.answers(), [(1, Ok(1)), (2, Err(Refusal::Refused(135)))]);
    let statuses = bench.table.statuses();
    assert_eq!(statuses.iter().map(|status| status.filter.as_str()).collect::<Vec<_>>(), ["yes"]);
    // the same interest again changes nothing, another quality of service does
    bench.register("yes", RECORD, 3);
    assert_eq!((bench.settle(), bench.answers()), (vec![], vec![(3, Ok(1))]));
    bench.register("yes", Interest::Record(Qos::AtMostOnce), 4);
    assert_eq!(bench.settle(), ["id yes 0"]);
    assert_eq!(bench.answers(), [(4, Ok(0))]);
    bench.register("yes", Interest::Unsubscribe, 5);
    bench.register("other", Interest::Unsubscribe, 6);
    assert_eq!(bench.settle(), ["not yes"]);
    assert_eq!(bench.answers(), [(6, Ok(0)), (5, Ok(0))]);
    assert!(bench.table.entries.is_empty() && bench.broker.is_empty());
}

#[test]
fn a_deadline_without_an_answer_changes_nothing() {
    let mut bench = Bench::new(&[], false);
    bench.register("a", RECORD, 1);
    bench.pass(SECOND);
    assert_eq!(bench.answers(), [(1, Err(Refusal::NotConnected))]);
    bench.connect(false, true);
    assert_eq!(bench.settle(), [""; 0]);
    bench.register("a", RECORD, 2);
    bench.send();
    bench.pass(SECOND);
    assert_eq!(bench.answers(), [(2, Err(Refusal::Unknown))]);
    // the answer comes late, and the filter is no longer wanted
    bench.answer();
    assert_eq!(bench.settle(), ["not a"]);
    // without a connection the subscription goes on
    bench.register("b", RECORD, 3);
    bench.settle();
    bench.disconnect();
    bench.register("b", Interest::Unsubscribe, 4);
    bench.pass(SECOND);
    assert_eq!(bench.answers(), [(3, Ok(1)), (4, Err(Refusal::NotConnected))]);
    // there is a connection, which takes nothing now
    bench.connect(false, true);
    bench.register("c", RECORD, 5);
    bench.pass(SECOND);
    assert_eq!(bench.answers(), [(5, Err(Refusal::Busy))]);
    bench.connect(false, true);
    assert_eq!(bench.settle(), ["id b 1"]);
}

#[test]
fn a_filter_over_which_connections_end_is_given_up() {
    let mut bench = Bench::new(&[of_file("file", Qos::AtMostOnce)], false);
    for _ in 0..2 {
        bench.connect(false, true);
        if bench.table.entries.len() == 1 {
            bench.register("deadly", RECORD, 1);
        }
        bench.send();
        bench.disconnect();
    }
    assert_eq!(bench.answers(), [(1, Err(Refusal::Unknown))]);
    bench.connect(false, true);
    assert_eq!(bench.settle(), ["id file 0"]);
}

#[test]
fn an_impossible_interest_is_refused_at_once() {
    let mut bench = Bench::new(&[of_file("file", Qos::AtMostOnce)], true);
    bench.connect(false, true);
    bench.settle();
    bench.register("file", RECORD, 1);
    bench.register("file", Interest::Unsubscribe, 2);
    bench.register("file", Interest::Record(Qos::AtMostOnce), 3);
    bench.register("a", Interest::Record(Qos::ExactlyOnce), 4);
    let refused = Err(Refusal::OfConfiguration);
    assert_eq!(bench.answers(), [(1, refused), (2, refused), (3, Ok(0)), (4, Err(Refusal::QosNotSupported))]);
    for number in 0..MAX_FILTERS {
        bench.register(&number.to_string(), RECORD, 5);
    }
    bench.register("one/more", RECORD, 6);
    assert_eq!(bench.answers(), [(6, Err(Refusal::TooManyFilters))]);
    // readers have a quota of their own, and one filter is exempt
    for number in 0..MAX_FILTERS {
        bench.register(&format!("r/{number}"), READ, 7);
    }
    bench.register("one/more", READ, 8);
    assert_eq!(bench.answers(), [(8, Err(Refusal::TooManyFilters))]);
    bench.table.reserve(Some(filter("answers/+")));
    bench.register("answers/+", Interest::Responses, 9);
    assert_eq!(bench.answers(), []);
    // the same with their length
    let mut bench = Bench::new(&[], false);
    for (interest, prefix) in [(RECORD, "a"), (READ, "b")] {
        for long in ["1", "2"].map(|number| format!("{prefix}{number}{}", "x".repeat(MAX_FILTER_BYTES / 2 - 4))) {
            bench.register(&long, interest, 1);
        }
        bench.register(&format!("{prefix}/more"), interest, 2);
        bench.register(&format!("{prefix}/no"), interest, 3);
    }
    assert_eq!(bench.answers(), [(2, Err(Refusal::TooManyFilters)); 2]);
    let tiny = Limits { max_packet_size: 20, ..limits(true) };
    let mut bench = Bench::new(&[], false);
    bench.table.connected(false, tiny, None, bench.now);
    bench.register("longer/than/that", RECORD, 7);
    assert_eq!((bench.settle(), bench.answers()), (vec![], vec![(7, Err(Refusal::Refused(149)))]));
    assert!(bench.settle().is_empty() && bench.table.entries.is_empty());
}
