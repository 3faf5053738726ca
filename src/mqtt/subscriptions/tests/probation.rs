//! One filter at a time, and the one over which the connection ends is left out.

use super::*;

const LENGTH: Duration = Duration::from_millis(250);
const MINUTE: Duration = Duration::from_secs(60);

fn connect_carefully(bench: &mut Bench, session_present: bool, has_identifiers: bool) {
    bench.table.connected(session_present, limits(has_identifiers), Some(LENGTH), bench.now);
}

fn three() -> Bench {
    Bench::new(&["a", "b", "c"].map(|topic| of_file(topic, Qos::AtLeastOnce)), false)
}

fn find(bench: &mut Bench, breach: Breach) -> Option<(String, u64)> {
    let finding = bench.table.breached(breach, bench.now);
    bench.disconnect();
    finding.map(|finding| (finding.filter.as_str().to_owned(), finding.pause.as_secs() / 60))
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
        assert_eq!(find(&mut bench, Breach::Suspected), None, "all have passed");
    }
}

#[test]
fn what_ends_the_connection_is_left_out_and_tried_again_after_ever_longer_pauses() {
    let mut bench = three();
    connect_carefully(&mut bench, false, true);
    bench.settle();
    bench.pass(LENGTH);
    bench.settle();
    for minutes in [5, 10, 20, 40, 60, 60] {
        assert_eq!(find(&mut bench, Breach::Suspected), Some(("b".to_owned(), minutes)));
        bench.connect(false, true);
        assert_eq!(bench.settle(), ["id a 1", "id c 1"]);
        assert!(bench.table.is_settled(), "what is left out holds up nothing");
        let standing = bench.table.standings().remove(1);
        assert!(standing.is_left_out && standing.answer.is_none());
        bench.pass(Duration::from_secs(60 * minutes - 1));
        assert_eq!(bench.settle(), [""; 0]);
        bench.pass(SECOND);
        assert_eq!(bench.settle(), ["id b 1"]);
    }
}

#[test]
fn what_passes_when_it_is_tried_again_is_as_it_was() {
    let mut bench = three();
    connect_carefully(&mut bench, false, true);
    bench.settle();
    assert_eq!(find(&mut bench, Breach::Suspected), Some(("a".to_owned(), 5)));
    bench.connect(false, true);
    bench.settle();
    bench.pass(5 * MINUTE);
    assert_eq!(bench.settle(), ["id a 1"]);
    bench.pass(LENGTH);
    assert_eq!(find(&mut bench, Breach::Suspected), None);
    bench.connect(false, true);
    assert_eq!(bench.ask(), ["id a 1", "id b 1", "id c 1"]);
}

#[test]
fn whoever_wants_what_is_left_out_is_refused_at_once_and_it_is_remembered_when_nobody_does() {
    let mut bench = Bench::new(&[], false);
    bench.want("a", RECORDED, 1);
    connect_carefully(&mut bench, false, true);
    bench.ask();
    bench.want("a", READ, 2);
    assert_eq!(find(&mut bench, Breach::Refused(149)), Some(("a".to_owned(), 5)));
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
fn an_unlisted_refusal_is_of_the_only_one_that_was_asked_or_of_nobody_yet() {
    let mut bench = three();
    bench.connect(false, true);
    bench.ask();
    assert_eq!(find(&mut bench, Breach::Refused(149)), None, "one of three");
    connect_carefully(&mut bench, false, true);
    bench.ask();
    bench.answer();
    bench.pass(LENGTH);
    bench.ask();
    assert_eq!(find(&mut bench, Breach::Refused(149)), Some(("b".to_owned(), 5)));
    bench.connect(false, true);
    bench.settle();
    assert_eq!(bench.table.standings().remove(1).answer, Some(Err(149)));
}

#[test]
fn a_session_that_was_kept_is_watched_before_anything_is_asked() {
    let mut bench = Bench::new(&[of_file("a", Qos::AtLeastOnce)], true);
    connect_carefully(&mut bench, true, true);
    assert_eq!(bench.ask(), [""; 0]);
    assert_eq!(find(&mut bench, Breach::Suspected), None, "no filter's");
    connect_carefully(&mut bench, true, true);
    bench.pass(LENGTH);
    assert_eq!(bench.settle(), ["id a 1"]);
    assert_eq!(find(&mut bench, Breach::Suspected), Some(("a".to_owned(), 5)));
    bench.connect(true, true);
    assert_eq!(bench.settle(), ["not a"], "the session is not to bring it");
    assert!(bench.table.standings().remove(0).is_left_out);
}

#[test]
fn a_wider_filter_that_is_left_out_carries_nothing() {
    let mut bench = Bench::new(&["#", "a/b"].map(|topic| of_file(topic, Qos::AtLeastOnce)), false);
    connect_carefully(&mut bench, false, false);
    assert_eq!(bench.settle(), ["all # 1"]);
    assert_eq!(find(&mut bench, Breach::Suspected), Some(("#".to_owned(), 5)));
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
    assert_eq!(find(&mut bench, Breach::Refused(149)), None);
    assert_eq!(bench.told(), [(1, Ok(1)), (2, Err(Refusal::Refused(149)))]);
    bench.connect(true, true);
    assert_eq!(bench.settle(), ["id a 1"], "as if it had not been asked");
}
