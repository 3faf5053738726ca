//! Random events against a model of a broker.

use proptest::prelude::*;

use super::*;
use crate::proptests;

/// One step of a random test.
#[derive(Debug, Clone)]
enum Step {
    Register(usize, Interest),
    Leave(usize),
    Send,
    Answer,
    Disconnect,
    Connect,
    Pass(u64),
}

const FILTERS: [&str; 7] = ["#", "a/#", "a/+", "a/b", "+/b", "+/#", "$share/g/a"];

fn step() -> impl Strategy<Value = Step> {
    let number = 0..FILTERS.len();
    let interest =
        prop_oneof![Just(READ), Just(FETCH), Just(RECORD), Just(Interest::Unsubscribe), Just(Interest::Responses)];
    prop_oneof![
        3 => (number.clone(), interest).prop_map(|(number, interest)| Step::Register(number, interest)),
        2 => number.prop_map(Step::Leave),
        2 => Just(Step::Send),
        2 => Just(Step::Answer),
        1 => Just(Step::Disconnect),
        2 => Just(Step::Connect),
        1 => (0_u64..40).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(proptests::config())]

    #[test]
    fn after_random_events_the_broker_has_what_is_wanted(
        steps in prop::collection::vec(step(), 0..60),
        has_identifiers: bool,
        is_kept: bool,
    ) {
        let mut bench = Bench::new(&[of_file("a/b", Qos::AtMostOnce)], is_kept);
        let (mut callers, mut answered) = (0, 0);
        // the filters of the readers that have not left
        let mut readers: Vec<usize> = Vec::new();
        let mut by_caller: BTreeMap<u32, (usize, Interest)> = BTreeMap::new();
        let (mut is_connected, mut was_brought) = (false, false);
        let mut steps = steps;
        steps.extend([Step::Connect, Step::Pass(100)]);
        for step in steps {
            match step {
                Step::Register(number, interest) => {
                    callers += 1;
                    by_caller.insert(callers, (number, interest));
                    bench.register(FILTERS[number], interest, callers);
                }
                Step::Leave(number) => {
                    if let Some(position) = readers.iter().position(|reader| *reader == number) {
                        readers.remove(position);
                        bench.table.leave(&filter(FILTERS[number]), READ, bench.now);
                    }
                }
                Step::Send => drop(bench.send()),
                Step::Answer => bench.answer(),
                Step::Disconnect if is_connected => {
                    is_connected = false;
                    bench.disconnect();
                    if !is_kept {
                        bench.broker.clear();
                    }
                }
                Step::Connect if !is_connected => {
                    is_connected = true;
                    bench.connect(is_kept, has_identifiers);
                }
                Step::Disconnect | Step::Connect => {}
                Step::Pass(seconds) => bench.pass(SECOND * u32::try_from(seconds).unwrap()),
            }
            for (caller, answer) in bench.answers() {
                answered += 1;
                if answer.is_ok() && by_caller[&caller].1.is_read() {
                    readers.push(by_caller[&caller].0);
                }
            }
            // once the broker has the filter of the file, or one that carries it, it keeps one
            let is_brought = bench.broker.keys().any(|held| filter(held).covers(&filter("a/b")) && held != FILTERS[6]);
            prop_assert!(!was_brought || is_brought || bench.broker.is_empty(), "{:?}", bench.broker);
            was_brought = is_connected && is_brought;
        }
        bench.answer();
        bench.settle();
        for (caller, answer) in bench.answers() {
            answered += 1;
            if answer.is_ok() && by_caller[&caller].1.is_read() {
                readers.push(by_caller[&caller].0);
            }
        }
        prop_assert_eq!(callers, answered, "every caller gets one answer");
        let statuses = bench.table.statuses();
        let status = |reader: &usize| statuses.iter().any(|status| status.filter == filter(FILTERS[*reader]));
        prop_assert!(readers.iter().all(status));
        // a filter of readers over which two connections ended is not subscribed to
        let is_not_refused = |status: &&FilterStatus| !matches!(status.answer, Some(Err(_)));
        let not_refused = statuses.iter().filter(is_not_refused);
        let wanted: Vec<TopicFilter> = not_refused.map(|status| status.filter.clone()).collect();
        prop_assert!(wanted.contains(&filter("a/b")));
        let held: Vec<TopicFilter> = bench.broker.keys().map(|text| filter(text)).collect();
        if has_identifiers {
            prop_assert_eq!(held.len(), wanted.len(), "{:?} {:?}", held, wanted);
            prop_assert!(held.iter().all(|held| wanted.contains(held)));
        } else {
            let is_brought = |filter: &TopicFilter| held.iter().any(|held| held == filter || held.covers(filter));
            prop_assert!(wanted.iter().all(is_brought), "{:?} {:?}", held, wanted);
            for (one, other) in held.iter().flat_map(|one| held.iter().map(move |other| (one, other))) {
                let is_double = one != other && one.covers(other) && !one.is_shared() && !other.is_shared();
                prop_assert!(!is_double, "{one:?} {other:?}");
            }
        }
        prop_assert!(bench.table.entries.len() == statuses.len(), "a filter that is not wanted is removed");
    }
}
