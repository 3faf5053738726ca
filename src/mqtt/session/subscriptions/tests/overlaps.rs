//! Filters that overlap: without subscription identifiers one carries others, and a thousand are fast.

use super::*;

#[test]
fn without_identifiers_a_filter_is_carried_by_a_wider_one() {
    let mut bench = Bench::new(&[of_file("a/#", Qos::AtMostOnce), of_file("a/b", Qos::AtLeastOnce)], false);
    bench.connect(false, false);
    assert_eq!(bench.settle(), ["all a/# 1"]);
    assert!(bench.table.statuses().iter().all(|status| status.answer == Some(Ok(1))));
    bench.register("a/c", READ, 1);
    assert_eq!((bench.settle(), bench.answers()), (vec![], vec![(1, Ok(1))]));
    // a still wider one replaces it when it is granted, and not before
    bench.register("#", READ, 2);
    assert_eq!(bench.send(), ["all # 1"]);
    bench.answer();
    assert_eq!(bench.settle(), ["not a/#"]);
    assert_eq!(bench.answers(), [(2, Ok(1))]);
    // and is replaced by it when it ends
    bench.table.leave(&filter("#"), READ, bench.now);
    bench.pass(LINGER);
    assert_eq!(bench.settle(), ["all a/# 1", "not #"]);
    // two with the same meaning
    bench.register("+/#", READ, 3);
    bench.register("#", READ, 4);
    let asked = bench.settle();
    assert_eq!(asked.iter().filter(|words| words.starts_with("all")).count(), 1, "{asked:?}");
    assert_eq!(bench.answers().len(), 2);
}

#[test]
fn without_identifiers_a_wider_filter_stays_until_those_that_it_carried_are_subscribed_to() {
    let mut bench = Bench::new(&[of_file("a/b", Qos::AtLeastOnce)], false);
    bench.connect(false, false);
    bench.settle();
    bench.register("#", RECORD, 1);
    assert_eq!(bench.send(), ["all # 1"]);
    bench.answer();
    assert_eq!(bench.send(), ["not a/b"]);
    // before the UNSUBACK
    bench.register("#", Interest::Unsubscribe, 2);
    assert_eq!(bench.send(), [""; 0]);
    bench.answer();
    assert_eq!(bench.send(), ["all a/b 1", "not #"]);
    bench.answer();
    assert_eq!(bench.answers(), [(1, Ok(1)), (2, Ok(0))]);
    // the same where the wider one was there first
    bench.register("#", RECORD, 3);
    bench.settle();
    bench.register("c", RECORD, 4);
    bench.register("#", Interest::Unsubscribe, 5);
    assert_eq!(bench.send(), ["all a/b 1 c 1", "not #"]);
}

#[test]
fn without_identifiers_a_wider_filter_that_is_refused_carries_nothing() {
    let mut bench = Bench::new(&[of_file("#", Qos::AtMostOnce), of_file("a", Qos::AtMostOnce)], false);
    bench.refused.push("#");
    bench.connect(false, false);
    assert_eq!(bench.settle(), ["all # 0", "all a 0"]);
    assert_eq!(bench.broker.keys().collect::<Vec<_>>(), ["a"]);
}

/// The processor time of this thread.
fn processor_time() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(statistics.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn a_thousand_overlapping_filters_are_fast() {
    for has_identifiers in [false, true] {
        let begun = processor_time();
        let mut bench = Bench::new(&[of_file("file", Qos::AtMostOnce)], false);
        bench.connect(false, has_identifiers);
        let names: Vec<String> = (0..MAX_FILTERS - 1).map(|number| format!("a/a/a/a/a/a/a/a/a/a/{number}")).collect();
        // among the first ones each is covered by others and covers others; each of the second ones is covered by all
        // of them
        for (number, name) in names.iter().enumerate() {
            let levels = (0..10).map(|level| if number >> level & 1 == 0 { "+" } else { "a" });
            bench.register(&format!("{}/#", levels.collect::<Vec<_>>().join("/")), RECORD, 1);
            bench.register(name, READ, 2);
        }
        bench.settle();
        let answers = bench.answers();
        assert!(answers.len() == 2 * names.len() && answers.iter().all(|(_, answer)| answer.is_ok()));
        // a filter that carries all of them comes and goes
        bench.register("#", READ, 3);
        bench.settle();
        assert_eq!(bench.answers(), [(3, Ok(u8::from(!has_identifiers)))]);
        bench.table.leave(&filter("#"), READ, bench.now);
        bench.pass(LINGER);
        bench.settle();
        assert_eq!(bench.table.statuses().len(), 2 * names.len() + 1);
        let changing = processor_time().saturating_sub(begun);
        let begun = processor_time();
        let copies = ["+/+/+/+/+/+/+/+/+/+/#"];
        let routed = (0..1000).filter(|_| bench.route(&names[7], &copies[..usize::from(has_identifiers)], false).0);
        assert_eq!(routed.count(), 1000);
        let routing = processor_time().saturating_sub(begun);
        let spent = format!("{changing:?} for the filters, {routing:?} for a thousand messages");
        assert!(changing < Duration::from_secs(5) && routing < Duration::from_secs(1), "{spent}");
    }
}
