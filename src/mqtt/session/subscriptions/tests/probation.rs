//! Probation: one filter at a time, and the one over which the connection ends is left out.

use super::*;

const LENGTH: Duration = Duration::from_millis(250);
const MINUTE: Duration = Duration::from_secs(60);

fn connect_carefully(bench: &mut Bench, session_present: bool, has_identifiers: bool) {
    connect_with(bench, session_present, has_identifiers, LENGTH);
}

fn connect_with(bench: &mut Bench, session_present: bool, has_identifiers: bool, length: Duration) {
    if !session_present {
        bench.broker.clear();
    }
    bench.table.connected(session_present, limits(has_identifiers), Some(length), bench.now);
}

fn three() -> Bench {
    Bench::new(&["a", "b", "c"].map(|topic| of_file(topic, Qos::AtLeastOnce)), false)
}

/// All operations, while each filter passes.
fn settle(bench: &mut Bench) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let asked = bench.settle();
        if asked.is_empty() && bench.table.probation.is_none() {
            return all;
        }
        all.extend(asked);
        bench.pass(LENGTH);
    }
}

fn lose(bench: &mut Bench, breach: Breach) -> Culprit {
    let culprit = bench.table.breached(breach, bench.now);
    bench.disconnect();
    culprit
}

#[track_caller]
fn assert_found(bench: &mut Bench, breach: Breach, filter: &str, minutes: u64) {
    match lose(bench, breach) {
        Culprit::Filter(found) => {
            assert_eq!((found.filter.as_str(), found.pause), (filter, Duration::from_secs(60 * minutes)));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_filter_passes_its_probation_before_the_next_one_is_subscribed_to() {
    for (has_identifiers, prefix) in [(true, "id"), (false, "all")] {
        let mut bench = three();
        connect_carefully(&mut bench, false, has_identifiers);
        for topic in ["a", "b", "c"] {
            assert_eq!(bench.send(), [format!("{prefix} {topic} 1")]);
            bench.pass(MINUTE);
            assert_eq!(bench.send(), [""; 0], "the broker has not answered");
            bench.answer();
            assert_eq!(bench.send(), [""; 0], "it is on probation");
            assert_eq!(bench.table.next_deadline(), Some(bench.now + LENGTH));
            bench.pass(LENGTH);
        }
        assert_eq!(bench.send(), [""; 0]);
        // later interests need not wait
        bench.register("d", RECORD, 1);
        bench.register("e", RECORD, 2);
        assert_eq!(bench.settle().join(" ").replace("id", prefix), bench_words(prefix));
        assert_eq!(lose(&mut bench, Breach::Suspected), Culprit::Unknown, "all have passed");
    }
}

/// How two filters are subscribed to after the probation.
fn bench_words(prefix: &str) -> String {
    if prefix == "id" { "id d 1 id e 1".to_owned() } else { "all d 1 e 1".to_owned() }
}

#[test]
fn a_filter_is_blamed_only_if_it_was_subscribed_to_first() {
    for has_identifiers in [true, false] {
        let mut bench = three();
        connect_carefully(&mut bench, false, has_identifiers);
        bench.settle();
        bench.pass(LENGTH);
        bench.settle();
        // a late message may be for the first one
        assert_eq!(lose(&mut bench, Breach::Suspected), Culprit::Suspect);
        connect_with(&mut bench, false, has_identifiers, 2 * LENGTH);
        assert!(bench.send()[0].ends_with(" b 1"), "the suspect is first");
        bench.answer();
        bench.pass(2 * LENGTH);
        // it passes, and the message for the first one comes in time now
        assert!(bench.settle()[0].ends_with(" a 1"));
        assert_eq!(lose(&mut bench, Breach::Suspected), Culprit::Suspect);
        connect_with(&mut bench, false, has_identifiers, 4 * LENGTH);
        bench.settle();
        assert_found(&mut bench, Breach::Suspected, "a", 5);
        bench.connect(false, has_identifiers);
        bench.settle();
        assert_eq!(bench.broker.keys().collect::<Vec<_>>(), ["b", "c"]);
    }
}

#[test]
fn a_suspect_that_is_no_longer_wanted_delays_nothing() {
    let mut bench = Bench::new(&[of_file("a", Qos::AtLeastOnce)], false);
    bench.connect(false, true);
    bench.register("b", RECORD, 1);
    bench.settle();
    bench.disconnect();
    connect_carefully(&mut bench, false, true);
    bench.settle();
    bench.pass(LENGTH);
    bench.settle();
    assert_eq!(lose(&mut bench, Breach::Suspected), Culprit::Suspect);
    bench.register("b", Interest::Unsubscribe, 2);
    connect_carefully(&mut bench, false, true);
    assert_eq!(settle(&mut bench), ["id a 1"]);
    assert_eq!(bench.table.entries.len(), 1);
}

#[test]
fn a_filter_that_ends_connections_is_left_out_for_ever_longer_pauses() {
    let mut bench = three();
    connect_carefully(&mut bench, false, true);
    bench.settle();
    for minutes in [5, 10, 20, 40, 60, 60] {
        assert_found(&mut bench, Breach::Suspected, "a", minutes);
        bench.connect(false, true);
        assert_eq!(bench.settle(), ["id b 1", "id c 1"]);
        assert!(bench.table.is_settled(), "a filter that is left out delays nothing");
        let status = bench.table.statuses().remove(0);
        assert!(status.is_left_out && status.answer.is_none());
        bench.pass(Duration::from_secs(60 * minutes - 1));
        assert_eq!(bench.settle(), [""; 0]);
        bench.pass(SECOND);
        assert_eq!(bench.settle(), ["id a 1"]);
    }
}

#[test]
fn a_filter_that_is_tried_again_has_the_same_probation_alone() {
    let mut bench = three();
    connect_with(&mut bench, false, true, 3 * LENGTH);
    bench.settle();
    assert_found(&mut bench, Breach::Suspected, "a", 5);
    bench.connect(false, true);
    bench.settle();
    bench.pass(5 * MINUTE);
    assert_eq!(bench.settle(), ["id a 1"]);
    bench.register("d", RECORD, 1);
    bench.pass(2 * LENGTH);
    assert_eq!(bench.settle(), [""; 0], "the fault would not be known");
    bench.pass(LENGTH);
    assert_eq!(bench.settle(), ["id d 1"]);
    assert_eq!(lose(&mut bench, Breach::Suspected), Culprit::Unknown);
    bench.connect(false, true);
    assert_eq!(bench.send(), ["id a 1", "id b 1", "id c 1", "id d 1"], "it has passed");
}

#[test]
fn an_interest_in_a_filter_that_is_left_out_is_refused_at_once_even_when_no_interest_was_left() {
    let mut bench = Bench::new(&[], false);
    bench.register("a", RECORD, 1);
    connect_carefully(&mut bench, false, true);
    bench.send();
    bench.register("a", READ, 2);
    assert_found(&mut bench, Breach::Refused(149), "a", 5);
    bench.connect(false, true);
    bench.register("a", RECORD, 3);
    assert_eq!(bench.settle(), [""; 0]);
    assert_eq!(bench.answers(), [1, 2, 3].map(|who| (who, Err(Refusal::Refused(149)))));
    bench.pass(5 * MINUTE);
    bench.settle();
    assert_eq!(bench.table.entries.len(), 0, "removed when the pause is over");
    bench.register("a", RECORD, 4);
    assert_eq!(bench.settle(), ["id a 1"]);
    assert_eq!(bench.answers(), [(4, Ok(1))]);
}

#[test]
fn a_filter_that_is_left_out_can_be_unsubscribed_from() {
    for is_refused in [false, true] {
        let mut bench = Bench::new(&[], false);
        bench.connect(false, true);
        bench.register("a", RECORD, 1);
        bench.settle();
        bench.disconnect();
        connect_carefully(&mut bench, false, true);
        bench.send();
        if !is_refused {
            bench.answer();
        }
        assert_found(&mut bench, if is_refused { Breach::Refused(149) } else { Breach::Suspected }, "a", 5);
        bench.connect(false, true);
        bench.register("a", Interest::Unsubscribe, 2);
        assert_eq!(bench.settle(), [""; 0]);
        assert_eq!(bench.answers(), [(1, Ok(1)), (2, Ok(0))]);
        assert_eq!(bench.table.statuses(), []);
    }
}

#[test]
fn a_filter_that_was_removed_on_probation_leaves_no_blame_to_the_next() {
    let mut bench = Bench::new(&[], false);
    bench.register("a", READ, 1);
    connect_with(&mut bench, false, true, MINUTE);
    bench.settle();
    assert_eq!(bench.answers(), [(1, Ok(0))]);
    bench.register("a", Interest::Unsubscribe, 2);
    bench.table.leave(&filter("a"), READ, bench.now);
    bench.table.leave(&filter("a"), READ, bench.now);
    bench.pass(LINGER);
    bench.settle();
    assert_eq!(bench.table.entries.len(), 0);
    bench.register("b", RECORD, 3);
    assert_eq!(bench.send(), [""; 0], "it waits");
    assert_eq!(lose(&mut bench, Breach::Suspected), Culprit::Unknown);
}

#[test]
fn an_unlisted_refusal_is_assigned_only_to_a_single_unanswered_operation() {
    let mut bench = three();
    bench.connect(false, true);
    bench.send();
    assert_eq!(lose(&mut bench, Breach::Refused(149)), Culprit::Unknown, "one of three");
    connect_carefully(&mut bench, false, true);
    bench.send();
    bench.answer();
    bench.pass(LENGTH);
    bench.send();
    assert_found(&mut bench, Breach::Refused(149), "b", 5);
    bench.connect(false, true);
    bench.settle();
    assert_eq!(bench.table.statuses().remove(1).answer, Some(Err(149)));
}

#[test]
fn a_kept_session_has_a_probation_before_any_filter_is_tried() {
    let mut bench = Bench::new(&[of_file("a", Qos::AtLeastOnce)], true);
    connect_carefully(&mut bench, true, true);
    assert_eq!(bench.send(), [""; 0]);
    assert_eq!(lose(&mut bench, Breach::Suspected), Culprit::Session);
    connect_carefully(&mut bench, true, true);
    bench.pass(LENGTH);
    assert_eq!(bench.settle(), ["id a 1"]);
    assert_found(&mut bench, Breach::Suspected, "a", 5);
    bench.connect(true, true);
    assert_eq!(bench.settle(), ["not a"], "the session must not bring it");
    assert!(bench.table.statuses().remove(0).is_left_out);
    assert_eq!(lose(&mut bench, Breach::Suspected), Culprit::Unknown, "the session has passed");
}

#[test]
fn a_wider_filter_that_is_left_out_carries_nothing() {
    let mut bench = Bench::new(&["#", "a/b"].map(|topic| of_file(topic, Qos::AtLeastOnce)), false);
    connect_carefully(&mut bench, false, false);
    assert_eq!(bench.settle(), ["all # 1"]);
    assert_found(&mut bench, Breach::Suspected, "#", 5);
    bench.connect(false, false);
    assert_eq!(bench.settle(), ["all a/b 1"]);
}

#[test]
fn a_refused_unsubscribe_is_answered_and_not_repeated() {
    let mut bench = Bench::new(&[], true);
    bench.connect(false, true);
    bench.register("a", RECORD, 1);
    bench.settle();
    bench.register("a", Interest::Unsubscribe, 2);
    assert_eq!(bench.send(), ["not a"]);
    assert_eq!(lose(&mut bench, Breach::Refused(149)), Culprit::Unknown);
    assert_eq!(bench.answers(), [(1, Ok(1)), (2, Err(Refusal::Refused(149)))]);
    bench.connect(true, true);
    assert_eq!(bench.settle(), ["id a 1"], "as if it had not been sent");
}
