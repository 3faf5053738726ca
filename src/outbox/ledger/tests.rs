use super::*;
use crate::outbox::Id;
use crate::outbox::view::Query;

const LIMITS: Limits = Limits { messages: 3, bytes: 100, keep: Duration::from_secs(60) };
const WALL: SystemTime = SystemTime::UNIX_EPOCH;
const TTL: Duration = Duration::from_secs(10);

fn brief(sequence: u64, owner: &str) -> Brief {
    Brief { sequence, owner: owner.into(), size: 10, since: WALL, until: WALL + TTL, settlement: None }
}

fn ledger(owners: &[&str], now: Instant) -> Ledger {
    let left: Vec<_> = owners.iter().zip(1..).map(|(owner, sequence)| brief(sequence, owner)).collect();
    Ledger::new(LIMITS, (&left, 0), WALL, now)
}

fn listed(ledger: &Ledger, owner: Option<&str>, state: Option<State>, after: u64, limit: usize) -> (Vec<u64>, bool) {
    let after = Some(Id { file: 0, sequence: after });
    let listing = ledger.list(&Query { owner: owner.map(Into::into), state, after, limit });
    (listing.sequences, listing.next.is_some())
}

#[test]
fn messages_are_given_in_their_order_and_counted_where_they_are() {
    let now = Instant::now();
    let mut ledger = ledger(&["a", "b", "a"], now);
    assert_eq!((ledger.next_ready(2, 9), ledger.bytes()), (vec![1, 2], 30));
    let (end, sent) = ledger.give(1).unwrap();
    assert_eq!((end, ledger.next_ready(9, 9)), (now + TTL, vec![2, 3]));
    assert!(ledger.give(1).is_none(), "it is given");
    assert_eq!(ledger.counts(), [3, 0, 0, 0, 0]);
    sent.store(true, Ordering::Relaxed);
    assert_eq!(ledger.counts(), [2, 1, 0, 0, 0]);
    assert!(ledger.settle(1, Settlement::Expired, WALL), "it counts");
    // a late acknowledgement
    assert!(!ledger.settle(1, Settlement::Acknowledged, WALL), "it was counted");
    assert_eq!((ledger.counts(), ledger.bytes()), ([2, 0, 1, 0, 0], 20));
    ledger.remove(2);
    assert_eq!((ledger.counts(), ledger.next_ready(9, 9)), ([1, 0, 1, 0, 0], vec![3]));
}

#[test]
fn what_an_earlier_process_may_have_sent_counts_as_sent() {
    let (now, left) = (Instant::now(), [brief(1, ""), brief(2, ""), brief(3, "")]);
    let mut ledger = Ledger::new(LIMITS, (&left, 2), WALL, now);
    assert_eq!((ledger.counts(), ledger.last_sent()), ([1, 2, 0, 0, 0], Some(2)));
    assert_eq!(ledger.get(2).map(Entry::state), Some(State::Sent));
    // it stays so while it is with the connection again
    assert!(ledger.give(1).is_some() && ledger.give(3).is_some());
    assert_eq!((ledger.counts(), ledger.last_sent()), ([1, 2, 0, 0, 0], Some(2)));
    ledger.settle(1, Settlement::Acknowledged, WALL);
    ledger.settle(2, Settlement::Expired, WALL);
    assert_eq!((ledger.counts(), ledger.last_sent()), ([1, 0, 1, 1, 0], None));
}

#[test]
fn messages_are_given_up_to_one_and_the_next_ones_are_known_before_they_are_on_disk() {
    let now = Instant::now();
    let mut ledger = ledger(&["a", "a"], now);
    ledger.insert(3, Entry::new(&brief(3, "a"), now + TTL));
    assert_eq!((ledger.next_ready(9, 1), ledger.last_with_room()), (vec![1], Some(3)));
    ledger.stored(3);
    assert_eq!(ledger.next_ready(9, 9), [1, 2, 3]);
}

#[test]
fn a_message_that_was_given_up_rests_and_is_refused_the_third_time() {
    let now = Instant::now();
    let mut ledger = ledger(&["a", "a"], now);
    for rest in RESTS {
        ledger.give(1).unwrap().1.store(true, Ordering::Relaxed);
        assert!(ledger.rest(1, now));
        assert_eq!((ledger.counts(), ledger.next_ready(9, 9)), ([1, 1, 0, 0, 0], vec![2]));
        assert_eq!((ledger.last_sent(), ledger.oldest().map(|oldest| oldest.given_up > 0)), (Some(1), Some(true)));
        ledger.wake(now + rest.checked_sub(Duration::from_millis(1)).unwrap());
        assert_eq!((ledger.next_ready(9, 9), ledger.next_end()), (vec![2], Some(now + rest)));
        ledger.wake(now + rest);
        assert_eq!((ledger.counts(), ledger.next_ready(9, 9)), ([1, 1, 0, 0, 0], vec![1, 2]));
    }
    assert!(!ledger.rest(1, now));
    ledger.settle(1, Settlement::Refused, WALL);
    assert_eq!((ledger.counts(), ledger.next_ready(9, 9)), ([1, 0, 0, 0, 1], vec![2]));
}

#[test]
fn there_is_room_up_to_both_limits_and_again_when_a_message_is_settled() {
    let now = Instant::now();
    let mut ledger = ledger(&["a", "a"], now);
    assert_eq!(ledger.check_room("", 1, 80), Ok(()));
    assert!(
        matches!(ledger.check_room("", 1, 81), Err(NotStored::Full(words)) if words.contains("`max-bytes` is 100"))
    );
    assert!(
        matches!(ledger.check_room("", 2, 0), Err(NotStored::Full(words)) if words.contains("`max-messages` is 3"))
    );
    // one that is being written has its room already
    ledger.insert(3, Entry::new(&brief(3, "a"), now));
    assert!(ledger.check_room("", 1, 0).is_err() && ledger.next_ready(9, 9) == [1, 2]);
    ledger.settle(1, Settlement::Refused, WALL);
    assert_eq!(ledger.check_room("", 1, 80), Ok(()));
}

#[test]
fn a_token_has_half_of_all() {
    let mut ledger = ledger(&["a", "a"], Instant::now());
    // half of 3, rounded up, and half of 100 bytes
    assert!(matches!(ledger.check_room("a", 1, 0), Err(NotStored::Full(words)) if words.starts_with("2 messages")));
    assert_eq!((ledger.check_room("b", 1, 50), ledger.check_room("", 1, 80)), (Ok(()), Ok(())));
    assert!(ledger.check_room("b", 1, 51).is_err());
    ledger.settle(1, Settlement::Acknowledged, WALL);
    assert_eq!(ledger.check_room("a", 1, 40), Ok(()));
    assert!(ledger.check_room("a", 1, 41).is_err());
}

#[test]
fn a_message_on_disk_expires_and_one_with_the_connection_is_told_by_it() {
    let now = Instant::now();
    let mut ledger = ledger(&["a", "a"], now);
    assert!(ledger.give(1).is_some());
    assert_eq!(ledger.next_end(), Some(now + TTL));
    let just_before = now + TTL.checked_sub(Duration::from_millis(1)).unwrap();
    assert_eq!((ledger.expired(just_before, 9), ledger.expired(now + TTL, 9)), (vec![], vec![2]));
    ledger.settle(2, Settlement::Expired, WALL);
    assert_eq!(ledger.next_end(), None);
}

#[test]
fn outcomes_are_kept_for_a_time_and_up_to_a_number() {
    let mut ledger = Ledger::new(LIMITS, (&[], 0), WALL, Instant::now());
    for sequence in 1..=5 {
        let brief = Brief { settlement: Some((WALL + TTL, Settlement::Expired)), ..brief(sequence, "") };
        let entry = Entry::new(&brief, Instant::now());
        ledger.insert(sequence, entry);
        ledger.settle(sequence, Settlement::Expired, WALL + TTL);
    }
    assert_eq!((ledger.forgotten(WALL + TTL, 9), ledger.forgotten(WALL + TTL, 1)), (vec![1, 2], vec![1]));
    assert_eq!(ledger.next_forgotten(WALL + TTL), Some(LIMITS.keep));
    let later = WALL + TTL + LIMITS.keep;
    assert_eq!(ledger.forgotten(later, 9), [1, 2, 3, 4, 5]);
    (1..=5).for_each(|sequence| ledger.remove(sequence));
    assert_eq!((ledger.counts(), ledger.next_forgotten(later)), ([0; 5], None));
}

#[test]
fn a_clock_that_was_changed_gives_no_message_more_time_than_it_had() {
    let now = Instant::now();
    for (wall, rest) in [
        (WALL + Duration::from_secs(4), Duration::from_secs(6)),
        (WALL + Duration::from_secs(40), Duration::ZERO),
        (WALL.checked_sub(Duration::from_secs(1000)).unwrap(), TTL),
    ] {
        let ledger = Ledger::new(LIMITS, (&[brief(1, "")], 0), wall, now);
        assert_eq!(ledger.next_end(), Some(now + rest));
    }
}

#[test]
fn a_page_has_what_its_reader_may_see_in_order() {
    let mut ledger = ledger(&["a", "b", "a"], Instant::now());
    ledger.insert(4, Entry::new(&brief(4, "a"), Instant::now()));
    ledger.settle(3, Settlement::Refused, WALL);
    assert_eq!(listed(&ledger, None, None, 0, 2), (vec![1, 2], true));
    assert_eq!(listed(&ledger, None, None, 2, 2), (vec![3], false), "not 4, which is not on disk");
    assert_eq!(listed(&ledger, Some("a"), None, 0, 9), (vec![1, 3], false));
    assert_eq!(listed(&ledger, Some("a"), Some(State::Refused), 0, 9), (vec![3], false));
    let mine = ledger.list(&Query { owner: Some("a".into()), state: None, after: None, limit: 0 });
    assert_eq!((mine.counts, mine.bytes), ([1, 0, 0, 0, 1], 10));
}

/// All messages of a page are read from disk.
#[test]
fn a_page_of_large_messages_is_shorter() {
    let now = Instant::now();
    let briefs: Vec<_> = (1..=4).map(|sequence| Brief { size: 5_000_000, ..brief(sequence, "") }).collect();
    let mut ledger = Ledger::new(LIMITS, (&briefs, 0), WALL, now);
    assert_eq!(listed(&ledger, None, None, 0, 9), (vec![1, 2], true));
    assert_eq!(listed(&ledger, None, None, 2, 9), (vec![3, 4], false));
    ledger.settle(1, Settlement::Expired, WALL);
    assert_eq!(listed(&ledger, None, None, 0, 9), (vec![1, 2, 3], true));
}

#[test]
fn time_in_which_the_machine_is_suspended_counts() {
    let now = Instant::now();
    let mut ledger = ledger(&["a", "a"], now);
    ledger.suspended(TTL / 2);
    assert_eq!((ledger.expired(now, 9), ledger.next_end()), (vec![], Some(now + TTL / 2)));
    assert_eq!(ledger.give(1).map(|(end, _)| end), Some(now + TTL / 2));
    ledger.suspended(TTL);
    assert_eq!(ledger.expired(now, 9), [2]);
    ledger.remove(1);
    ledger.settle(2, Settlement::Expired, WALL);
    assert_eq!(ledger.next_end(), None);
}
