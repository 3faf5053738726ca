//! What was committed is there again.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_new_file_is_empty_and_only_its_owner_reads_it() {
    let folder = Folder::new();
    let (store, loaded) = open(&folder);
    assert_eq!((loaded.next_sequence, loaded.queued, loaded.outcomes, loaded.keys), (1, vec![], vec![], vec![]));
    assert_eq!(folder.file().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1, "no other file is left");
    drop(store);
    let (_again, second) = open(&folder);
    assert_eq!(second.file, loaded.file);
    assert_ne!(open(&Folder::new()).1.file, loaded.file, "each file has a number of its own");
}

#[test]
fn messages_outcomes_and_keys_are_there_again() {
    let folder = Folder::new();
    let (mut store, _) = open(&folder);
    let keys = [([1; 32], record(2)), ([2; 32], record(1)), ([3; 32], record(3))];
    let put_key = |(key, record): &(KeyHash, KeyRecord)| Change::PutKey { key: *key, record: record.clone() };
    let mut changes = vec![put(1, 10), put(2, 5000), put(3, 0), put(4, 0), put(5, 0)];
    changes.extend(keys.iter().map(put_key));
    store.commit(&changes).unwrap();
    let changes = [settle(2), Change::Remove { sequence: 3 }, settle(4), Change::Forget { sequence: 4 }];
    store.commit(&changes).unwrap();
    store.commit(&[Change::RemoveKey { key: [3; 32] }]).unwrap();
    drop(store);
    let (mut store, loaded) = open(&folder);
    assert_eq!((sequences(&loaded.queued), sequences(&loaded.outcomes)), (vec![1, 5], vec![2]));
    assert_eq!(loaded.next_sequence, 6);
    let [first, second, _] = keys;
    assert_eq!(loaded.keys, [second, first], "the oldest first");
    let brief = &loaded.queued[0];
    assert_eq!((&*brief.owner, brief.since, brief.until), ("door", time(1), time(61)));
    assert_eq!((brief.size, brief.settlement), (row_bytes(&message(1, 10)), None));
    assert_eq!(loaded.outcomes[0].settlement, Some((time(1000), Settlement::Refused)));
    assert_eq!(store.get(1), Ok(Some(message(1, 10))));
    let mut outcome = Stored { settled: Some(settled(Settlement::Refused)), ..message(2, 0) };
    outcome.size = 5000;
    outcome.message.properties = Properties::default();
    assert_eq!(store.get(2), Ok(Some(outcome)));
    assert_eq!([store.get(3), store.get(4)], [Ok(None), Ok(None)]);
}

#[test]
fn changes_can_be_repeated() {
    let folder = Folder::new();
    let (mut store, _) = open(&folder);
    let changes = [put(1, 10), put(2, 10), settle(1), Change::Remove { sequence: 2 }];
    store.commit(&changes).unwrap();
    let other = Change::Settle { sequence: 1, settled: settled(Settlement::Expired) };
    store.commit(&[settle(1), other, settle(2), settle(9), Change::Remove { sequence: 2 }]).unwrap();
    assert_eq!(store.get(1).unwrap().unwrap().settled, Some(settled(Settlement::Expired)), "the last one counts");
    assert_eq!([store.get(2), store.get(9)], [Ok(None), Ok(None)]);
}

#[test]
fn no_sequence_is_used_again() {
    let folder = Folder::new();
    let (mut store, _) = open(&folder);
    store.commit(&[put(41, 10), settle(41), Change::Forget { sequence: 41 }]).unwrap();
    drop(store);
    assert_eq!(open(&folder).1.next_sequence, 42);
}

#[test]
fn queued_messages_are_read_in_their_order_up_to_a_number_or_size() {
    let folder = Folder::new();
    let (mut store, _) = open(&folder);
    let changes: Vec<_> = (1..=9).map(|sequence| put(sequence, 100)).chain([settle(4)]).collect();
    store.commit(&changes).unwrap();
    let mut read = |sequence, count, bytes| {
        let messages = store.queued_from(sequence, count, bytes).unwrap();
        messages.into_iter().map(|(sequence, stored)| {
            assert_eq!(stored, message(sequence, 100));
            sequence
        })
    };
    assert!(read(2, 4, usize::MAX).eq([2, 3, 5, 6]));
    assert!(read(8, 10, usize::MAX).eq([8, 9]));
    assert!(read(1, 10, 1).eq([1]), "one that is larger, too");
    assert!(read(1, 10, 250).eq([1, 2]));
    assert!(read(10, 10, usize::MAX).next().is_none());
}

#[test]
fn the_file_of_a_killed_process_opens() {
    let folder = Folder::new();
    let (mut store, _) = open(&folder);
    store.commit(&[put(1, 100)]).unwrap();
    let left = Folder::new();
    copy_while_open(&folder.file(), &left);
    assert_eq!(sequences(&open(&left).1.queued), [1]);
}
