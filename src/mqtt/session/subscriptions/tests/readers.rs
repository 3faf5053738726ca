//! Readers: when they begin, when their filter ends, and where a message goes.

use super::*;

#[test]
fn a_reader_begins_without_a_broker_and_its_filter_is_given_up_when_connections_end_over_it() {
    let mut bench = Bench::new(&[of_file("file", Qos::AtMostOnce)], false);
    bench.register("deadly", READ, 1);
    bench.register("deadly", Interest::Responses, 2);
    let next = bench.open_buffer("deadly");
    assert_eq!(bench.answers(), []);
    bench.pass(BEGINS_AFTER);
    assert_eq!(bench.answers(), [(1, Ok(0)), (2, Err(Refusal::NotConnected))]);
    for asks in 1..=2 {
        bench.connect(false, true);
        assert_eq!(bench.send(), ["id file 0", "id deadly 0"], "{asks}");
        bench.disconnect();
    }
    bench.connect(false, true);
    assert_eq!(bench.settle(), ["id file 0"]);
    // the next connection tries it again
    bench.disconnect();
    bench.connect(false, true);
    assert_eq!(bench.settle(), ["id file 0", "id deadly 0"]);
    assert!(next < bench.open_buffer("deadly"));
}

#[test]
fn a_reader_whose_subscribe_was_lost_waits_for_another_answer_until_its_deadline() {
    let mut bench = Bench::new(&[], false);
    bench.connect(false, true);
    bench.register("a", READ, 1);
    bench.send();
    bench.disconnect();
    bench.pass(SECOND / 2);
    assert_eq!(bench.answers(), []);
    bench.pass(SECOND / 2);
    assert_eq!(bench.answers(), [(1, Ok(0))]);
    // a broker that does not answer is not away
    bench.connect(false, true);
    bench.register("b", READ, 2);
    bench.send();
    bench.pass(SECOND);
    assert_eq!(bench.answers(), [(2, Err(Refusal::Unknown))]);
}

#[test]
fn a_reader_whose_subscribe_was_not_sent_in_time_begins_when_the_connection_is_lost() {
    let mut bench = Bench::new(&[], false);
    bench.connect(false, true);
    bench.register_for("a", READ, 60 * SECOND, 1);
    bench.pass(BEGINS_AFTER);
    assert_eq!(bench.answers(), []);
    bench.disconnect();
    assert!(bench.table.next_deadline().is_some_and(|deadline| deadline <= bench.now));
    bench.pass(Duration::ZERO);
    assert_eq!(bench.answers(), [(1, Ok(0))]);
}

#[test]
fn readers_share_a_subscription_which_outlives_them_for_a_while() {
    let mut bench = Bench::new(&[], false);
    bench.connect(false, false);
    for reader in 1..=3 {
        bench.register("a", READ, reader);
        bench.settle();
    }
    assert_eq!(bench.answers(), [(1, Ok(0)), (2, Ok(0)), (3, Ok(0))]);
    for _ in 0..3 {
        bench.table.leave(&filter("a"), READ, bench.now);
    }
    bench.pass(LINGER.saturating_sub(SECOND));
    assert_eq!(bench.settle(), [""; 0]);
    // a reader that comes back finds it subscribed
    bench.register("a", READ, 4);
    assert_eq!(bench.answers(), [(4, Ok(0))]);
    bench.pass(LINGER);
    assert_eq!(bench.settle(), [""; 0]);
    bench.table.leave(&filter("a"), READ, bench.now);
    bench.pass(LINGER);
    assert_eq!(bench.settle(), ["not a"]);
    assert!(bench.table.entries.is_empty());
}

#[test]
fn readers_that_come_and_go_with_ever_new_filters_do_not_use_up_the_quota() {
    let mut bench = Bench::new(&[], false);
    bench.connect(false, true);
    for number in 0..2 * MAX_FILTERS {
        let text = format!("read/{number}");
        bench.register(&text, READ, 1);
        bench.settle();
        assert_eq!(bench.answers(), [(1, Ok(0))], "{number}");
        bench.table.leave(&filter(&text), READ, bench.now);
        bench.pass(Duration::ZERO);
    }
    bench.settle();
    assert_eq!(bench.table.statuses().len(), MAX_FILTERS / 4, "these linger");
}

#[test]
fn a_reader_of_a_granted_filter_begins_while_the_broker_is_away() {
    let mut bench = Bench::new(&[of_file("a", Qos::AtMostOnce)], false);
    bench.register("a", READ, 1);
    assert_eq!(bench.answers(), [], "it was never granted");
    bench.connect(false, true);
    bench.settle();
    assert_eq!(bench.answers(), [(1, Ok(0))]);
    bench.disconnect();
    bench.register("a", READ, 2);
    bench.register("a", Interest::Read { qos: Qos::AtLeastOnce, retained: true }, 3);
    bench.register("a", Interest::Responses, 4);
    assert_eq!(bench.answers(), [(2, Ok(0))]);
    bench.connect(false, true);
    assert_eq!(bench.settle(), ["id a 1"]);
    assert_eq!(bench.answers(), [(3, Ok(1)), (4, Ok(1))]);
}

#[test]
fn retained_messages_go_to_those_for_whom_the_filter_was_subscribed_to() {
    let mut bench = Bench::new(&[of_file("a", Qos::AtMostOnce)], false);
    bench.connect(false, true);
    bench.settle();
    assert_eq!(bench.route("a", &["a"], true), (true, 0));
    bench.register("a", READ, 1);
    let joins = bench.open_buffer("a");
    assert_eq!(bench.settle(), ["id a 0"]);
    let retained = |bench: &mut Bench| {
        let mut message = Received { topic: b"a".to_vec(), retain: true, ..Received::default() };
        message.properties.subscription_identifiers = vec![bench.broker["a"].unwrap()];
        let route = bench.table.route(&message);
        (route.journal.is_some(), route.buffers[0].1.unwrap())
    };
    let (recorded, found) = retained(&mut bench);
    assert_eq!((recorded, found.generation, found.is_for_all), (false, joins, false));
    assert_eq!(bench.route("a", &["a"], false), (true, 1));
    // on a new connection they go to everybody
    bench.disconnect();
    bench.connect(false, true);
    bench.settle();
    let (recorded, found) = retained(&mut bench);
    assert!(recorded && found.is_for_all && found.generation > joins);
}

#[test]
fn of_overlapping_copies_one_is_recorded_and_each_reader_gets_its_own() {
    let mut bench = Bench::new(&[of_file("a/#", Qos::AtMostOnce), of_file("a/+", Qos::AtLeastOnce)], false);
    bench.connect(false, true);
    for (number, text) in ["#", "+/b", "$share/g/a/b"].into_iter().enumerate() {
        let interest = if text == "#" { READ } else { RECORD };
        bench.register(text, interest, u32::try_from(number).unwrap());
    }
    bench.settle();
    bench.open_buffer("#");
    let all = ["a/#", "a/+", "+/b", "#", "$share/g/a/b"];
    let recorded: Vec<_> = all.iter().filter(|copy| bench.route("a/b", &[copy], false).0).collect();
    assert_eq!(recorded, [&"a/+"], "the first one with the best quality of service");
    let read: usize = all.iter().map(|copy| bench.route("a/b", &[copy], false).1).sum();
    assert_eq!(read, 1);
    // the broker sends one copy for all of them
    assert_eq!(bench.route("a/b", &all, false), (true, 1));
    // another topic, and a filter for readers alone
    assert_eq!(bench.route("x/b", &["+/b"], false), (true, 0));
    assert_eq!(bench.route("x", &["#"], false), (false, 1));
    // an unknown subscription
    bench.broker.insert("gone".to_owned(), Some(7));
    assert_eq!(bench.route("a/b", &["gone"], false), (false, 0));
    // the broker does not tell for which subscription
    assert_eq!(bench.route("a/b", &[], false), (true, 1));
    assert_eq!(bench.route("x", &[], false), (false, 1));
    assert_eq!(bench.route("$SYS/x", &[], false), (false, 0));
}

#[test]
fn the_retained_message_is_fetched_by_a_subscribe_of_its_own() {
    for has_identifiers in [true, false] {
        let asks = if has_identifiers { "id a 1" } else { "all a 1" };
        let mut bench = Bench::new(&[of_file("a", Qos::AtLeastOnce)], false);
        bench.connect(false, has_identifiers);
        bench.settle();
        bench.register("a", FETCH, 1);
        assert_eq!(bench.answers(), [], "although it is granted");
        assert_eq!(bench.send(), [asks]);
        // those that come now share the next one
        bench.register("a", FETCH, 2);
        bench.register("a", FETCH, 3);
        assert_eq!(bench.send(), [""; 0]);
        bench.answer();
        assert_eq!(bench.answers(), [(1, Ok(1))]);
        assert_eq!(bench.settle(), [asks]);
        assert_eq!(bench.answers(), [(2, Ok(1)), (3, Ok(1))]);
        assert_eq!(bench.table.statuses()[0].readers, 3);
    }
}

#[test]
fn the_retained_message_is_not_fetched_without_a_broker() {
    let mut bench = Bench::new(&[], false);
    bench.register("a", FETCH, 1);
    bench.pass(BEGINS_AFTER);
    assert_eq!(bench.answers(), [(1, Err(Refusal::NotConnected))]);
    bench.connect(false, true);
    bench.register("a", FETCH, 2);
    bench.send();
    bench.disconnect();
    bench.pass(SECOND);
    assert_eq!(bench.answers(), [(2, Err(Refusal::Unknown))]);
}

#[test]
fn of_a_topic_that_is_carried_no_retained_message_is_fetched() {
    let mut bench = Bench::new(&[of_file("a/#", Qos::AtMostOnce)], false);
    // before the wider filter is granted, and after
    bench.register("a/b", FETCH, 1);
    bench.register("a/b", READ, 2);
    bench.connect(false, false);
    assert_eq!(bench.settle(), ["all a/# 0"]);
    assert_eq!(bench.answers(), [(1, Err(Refusal::RetainedNotAvailable)), (2, Ok(0))]);
    bench.register("a/b", FETCH, 3);
    bench.settle();
    assert_eq!(bench.answers(), [(3, Err(Refusal::RetainedNotAvailable))]);
    // a wider filter that is refused carries none
    bench.disconnect();
    bench.refused.push("a/#");
    bench.connect(false, false);
    bench.register("a/b", FETCH, 4);
    assert_eq!(bench.settle(), ["all a/# 0", "all a/b 0"]);
    assert_eq!(bench.answers(), [(4, Ok(0))]);
}

#[test]
fn a_granted_topic_belongs_to_its_connection() {
    for has_identifiers in [true, false] {
        let mut bench = Bench::new(&[], false);
        bench.connect(false, has_identifiers);
        bench.register("a", FETCH, 1);
        bench.send();
        let connection = |bench: &Bench| bench.table.connection_of(&filter("a"));
        assert_eq!(connection(&bench), None, "before the answer");
        bench.answer();
        let first = connection(&bench);
        assert!(first.is_some());
        // another SUBSCRIBE, and a wider filter that may take its place
        bench.register("a", FETCH, 2);
        bench.send();
        assert_eq!(connection(&bench), first);
        bench.answer();
        bench.register("#", READ, 3);
        bench.settle();
        assert_eq!(connection(&bench), first);
        bench.disconnect();
        assert_eq!(connection(&bench), None);
        bench.connect(false, has_identifiers);
        assert_eq!(connection(&bench), None);
        bench.settle();
        assert!(connection(&bench).is_some_and(|connection| Some(connection) != first));
    }
}

#[test]
fn without_identifiers_the_first_retained_message_of_a_connection_is_recorded() {
    let mut bench = Bench::new(&[of_file("a", Qos::AtMostOnce)], false);
    let retained = |bench: &mut Bench| bench.route("a", &[], true).0;
    bench.connect(false, false);
    // a reader is faster than the answer for the journal
    bench.send();
    bench.register("a", FETCH, 1);
    bench.answer();
    bench.send();
    assert_eq!([retained(&mut bench), retained(&mut bench)], [true, false]);
    bench.answer();
    assert!(!retained(&mut bench));
    // on the next connection a message comes live, and is retained from then on
    bench.disconnect();
    bench.connect(false, false);
    bench.settle();
    assert_eq!(bench.route("a", &[], false), (true, 0));
    bench.register("a", FETCH, 2);
    bench.settle();
    assert!(!retained(&mut bench));
}

#[test]
fn without_identifiers_a_retained_message_goes_to_the_reader_of_the_topic_too() {
    let mut bench = Bench::new(&[], false);
    bench.connect(false, false);
    bench.register("a", FETCH, 1);
    let joined = bench.open_buffer("a");
    bench.settle();
    bench.register("#", READ, 2);
    bench.open_buffer("#");
    bench.send();
    let message = Received { topic: b"a".to_vec(), retain: true, ..Received::default() };
    let buffers = bench.table.route(&message).buffers;
    let for_whom: Vec<_> = buffers.iter().map(|(_, retained)| retained.unwrap()).collect();
    assert_eq!(for_whom.len(), 2);
    assert_eq!(for_whom[1], Retained::FETCHED);
    assert!(Retained::FETCHED.generation > joined);
}

#[test]
fn a_filter_that_was_only_fetched_ends_with_its_reader() {
    let mut bench = Bench::new(&[], false);
    bench.connect(false, true);
    bench.register("a", FETCH, 1);
    bench.open_buffer("a");
    bench.settle();
    bench.table.leave(&filter("a"), FETCH, bench.now);
    assert_eq!(bench.send(), ["not a"]);
    // the next one is subscribed anew
    bench.register("a", FETCH, 2);
    bench.answer();
    assert_eq!(bench.settle(), ["id a 0"]);
    bench.table.leave(&filter("a"), FETCH, bench.now);
    bench.settle();
    assert!(bench.table.entries.is_empty());
    // beside a reader that may come back it stays as long as for that one
    bench.register("b", READ, 3);
    bench.open_buffer("b");
    bench.settle();
    bench.table.leave(&filter("b"), READ, bench.now);
    bench.register("b", FETCH, 4);
    bench.settle();
    bench.pass(LINGER);
    bench.settle();
    assert_eq!(bench.route("b", &["b"], false), (false, 1), "the fetching reader is there");
    bench.table.leave(&filter("b"), FETCH, bench.now);
    assert_eq!(bench.settle(), ["not b"]);
}
