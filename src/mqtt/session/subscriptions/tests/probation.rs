//! One filter at a time, and the one over which the connection ends is left out.

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

/// What is asked while each passes.
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
fn each_filter_is_watched_behind_its_answer_before_the_next_one_is_asked_for() {
    for (has_identifiers, prefix) in [(true, "id"), (false, "all")] {
        let mut bench = three();
        connect_carefully(&mut bench, false, has_identifiers);
        for topic in ["a", "b", "c"] {
            assert_eq!(bench.ask(), [format!("{prefix} {topic} 1")]);
            bench.pass(MINUTE);
            assert_eq!(bench.ask(), [""; 0], "the broker has not answered");
            bench.answer();
            assert_eq!(bench.ask(), [""; 0], "it is on probation");
            assert_eq!(bench.table.next_deadline(), Some(bench.now + LENGTH));
            bench.pass(LENGTH);
        }
        assert_eq!(bench.ask(), [""; 0]);
        // what comes later need not wait any more
        bench.want("d", RECORDED, 1);
        bench.want("e", RECORDED, 2);
        assert_eq!(bench.settle().join(" ").replace("id", prefix), bench_words(prefix));
        assert_eq!(lose(&mut bench, Breach::Suspected), Culprit::Unknown, "all have passed");
    }
}

/// How two filters are asked for together.
fn bench_words(prefix: &str) -> String {
    if prefix == "id" { "id d 1 id e 1".to_owned() } else { "all d 1 e 1".to_owned() }
}

#[test]
fn a_filter_is_blamed_only_where_it_was_asked_for_before_all_others() {
    for has_identifiers in [true, false] {
        let mut bench = three();
        connect_carefully(&mut bench, false, has_identifiers);
        bench.settle();
        bench.pass(LENGTH);
        bench.settle();
        // what comes late may be for the first
        assert_eq!(lose(&mut bench, Breach::Suspected), Culprit::Suspect);
        connect_with(&mut bench, false, has_identifiers, 2 * LENGTH);
        assert!(bench.ask()[0].ends_with(" b 1"), "the suspect goes first");
        bench.answer();
        bench.pass(2 * LENGTH);
        // it has passed, and the first is asked for, whose message comes in time now
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
fn a_suspect_that_nobody_wants_any_more_holds_up_nothing() {
    let mut bench = Bench::new(&[of_file("a", Qos::AtLeastOnce)], false);
    bench.connect(false, true);
    bench.want("b", RECORDED, 1);
    bench.settle();
    bench.disconnect();
    connect_carefully(&mut bench, false, true);
    bench.settle();
    bench.pass(LENGTH);
    bench.settle();
    assert_eq!(lose(&mut bench, Breach::Suspected), Culprit::Suspect);
    bench.want("b", Want::Unsubscribed, 2);
    connect_carefully(&mut bench, false, true);
    assert_eq!(settle(&mut bench), ["id a 1"]);
    assert_eq!(bench.table.entries.len(), 1);
}

#[test]
fn what_ends_the_connection_is_left_out_and_tried_again_after_ever_longer_pauses() {
    let mut bench = three();
    connect_carefully(&mut bench, false, true);
    bench.settle();
    for minutes in [5, 10, 20, 40, 60, 60] {
        assert_found(&mut bench, Breach::Suspected, "a", minutes);
        bench.connect(false, true);
        assert_eq!(bench.settle(), ["id b 1", "id c 1"]);
        assert!(bench.table.is_settled(), "what is left out holds up nothing");
        let standing = bench.table.standings().remove(0);
        assert!(standing.is_left_out && standing.answer.is_none());
        bench.pass(Duration::from_secs(60 * minutes - 1));
        assert_eq!(bench.settle(), [""; 0]);
        bench.pass(SECOND);
        assert_eq!(bench.settle(), ["id a 1"]);
    }
}

#[test]
fn what_is_tried_again_is_watched_as_long_as_it_took_to_find_and_beside_nothing_else() {
    let mut bench = three();
    connect_with(&mut bench, false, true, 3 * LENGTH);
    bench.settle();
    assert_found(&mut bench, Breach::Suspected, "a", 5);
    bench.connect(false, true);
    bench.settle();
    bench.pass(5 * MINUTE);
    assert_eq!(bench.settle(), ["id a 1"]);
    bench.want("d", RECORDED, 1);
    bench.pass(2 * LENGTH);
    assert_eq!(bench.settle(), [""; 0], "whose fault would it be?");
    bench.pass(LENGTH);
    assert_eq!(bench.settle(), ["id d 1"]);
    assert_eq!(lose(&mut bench, Breach::Suspected), Culprit::Unknown);
    bench.connect(false, true);
    assert_eq!(bench.ask(), ["id a 1", "id b 1", "id c 1", "id d 1"], "it has passed");
}

#[test]
fn whoever_wants_what_is_left_out_is_refused_at_once_and_it_is_remembered_when_nobody_does() {
    let mut bench = Bench::new(&[], false);
    bench.want("a", RECORDED, 1);
    connect_carefully(&mut bench, false, true);
    bench.ask();
    bench.want("a", READ, 2);
    assert_found(&mut bench, Breach::Refused(149), "a", 5);
    bench.connect(false, true);
    bench.want("a", RECORDED, 3);
    assert_eq!(bench.settle(), [""; 0]);
    assert_eq!(bench.told(), [1, 2, 3].map(|who| (who, Err(Refusal::Refused(149)))));
    bench.pass(5 * MINUTE);
    bench.settle();
    assert_eq!(bench.table.entries.len(), 0, "and forgotten in the end");
    bench.want("a", RECORDED, 4);
    assert_eq!(bench.settle(), ["id a 1"]);
    assert_eq!(bench.told(), [(4, Ok(1))]);
}

#[test]
fn what_is_left_out_can_be_unsubscribed_from() {
    for is_refused in [false, true] {
        let mut bench = Bench::new(&[], false);
        bench.connect(false, true);
        bench.want("a", RECORDED, 1);
        bench.settle();
        bench.disconnect();
        connect_carefully(&mut bench, false, true);
        bench.ask();
        if !is_refused {
            bench.answer();
        }
        assert_found(&mut bench, if is_refused { Breach::Refused(149) } else { Breach::Suspected }, "a", 5);
        bench.connect(false, true);
        bench.want("a", Want::Unsubscribed, 2);
        assert_eq!(bench.settle(), [""; 0]);
        assert_eq!(bench.told(), [(1, Ok(1)), (2, Ok(0))]);
        assert_eq!(bench.table.standings(), []);
    }
}

#[test]
fn a_filter_that_was_forgotten_on_probation_leaves_no_blame_to_the_next() {
    let mut bench = Bench::new(&[], false);
    bench.want("a", READ, 1);
    connect_with(&mut bench, false, true, MINUTE);
    bench.settle();
    assert_eq!(bench.told(), [(1, Ok(0))]);
    bench.want("a", Want::Unsubscribed, 2);
    bench.table.leave(&filter("a"), READ, bench.now);
    bench.table.leave(&filter("a"), READ, bench.now);
    bench.pass(LINGER);
    bench.settle();
    assert_eq!(bench.table.entries.len(), 0);
    bench.want("b", RECORDED, 3);
    assert_eq!(bench.ask(), [""; 0], "it waits");
    assert_eq!(lose(&mut bench, Breach::Suspected), Culprit::Unknown);
}

#[test]
fn an_unlisted_refusal_is_of_the_only_one_that_was_asked_or_of_nobody_yet() {
    let mut bench = three();
    bench.connect(false, true);
    bench.ask();
    assert_eq!(lose(&mut bench, Breach::Refused(149)), Culprit::Unknown, "one of three");
    connect_carefully(&mut bench, false, true);
    bench.ask();
    bench.answer();
    bench.pass(LENGTH);
    bench.ask();
    assert_found(&mut bench, Breach::Refused(149), "b", 5);
    bench.connect(false, true);
    bench.settle();
    assert_eq!(bench.table.standings().remove(1).answer, Some(Err(149)));
}

#[test]
fn a_session_that_was_kept_is_watched_before_anything_is_asked() {
    let mut bench = Bench::new(&[of_file("a", Qos::AtLeastOnce)], true);
    connect_carefully(&mut bench, true, true);
    assert_eq!(bench.ask(), [""; 0]);
    assert_eq!(lose(&mut bench, Breach::Suspected), Culprit::Session);
    connect_carefully(&mut bench, true, true);
    bench.pass(LENGTH);
    assert_eq!(bench.settle(), ["id a 1"]);
    assert_found(&mut bench, Breach::Suspected, "a", 5);
    bench.connect(true, true);
    assert_eq!(bench.settle(), ["not a"], "the session is not to bring it");
    assert!(bench.table.standings().remove(0).is_left_out);
    assert_eq!(lose(&mut bench, Breach::Suspected), Culprit::Unknown, "long after that the session is not to blame");
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
fn a_refused_unsubscribe_is_told_and_not_repeated() {
    let mut bench = Bench::new(&[], true);
    bench.connect(false, true);
    bench.want("a", RECORDED, 1);
    bench.settle();
    bench.want("a", Want::Unsubscribed, 2);
    assert_eq!(bench.ask(), ["not a"]);
    assert_eq!(lose(&mut bench, Breach::Refused(149)), Culprit::Unknown);
    assert_eq!(bench.told(), [(1, Ok(1)), (2, Err(Refusal::Refused(149)))]);
    bench.connect(true, true);
    assert_eq!(bench.settle(), ["id a 1"], "as if it had not been asked");
}
