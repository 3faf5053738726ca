//! Which keys the table has, and what a request with each is to do.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { keys: 4, bytes: 100, time: Duration::from_secs(60) };

fn key(number: u8) -> KeyHash {
    [number; 32]
}

fn record(owner: &str, request: u8) -> KeyRecord {
    KeyRecord { owner: owner.into(), request: [request; 32], since: std::time::SystemTime::UNIX_EPOCH, answer: None }
}

fn answer(status: u16, length: usize) -> Answer {
    Answer { status, code: 0, body: vec![b' '; length].into(), location: None, not_stored: false }
}

/// Begins and is the first.
fn first(table: &mut Table, number: u8, owner: &str, now: Instant) -> u64 {
    match table.begin(key(number), record(owner, 0), now) {
        Begun::First(number) => number,
        begun => panic!("{number}: {begun:?}"),
    }
}

fn settled(table: &mut Table, number: u8, owner: &str, length: usize, now: Instant) {
    let first = first(table, number, owner, now);
    table.answer(&key(number), first, 1, answer(200, length));
}

fn begin(table: &mut Table, number: u8, now: Instant) -> Begun {
    table.begin(key(number), record("a", 0), now)
}

#[test]
fn a_repetition_waits_for_the_answer_and_then_gets_it() {
    let (mut table, now) = (Table::new(LIMITS), Instant::now());
    let number = first(&mut table, 1, "a", now);
    assert_eq!(begin(&mut table, 1, now), Begun::Runs);
    assert!(table.answer(&key(1), number, 1, answer(200, 1)).is_some());
    assert_eq!(begin(&mut table, 1, now), Begun::Repeats(Some(answer(200, 1))));
}

#[test]
fn another_request_with_the_key_is_refused_whether_the_first_is_answered_or_not() {
    let (mut table, now) = (Table::new(LIMITS), Instant::now());
    let number = first(&mut table, 1, "a", now);
    assert_eq!(table.begin(key(1), record("a", 7), now), Begun::Differs);
    table.answer(&key(1), number, 1, answer(200, 1));
    assert_eq!(table.begin(key(1), record("a", 7), now), Begun::Differs);
}

#[test]
fn a_key_is_free_when_the_first_request_did_nothing_or_was_abandoned() {
    let (mut table, now) = (Table::new(LIMITS), Instant::now());
    let number = first(&mut table, 1, "a", now);
    assert!(table.free(&key(1), number));
    let next = first(&mut table, 1, "a", now);
    assert!(!table.free(&key(1), number), "that one is over");
    assert!(table.abandon(&key(1), next));
    let last = first(&mut table, 1, "a", now);
    table.answer(&key(1), last, 1, answer(504, 1));
    assert!(!table.abandon(&key(1), last), "it is answered");
    assert!(table.free(&key(1), last), "later it is known that nothing was sent");
    assert_eq!(table.size(), (0, 0));
}

#[test]
fn a_later_version_of_an_answer_takes_the_place_of_an_earlier_one_only() {
    let (mut table, now) = (Table::new(LIMITS), Instant::now());
    let number = first(&mut table, 1, "a", now);
    assert!(table.answer(&key(1), number, 2, answer(200, 3)).is_some());
    assert!(table.answer(&key(1), number, 1, answer(504, 9)).is_none());
    assert_eq!(begin(&mut table, 1, now), Begun::Repeats(Some(answer(200, 3))));
    assert_eq!(table.size(), (1, 3));
    table.free(&key(1), number);
    let _ = first(&mut table, 1, "a", now);
    assert!(table.answer(&key(1), number, 3, answer(200, 3)).is_none(), "of an earlier request");
    assert_eq!(begin(&mut table, 1, now), Begun::Runs);
}

#[test]
fn answers_are_kept_for_their_time_and_running_requests_for_as_long_as_they_run() {
    let (mut table, now) = (Table::new(LIMITS), Instant::now());
    let _ = first(&mut table, 1, "a", now);
    settled(&mut table, 2, "a", 1, now);
    let just_before = now + LIMITS.time.saturating_sub(Duration::from_millis(1));
    assert_eq!(begin(&mut table, 2, just_before), Begun::Repeats(Some(answer(200, 1))));
    let later = now + LIMITS.time;
    assert!(matches!(begin(&mut table, 2, later), Begun::First(_)));
    assert_eq!(begin(&mut table, 1, later), Begun::Runs);
    assert_eq!(table.take_removed(), [key(2)]);
}

#[test]
fn the_oldest_answer_of_the_owner_with_the_most_keys_makes_room() {
    let (mut table, now) = (Table::new(LIMITS), Instant::now());
    settled(&mut table, 1, "b", 1, now);
    for number in 2..5 {
        settled(&mut table, number, "a", 1, now);
    }
    settled(&mut table, 5, "b", 1, now);
    assert_eq!(table.take_removed(), [key(2)]);
}

#[test]
fn the_oldest_answer_of_the_owner_with_the_most_bytes_makes_room() {
    let (mut table, now) = (Table::new(LIMITS), Instant::now());
    settled(&mut table, 1, "b", 30, now);
    settled(&mut table, 2, "a", 30, now);
    settled(&mut table, 3, "a", 30, now);
    settled(&mut table, 4, "b", 11, now);
    assert_eq!(table.take_removed(), [key(2)]);
    assert_eq!(table.size(), (3, 71));
}

#[test]
fn a_request_is_refused_where_only_running_ones_could_make_room() {
    let (mut table, now) = (Table::new(LIMITS), Instant::now());
    for number in 1..5 {
        let _ = first(&mut table, number, "a", now);
    }
    assert_eq!(begin(&mut table, 5, now), Begun::Full);
    assert_eq!(table.begin(key(5), record("b", 0), now), Begun::Full);
    assert_eq!(begin(&mut table, 1, now), Begun::Runs);
    assert_eq!(table.take_removed(), [[0; 32]; 0]);
}

#[test]
fn whoever_runs_the_most_requests_takes_no_answer_of_others() {
    let (mut table, now) = (Table::new(LIMITS), Instant::now());
    settled(&mut table, 1, "b", 1, now);
    for number in 2..5 {
        let _ = first(&mut table, number, "a", now);
    }
    assert_eq!(begin(&mut table, 5, now), Begun::Full);
    let _ = first(&mut table, 5, "b", now);
    assert_eq!(table.take_removed(), [key(1)], "its own");
}

#[test]
fn keys_of_an_earlier_process_are_answered_as_it_would_have_or_with_none() {
    let (mut table, now) = (Table::new(LIMITS), Instant::now());
    table.load(key(1), record("a", 0), now);
    table.load(key(2), KeyRecord { answer: Some(answer(200, 2)), ..record("a", 0) }, now);
    assert_eq!(begin(&mut table, 1, now), Begun::Repeats(None));
    assert_eq!(begin(&mut table, 2, now), Begun::Repeats(Some(answer(200, 2))));
    for number in 3..7 {
        table.load(key(number), record("a", 0), now);
    }
    assert_eq!((table.size(), table.take_removed()), ((4, 0), vec![key(1), key(2)]));
    assert!(matches!(begin(&mut table, 6, now + LIMITS.time), Begun::First(_)));
}

/// One step of a test at random: the key, the owner, and what happens.
type Step = (u8, bool, u8, u64);

proptest! {
    #![proptest_config(crate::proptests::config())]

    /// Whatever happens, no key has two running requests, the limits hold, what is counted is there, and a key that was
    /// removed was not running.
    #[test]
    fn at_most_one_request_of_a_key_runs_within_the_limits(
        steps in prop::collection::vec((0..8u8, any::<bool>(), 0..6u8, 0..30u64), 1..200)
    ) {
        let (mut table, mut now) = (Table::new(LIMITS), Instant::now());
        let mut running: HashMap<KeyHash, u64> = HashMap::new();
        let mut past: Vec<(KeyHash, u64)> = Vec::new();
        for (index, owner, action, value) in steps as Vec<Step> {
            let (key, before) = (key(index), running.clone());
            match (action, running.get(&key).copied()) {
                (0 | 1, runs) => {
                    let owner = if owner { "a" } else { "b" };
                    match table.begin(key, record(owner, 0), now) {
                        Begun::First(number) => {
                            prop_assert!(runs.is_none());
                            running.insert(key, number);
                        }
                        Begun::Runs => prop_assert!(runs.is_some()),
                        Begun::Repeats(answer) => prop_assert!(runs.is_none() && answer.is_some()),
                        Begun::Full => prop_assert!(!running.is_empty()),
                        Begun::Differs => prop_assert!(false, "all requests are the same"),
                    }
                }
                (2, Some(number)) => {
                    running.remove(&key);
                    past.push((key, number));
                    let length = usize::try_from(value).unwrap();
                    prop_assert!(table.answer(&key, number, 1, answer(200, length)).is_some());
                }
                (3, Some(number)) => {
                    running.remove(&key);
                    prop_assert!(table.abandon(&key, number));
                }
                (4, _) => now += Duration::from_secs(value),
                (_, _) => {
                    // what is told late of an earlier request never touches a running one
                    if let Some((key, number)) = past.pop() {
                        if owner { table.free(&key, number); } else { table.answer(&key, number, 2, answer(200, 1)); }
                    }
                }
            }
            for key in table.take_removed() {
                let number = before.get(&key);
                prop_assert!(number.is_none() || number != running.get(&key));
            }
            prop_assert!(table.entries.len() <= LIMITS.keys && table.owners.bytes() <= LIMITS.bytes);
            prop_assert_eq!(table.entries.values().map(|entry| bytes(&entry.record)).sum::<usize>(), table.owners.bytes());
            prop_assert_eq!(table.entries.len(), table.settled.len() + running.len());
        }
    }
}
